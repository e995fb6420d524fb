// npm run mutants [-- --seeds 1000 --only NAME,…]
// Plants one bug after the other (mutants/*.patch here and in test/faults) in a copy of the project, and runs the simulation
// until it fails: each must be caught within so many seeds, or the simulation and its judge are too tame. The real tree is not
// touched. Exit code 0 only where all are caught and the copy without a bug is clean.
import { parseArgs } from 'node:util';
import { copyTree, readPatches, runNode, withPatch } from '../faults/mutants/planted.js';

const BUILD_MS = 20 * 60_000;
const RUN_MS = 20 * 60_000;
/** Seeds that the copy without a bug must pass. */
const CLEAN_SEEDS = 100;
/**
 * Of test/faults, what this client never does: to send without a number, to page by `next` or newest first, to ack ranges. `npm run
 * mutants:schedules` has those.
 */
const NOT_SIMULATED = ['dedupe-window', 'paging-newest', 'paging-next', 'ranges-merge', 'ranges-shrink'];

const { values: flags } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, only: { type: 'string' } },
});
const patches = readPatches(['test/simulation/mutants', 'test/faults/mutants'], flags.only).filter(
  ({ name }) => !NOT_SIMULATED.includes(name),
);
const dir = copyTree();

/** @param {string} seeds @param {boolean} isNative @returns {{ isClean: boolean, caught: string }} */
function simulate(seeds, isNative) {
  if (isNative) {
    const built = runNode(dir, ['scripts/build.mjs', '--simulation'], BUILD_MS);
    if (built.status !== 0) throw new Error(`it does not build: ${built.stdout.slice(-2000)}${built.stderr}`);
  }
  const args = ['test/simulation/run.js', '--seeds', seeds, '--first', '--json'];
  const { status, stdout, stderr } = runNode(dir, args, RUN_MS);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  // What falls over, or hangs, is caught as well: no verdict is written then.
  if (!line.startsWith('{')) return { isClean: false, caught: `no verdict: ${stderr.trim().split('\n')[0] || status}` };
  const { seeds: taken, failed } = JSON.parse(line);
  const [first] = failed;
  if (!first) return { isClean: true, caught: '' };
  const found = first.found.map((/** @type {any} */ one) => one.rule ?? String(one).slice(0, 80));
  return { isClean: false, caught: `seed ${first.seed} of ${taken}: ${[...new Set(found)].join(', ')}` };
}

const missed = [];
const own = simulate(String(CLEAN_SEEDS), true);
console.log(`${'no bug'.padEnd(26)} ${own.isClean ? 'clean' : `NOT CLEAN: ${own.caught}`}`);
if (!own.isClean) missed.push('no bug');
let wasNative = false;
for (const { name, patch } of patches) {
  const isNative = patch.path.startsWith('src/');
  // What was planted before has to be built out again.
  const { isClean, caught } = withPatch(dir, patch, () => simulate(flags.seeds, isNative || wasNative));
  wasNative = isNative;
  console.log(`${name.padEnd(26)} ${isClean ? 'MISSED' : `caught: ${caught}`}`);
  if (isClean) missed.push(name);
}
console.log(missed.length === 0 ? `all ${patches.length} caught` : `not as it should be: ${missed.join(', ')}`);
process.exitCode = missed.length === 0 ? 0 : 1;
