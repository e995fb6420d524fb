// The suites of `npm test`: the native test program, and Mocha over the folders of test/.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, hasSources, isBuilt, outputOf } from './native.mjs';
import { buildFuzzers, runFuzzer, whyNoFuzzing } from './fuzz.mjs';
import { listFiles, readText, root } from './files.mjs';
import { withLock } from './lock.mjs';
import { CommandError, run } from './run.mjs';

/**
 * why: what to know of each failure, where the suite tells them apart; output has all that it said
 * @typedef {{ passed: number, failed: number, output: string, why?: string[], remark?: string }} Outcome
 */
/** @typedef {(line: string) => void} OnLine */

/** A suite that takes longer hangs; the whole run is to stay below 15 minutes. */
const suiteMs = 5 * 60_000;
/** Under a sanitizer all takes three times as long. */
const sanitizedSuiteMs = 15 * 60_000;
/** In the long form of test/faults. */
const longSuiteMs = 60 * 60_000;
/** Of each target of test/fuzz, in a run that is not for fuzzing alone: always the same, so that no change is blamed for another's fault. */
const fuzzed = { runs: 200_000, seed: 1 };
/** Left to `npm run faults` and `npm run test:browser` as well; these come last. */
const lastFolders = ['flow', 'browser', 'faults', 'simulation'];

/** In how many processes a folder's files are run: those that mostly wait, for servers and for time. @type {Record<string, number>} */
const besideEachOther = { flow: 2 };

/** Every second native test runs in another process: both of the machine's processors have about as much to do. */
const nativeProcesses = 2;

