// The libFuzzer targets of test/fuzz: built by clang with AddressSanitizer and UndefinedBehaviorSanitizer, and run for a while
// on what test/fuzz/corpus keeps and on what earlier runs found (build/Fuzz/corpus).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { cppSources, hashFiles, listFiles, readText, root } from './files.mjs';
import { includeClosure } from './includes.mjs';
import { CommandError, run } from './run.mjs';

/** @typedef {(line: string) => void} OnLine */

const folder = 'build/Fuzz';
/** What the targets read with: pure rooms whole, of the others what needs no I/O. */
const sources = () => [
  ...cppSources(['src/core', 'src/log']),
  'src/redis/bell_codec.cc',
  'src/redis/redis_error.cc',
  'src/redis/redis_url.cc',
  'src/redis/reply.cc',
  'src/redis/slots.cc',
  'src/store/offline_token.cc',
];
const sanitizers = 'address,undefined';
const flags = [
  '-std=c++20', '-fno-exceptions', '-fno-rtti', '-g1', '-O1', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all', '-Isrc',
]; // prettier-ignore
const libraries = ['-lrocksdb', '-lsimdjson', '-lxxhash', '-lhiredis'];
/** Of one input; what takes longer is a fault, as what takes more memory is. */
const inputSeconds = 5;
const memoryMb = 2048;
const inputBytes = 4096;
/** What the tree keeps of a corpus: so many inputs of so many bytes at most, the longest, which say the most. */
const keptBytes = 400;
const keptInputs = 150;

/** @returns {string[]} names of targets: test/fuzz/NAME_fuzz.cc */
export const fuzzTargets = () =>
  listFiles('test/fuzz', (name) => name.endsWith('_fuzz.cc')).map((path) => basename(path, '_fuzz.cc'));

/** @returns {string | undefined} why there is no fuzzing here */
export function whyNoFuzzing() {
  const compiler = spawnSync('clang++', ['--version']);
  return compiler.status === 0 ? undefined : 'clang++ is not installed (apt-get install clang)';
}

/** @param {OnLine} onLine @returns {Promise<Map<string, string>>} the program of each target */
export async function buildFuzzers(onLine) {
  mkdirSync(join(root, folder), { recursive: true });
  const targets = fuzzTargets();
  const files = [...sources(), ...targets.map((name) => `test/fuzz/${name}_fuzz.cc`)];
  const objects = new Map(files.map((file) => [file, objectOf(file)]));
  const waiting = files.filter((file) => !existsSync(join(root, String(objects.get(file)))));
  const total = waiting.length;
  const worker = async () => {
    for (let file = waiting.pop(); file; file = waiting.pop()) {
      onLine(`${total - waiting.length}/${total} ${file}`);
      await compile(file, String(objects.get(file)));
    }
  };
  await Promise.all(Array.from({ length: Number(process.env.JOBS) || availableParallelism() }, worker));
  const shared = sources().map((file) => String(objects.get(file)));
  /** @type {Map<string, string>} */
  const programs = new Map();
  for (const name of targets) {
    const own = String(objects.get(`test/fuzz/${name}_fuzz.cc`));
    const hash = createHash('sha256')
      .update([own, ...shared].join())
      .digest('hex')
      .slice(0, 16);
    const program = `${folder}/${name}-${hash}`;
    programs.set(name, program);
    if (existsSync(join(root, program))) continue;
    onLine(`linking ${name}`);
    await run('clang++', [`-fsanitize=fuzzer,${sanitizers}`, own, ...shared, ...libraries, '-o', program]);
  }
  return programs;
}

/** @param {string} file */
function objectOf(file) {
  const closure = [...includeClosure(file)].filter((path) => readText(path) !== undefined).sort();
  return `${folder}/objects/${basename(file, '.cc')}-${hashFiles(closure, [file, flags]).slice(0, 16)}.o`;
}

