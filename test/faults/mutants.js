// npm run mutants [-- --rounds 4 --seed N --only NAME,…]
// Plants one bug after the other (mutants/*.patch) in a copy of the project, builds it, and runs the random schedules
// against it: each must be caught, or the schedules and their judge are too tame. The real tree is not touched.
// Exit code 0 only where all are caught and the copy without a bug is clean.
import { randomInt } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { applyPatch, parsePatch } from './mutants/patch.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'test/faults/mutants');
/** What a build and the schedules need; `build`, so that only the changed file is compiled again. */
const copied = ['package.json', 'binding.gyp', 'bin', 'lib', 'src', 'lua', 'scripts', 'test', 'build'];
const buildMs = 20 * 60_000;
const runMs = 3 * 60_000;

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '4' }, seed: { type: 'string' }, only: { type: 'string' } },
});
const seed = flags.seed ?? String(randomInt(2 ** 31));
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.patch'))
  .map((name) => basename(name, '.patch'))
  .filter((name) => !flags.only || flags.only.split(',').includes(name));

/** @param {string} dir @param {string[]} args of node @param {number} timeout */
function node(dir, args, timeout) {
  const options = { cwd: dir, timeout, maxBuffer: 2 ** 28, encoding: /** @type {const} */ ('utf8') };
  const base = { CCACHE_BASEDIR: dir, CCACHE_NOHASHDIR: '1' };
  return spawnSync(process.execPath, args, { ...options, env: { ...process.env, ...base } });
}

/** Builds what is in `dir`, and runs the schedules. @param {string} dir @returns {{ isClean: boolean, caught: string }} */
function judgeTree(dir) {
  const built = node(dir, ['scripts/build.mjs'], buildMs);
  if (built.status !== 0) throw new Error(`it does not build: ${built.stdout.slice(-2000)}${built.stderr}`);
  const args = ['test/faults/schedules.js', '--json', '--rounds', flags.rounds, '--seed', seed];
  const { status, stdout, stderr } = node(dir, args, runMs);
  if (status === 0) return { isClean: true, caught: '' };
  // A server that falls over, or runs that hang, are caught as well: no verdict is written then.
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{'))
    return { isClean: false, caught: `no verdict: ${stderr.trim().split('\n').at(0) ?? status}` };
  const { findings, problems } = JSON.parse(line);
  /** @type {Record<string, number>} */
  const rules = {};
  for (const { rule } of findings) rules[rule] = (rules[rule] ?? 0) + 1;
  const told = Object.entries(rules).map(([rule, times]) => `${rule} ${times}`);
  if (problems.length > 0) told.push(`${problems.length} problems: ${problems[0].split('\n')[0].slice(0, 90)}`);
  return { isClean: false, caught: told.join(', ') };
}

const dir = mkdtempSync(join(tmpdir(), 'everyonce-mutants-'));
const clean = () => rmSync(dir, { recursive: true, force: true });
process.on('exit', clean);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

for (const name of copied) {
  const from = join(root, name);
  if (existsSync(from)) cpSync(from, join(dir, name), { recursive: true, preserveTimestamps: true });
}
symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
console.log(`seed ${seed}, ${flags.rounds} rounds each`);
const missed = [];
const own = judgeTree(dir);
console.log(`${'no bug'.padEnd(22)} ${own.isClean ? 'clean' : `NOT CLEAN: ${own.caught}`}`);
if (!own.isClean) missed.push('no bug');
for (const name of names) {
  const patch = parsePatch(readFileSync(join(folder, `${name}.patch`), 'utf8'));
  const path = join(dir, patch.path);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, applyPatch(source, patch));
  const { isClean, caught } = judgeTree(dir);
  writeFileSync(path, source);
  console.log(`${name.padEnd(22)} ${isClean ? 'MISSED' : `caught: ${caught}`}`);
  if (isClean) missed.push(name);
}
console.log(missed.length === 0 ? `all ${names.length} caught` : `not as it should be: ${missed.join(', ')}`);
process.exitCode = missed.length === 0 ? 0 : 1;