/** @returns {string[]} the folders of test/ that hold Mocha tests, in the order in which they run */
export function mochaFolders() {
  const folders = readdirSync(join(root, 'test')).filter((name) => specs(name).length > 0);
  const rank = (/** @type {string} */ name) => lastFolders.indexOf(name);
  return folders.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** @param {string} folder */
function specs(folder) {
  return listFiles(`test/${folder}`, (name) => /\.test\.(js|mjs|cjs)$/.test(name));
}

/** @param {string} folder below test/ @param {OnLine} onLine @returns {Promise<Outcome>} */
export async function runMocha(folder, onLine) {
  if (folder === 'simulation') {
    await withLock(async () => {
      if (!isBuilt('everyonce_simulation', 'Release')) await build('everyonce_simulation', 'Release', { onLine });
    });
  }
  return mocha(folder, 'Release', {}, onLine);
}

/**
 * @param {string} folder below test/
 * @param {import('./native.mjs').Configuration} configuration of the addon, for the reports' names and the time
 * @param {Record<string, string>} env
 * @param {OnLine} onLine
 * @returns {Promise<Outcome>}
 */
async function mocha(folder, configuration, env, onLine) {
  const files = specs(folder);
  const processes = Math.min(besideEachOther[folder] ?? 1, files.length);
  const slow = configuration === 'Release' ? [] : ['--timeout', '120000'];
  const outcomes = await Promise.all(
    Array.from({ length: processes }, (_, i) => {
      const report = freshReport(`mocha-${configuration}-${folder}-${i + 1}`);
      const mine = files.filter((_file, at) => at % processes === i);
      const args = [
        'node_modules/mocha/bin/mocha.js',
        '--reporter',
        'scripts/lib/mocha-reporter.cjs',
        ...slow,
        ...mine,
      ];
      const limitMs = configuration === 'Release' ? suiteMs : sanitizedSuiteMs;
      return outcome(report, process.execPath, args, { ...env, EVERYONCE_REPORT: join(root, report) }, onLine, limitMs);
    }),
  );
  return sumOf(outcomes);
}

/** @param {Outcome[]} outcomes @returns {Outcome} */
function sumOf(outcomes) {
  // Of tests that can't run here (test/support/left-out.js).
  const leftOut = outcomes.flatMap(({ output }) => output.match(/^left out: .*$/gm) ?? []);
  return {
    remark: leftOut.join('; '),
    passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
    failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
    output: outcomes.map(({ output }) => output).join('\n'),
    why: outcomes.flatMap(({ why }) => why ?? []),
  };
}

/**
 * @param {import('./native.mjs').Configuration} configuration
 * @param {OnLine} onLine
 * @returns {Promise<Outcome>}
 */
export async function runNative(configuration, onLine) {
  if (!hasSources('everyonce_tests')) return { passed: 0, failed: 0, output: '' };
  await withLock(async () => {
    if (!isBuilt('everyonce_tests', configuration)) await build('everyonce_tests', configuration, { onLine });
  });
  const args = ['--gtest_color=no'];
  if (configuration === 'Thread') args.push(`--gtest_filter=${threaded}`);
  const limitMs = configuration === 'Release' ? suiteMs : sanitizedSuiteMs;
  const outcomes = await Promise.all(
    Array.from({ length: nativeProcesses }, (_, i) => {
      const report = freshReport(`native-${configuration}-${i + 1}`);
      const env = {
        GTEST_TOTAL_SHARDS: String(nativeProcesses),
        GTEST_SHARD_INDEX: String(i),
        UBSAN_OPTIONS: 'print_stacktrace=1',
      };
      const all = [`--gtest_output=json:${join(root, report)}`, ...args];
      return outcome(report, outputOf('everyonce_tests', configuration), all, env, onLine, limitMs);
    }),
  );
  return sumOf(outcomes);
}

/**
 * The addon under the sanitizers in a plain Node, opened and closed a thousand times; its leak check fails the run.
 *
 * @param {OnLine} onLine
 * @returns {Promise<Outcome>}
 */
export async function runAddonCycles(onLine) {
  await withLock(async () => {
    if (!isBuilt('everyonce', 'Address')) await build('everyonce', 'Address', { onLine });
  });
  const report = freshReport('addon-Address');
  const args = ['test/addon/cycles.mjs', outputOf('everyonce', 'Address'), join(root, report)];
  const env = { LD_PRELOAD: await addressSanitizer(), UBSAN_OPTIONS: 'print_stacktrace=1' };
  return outcome(report, process.execPath, args, env, onLine, sanitizedSuiteMs);
}

/** Native tests with more than one thread, which ThreadSanitizer is for; all others would take it ten times as long for nothing. */
const threaded = 'EngineThread*:StoreThread*:SharedKv*:Rocks*:Redis*:Engine*:DeferredEngine*-RedisLogConformance*';

/** Mocha's folders that run under the sanitizers, too: those that use the addon most, and no browser. */
const sanitizedFolders = ['lib', 'flow'];

/**
 * Mocha over a part of the tests, with the addon of build/Address, in the processes that tests start, too. What is left behind at
 * the end is the matter of runAddonCycles alone: a Node that ends by itself frees little.
 *
 * @param {OnLine} onLine
 * @returns {Promise<Outcome>}
 */
export async function runSanitizedMocha(onLine) {
  await withLock(async () => {
    for (const each of /** @type {const} */ (['Release', 'Address']))
      if (!isBuilt('everyonce', each)) await build('everyonce', each, { onLine });
  });
  const env = {
    EVERYONCE_BUILD: 'Address',
    NODE_OPTIONS: `--require=${join(root, 'test/support/sanitized-addon.cjs')}`,
    LD_PRELOAD: await addressSanitizer(),
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  const outcomes = [];
  for (const folder of sanitizedFolders) outcomes.push(await mocha(folder, 'Address', env, onLine));
  return sumOf(outcomes);
}

/** @returns {Promise<string>} the library that must be in a process before all others, where the program itself is a plain one */
async function addressSanitizer() {
  const { output } = await run('gcc', ['-print-file-name=libasan.so'], {});
  return output.trim();
}

/**
 * Each libFuzzer target for some seconds.
 *
 * @param {OnLine} onLine
 * @returns {Promise<Outcome>}
 */
export async function runFuzz(onLine) {
  const missing = whyNoFuzzing();
  if (missing) return { passed: 0, failed: 0, output: '', remark: `left out: ${missing}` };
  const programs = await withLock(() => buildFuzzers(onLine));
  let passed = 0;
  let said = '';
  for (const [name, program] of programs) {
    const { ok, inputs, output } = await runFuzzer(name, program, fuzzed, () => {});
    onLine(`${name}: ${inputs} inputs`);
    if (ok) passed += 1;
    else said += `${name}:\n${output}\n`;
  }
  return { passed, failed: programs.size - passed, output: said };
}

/** @param {string} name @returns {string} */
function freshReport(name) {
  const path = `build/reports/${name}.json`;
  mkdirSync(join(root, 'build/reports'), { recursive: true });
  rmSync(join(root, path), { force: true });
  return path;
}

/**
 * @param {string} report where the command writes its counts
 * @param {string} command @param {string[]} args @param {Record<string, string>} env @param {OnLine} onLine
 * @param {number} mostMs but in the long form
 * @returns {Promise<Outcome>} a command that fails without having counted a failure counts as one
 */
async function outcome(report, command, args, env, onLine, mostMs) {
  let ended = '';
  const timeoutMs = process.env.EVERYONCE_LONG ? longSuiteMs : mostMs;
  const { code, output } = await run(command, args, { env, onLine, allowFailure: true, timeoutMs }).catch((error) => {
    if (!(error instanceof CommandError)) throw error;
    ended = error.message;
    return { code: -1, output: error.output };
  });
  const counts = countsOf(readText(report));
  if (code === 0 && !counts) return { passed: 0, failed: 1, output: `${output}\nIt wrote no report.` };
  const { passed, failed, why } = counts ?? { passed: 0, failed: 0, why: [] };
  if (code !== 0 && failed === 0) return { passed, failed: 1, output: `${output}\n${ended || `exit code ${code}`}` };
  return { passed, failed, output, why };
}

/** @param {string | undefined} text @returns {{ passed: number, failed: number, why: string[] } | undefined} */
function countsOf(text) {
  if (!text) return undefined;
  const report = JSON.parse(text);
  if ('passed' in report) return report;
  // GoogleTest: a disabled test is one that nobody runs, so it is no success.
  const failed = report.failures + report.errors + report.disabled;
  return { passed: report.tests - failed, failed, why: googleTestFailures(report) };
}

/**
 * @param {{ testsuites: { name: string, testsuite: { name: string, failures?: { failure: string }[] }[] }[] }} report
 * @returns {string[]}
 */
function googleTestFailures({ testsuites }) {
  return testsuites.flatMap((suite) =>
    suite.testsuite.flatMap((test) =>
      (test.failures ?? []).map(({ failure }) => `${suite.name}.${test.name}\n${failure}`),
    ),
  );
}