/** @param {string} file @param {string} object */
async function compile(file, object) {
  mkdirSync(join(root, folder, 'objects'), { recursive: true });
  const compiler = spawnSync('ccache', ['--version']).status === 0 ? ['ccache', 'clang++'] : ['clang++'];
  const args = [...compiler.slice(1), ...flags, `-fsanitize=fuzzer-no-link,${sanitizers}`, '-c', file, '-o', object];
  await run(compiler[0], args);
}

/**
 * @param {string} name
 * @param {string} program
 * @param {{ seconds?: number, runs?: number, seed?: number }} how for how long, or how many inputs; with a seed and a fixed number of
 *   inputs, the same ones each time from the same corpus
 * @param {OnLine} onLine
 * @returns {Promise<{ ok: boolean, inputs: number, output: string }>} `output` names the file of an input that fails
 */
export async function runFuzzer(name, program, { seconds = 0, runs = 0, seed = 0 }, onLine) {
  const found = `${folder}/corpus/${name}`;
  const failing = `${folder}/failing/`;
  for (const path of [found, failing]) mkdirSync(join(root, path), { recursive: true });
  const args = [
    found, unpackCorpus(name), runs > 0 ? `-runs=${runs}` : `-max_total_time=${seconds}`, `-max_len=${inputBytes}`, `-timeout=${inputSeconds}`,
    `-rss_limit_mb=${memoryMb}`, `-artifact_prefix=${failing}${name}-`, '-print_final_stats=1',
    ...(seed ? [`-seed=${seed}`] : []),
  ]; // prettier-ignore
  const options = { onLine, allowFailure: true, timeoutMs: (seconds + 180) * 1000 };
  const { code, output } = await run(join(root, program), args, options).catch((error) => {
    if (!(error instanceof CommandError)) throw error;
    return { code: -1, output: `${error.output}\n${error.message}` };
  });
  const inputs = Number(/stat::number_of_executed_units:\s*(\d+)/.exec(output)?.[1] ?? 0);
  return { ok: code === 0 && inputs > 0, inputs, output };
}

/**
 * What the tree keeps of a corpus, one input a line in hex, as files; of packets, the protocol's vectors, too.
 *
 * @param {string} name
 * @returns {string} the folder
 */
function unpackCorpus(name) {
  const into = `${folder}/kept/${name}`;
  mkdirSync(join(root, into), { recursive: true });
  const lines = (readText(`test/fuzz/corpus/${name}.txt`) ?? '').split('\n').filter((line) => /^([0-9a-f]{2})+$/.test(line)); // prettier-ignore
  const inputs = lines.map((line) => Buffer.from(line, 'hex'));
  if (name === 'packet') {
    const vectors = ['good', 'bad'].map((kind) => JSON.parse(readText(`test/vectors/${kind}-packets.json`) ?? '[]'));
    inputs.push(...vectors.flat().filter(({ frame }) => frame).map(({ frame }) => Buffer.from(frame))); // prettier-ignore
  }
  for (const [index, input] of inputs.entries()) writeFileSync(join(root, into, String(index)), input);
  return into;
}

/**
 * Makes the tree's corpus anew from what was found: the smallest set of inputs with the same coverage.
 *
 * @param {string} name
 * @param {string} program
 */
export async function keepCorpus(name, program) {
  const merged = `${folder}/merged-${name}-${process.pid}`;
  mkdirSync(join(root, merged), { recursive: true });
  await run(join(root, program), [
    '-merge=1',
    `-max_len=${keptBytes}`,
    merged,
    `${folder}/corpus/${name}`,
    unpackCorpus(name),
  ]);
  const lines = readdirSync(join(root, merged))
    .map((file) => readFileSync(join(root, merged, file)).toString('hex'))
    .sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
    .slice(0, keptInputs);
  mkdirSync(join(root, 'test/fuzz/corpus'), { recursive: true });
  writeFileSync(join(root, `test/fuzz/corpus/${name}.txt`), `${lines.join('\n')}\n`);
}
