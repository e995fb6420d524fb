// npm test: everything, on a bare clone too. Ends with "N passed, N failed"; exit code 1 where something failed.
//   --only a,b   these steps alone: types eslint prettier clang-format clang-tidy native asan asan-addon asan-js tsan fuzz, a folder of
//                test/, `lint` for the checks of form, `js` for all folders but browser and faults, `sanitize` for the next option's
//   --sanitize   once more under AddressSanitizer with UndefinedBehaviorSanitizer: the native tests (asan), the addon opened and
//                closed (asan-addon), Mocha (asan-js); the native tests under ThreadSanitizer (tsan); the fuzzers for a short while
//   --long       test/faults in its long form
//   --verbose    show what passing steps said, too
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checks } from './lib/checks.mjs';
import { root } from './lib/files.mjs';
import { elapsed, step } from './lib/progress.mjs';
import { CommandError } from './lib/run.mjs';
import { setup, SetupError } from './lib/setup.mjs';
import { mochaFolders, runAddonCycles, runFuzz, runMocha, runNative, runSanitizedMocha } from './lib/suites.mjs';

/** @typedef {import('./lib/suites.mjs').Outcome} Outcome */
/** @typedef {{ name: string, group: string, run: (onLine: (line: string) => void) => Promise<Outcome> }} Step */

/** Of each failure, at the end. */
const shownLines = 30;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    sanitize: { type: 'boolean' },
    long: { type: 'boolean' },
    verbose: { type: 'boolean' },
  },
});

/** @returns {Step[]} */
function allSteps() {
  const checkSteps = Object.entries(checks).map(([name, check]) => ({
    name,
    group: 'lint',
    run: async (/** @type {(line: string) => void} */ onLine) => {
      const remark = await check(onLine, true);
      return { passed: 1, failed: 0, output: '', remark: typeof remark === 'string' ? remark : '' };
    },
  }));
  const folders = mochaFolders().map((name) => ({
    name,
    group: name === 'browser' || name === 'faults' ? name : 'js',
    run: (/** @type {(line: string) => void} */ onLine) => runMocha(name, onLine),
  }));
  return [
    ...checkSteps,
    { name: 'native', group: 'native', run: (onLine) => runNative('Release', onLine) },
    ...folders,
    { name: 'asan', group: 'sanitize', run: (onLine) => runNative('Address', onLine) },
    { name: 'asan-addon', group: 'sanitize', run: (onLine) => runAddonCycles(onLine) },
    { name: 'asan-js', group: 'sanitize', run: (onLine) => runSanitizedMocha(onLine) },
    { name: 'tsan', group: 'sanitize', run: (onLine) => runNative('Thread', onLine) },
    { name: 'fuzz', group: 'sanitize', run: (onLine) => runFuzz(onLine) },
  ];
}

/** @returns {Step[]} those that the command line asks for */
function chosenSteps() {
  const steps = allSteps();
  if (!options.only) return steps.filter(({ group }) => group !== 'sanitize' || options.sanitize);
  const names = options.only.split(',');
  const unknown = names.filter((name) => !steps.some((one) => one.name === name || one.group === name));
  if (unknown.length > 0) {
    console.error(`no such step: ${unknown.join(', ')}; there are: ${steps.map(({ name }) => name).join(', ')}`);
    process.exit(2);
  }
  return steps.filter(({ name, group }) => names.includes(name) || names.includes(group));
}

/** @param {Step} chosen @returns {Promise<Outcome>} */
async function runStep(chosen) {
  /** @type {Outcome} */
  let result = { passed: 0, failed: 1, output: '' };
  await step(
    () =>
      `${chosen.name}: ${result.passed} passed, ${result.failed} failed${result.remark ? `; ${result.remark}` : ''}`,
    async (onLine) => {
      result = await chosen.run(onLine);
      if (result.failed > 0) throw new CommandError(chosen.name, `${result.failed} failed`, result.output);
    },
    { running: chosen.name, shownLines: 400 },
  ).catch(() => {});
  if (options.verbose && result.failed === 0) console.log(result.output);
  return result;
}

/** @param {string} name @param {Outcome} result @returns {string[]} each with its first lines */
function failuresOf(name, { why = [], output }) {
  if (why.length === 0) return [`✘ ${name}: ${output.trimEnd().split('\n').slice(-shownLines).join('\n  ')}`];
  return why.map((text) => `✘ ${name}: ${text.split('\n').slice(0, shownLines).join('\n  ')}`);
}

const started = performance.now();
if (options.long) process.env.EVERYONCE_LONG = '1';
try {
  await setup('test');
} catch (error) {
  if (error instanceof SetupError) console.error(error.message);
  process.exit(1);
}
if (!existsSync(join(root, 'build/Release/everyonce.node'))) console.log('everyonce: there is no addon yet');
let passed = 0;
let failed = 0;
/** @type {string[]} */
const failures = [];
for (const chosen of chosenSteps()) {
  const result = await runStep(chosen);
  passed += result.passed;
  failed += result.failed;
  if (result.failed > 0) failures.push(...failuresOf(chosen.name, result));
}
// Once more, since hours of progress may stand between a failure and the end of a log.
for (const failure of failures) console.log(`\n${failure}`);
console.log(`in ${elapsed(started)}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
