// npm run mutants:schedules [-- --rounds 4 --seed N --only NAME,…]
// Plants one bug after the other (mutants/*.patch) in a copy of the project, builds it, and runs the random schedules
// against it: each must be caught, or the schedules and their judge are too tame. The real tree is not touched.
// Exit code 0 only where all are caught and the copy without a bug is clean.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { copyTree, readPatches, runNode, withPatch } from './mutants/planted.js';

const buildMs = 20 * 60_000;
const runMs = 3 * 60_000;

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '4' }, seed: { type: 'string' }, only: { type: 'string' } },
});
const seed = flags.seed ?? String(randomInt(2 ** 31));
const patches = readPatches(['test/faults/mutants'], flags.only);
const dir = copyTree();

/** Builds what is in the copy, and runs the schedules. @returns {{ isClean: boolean, caught: string }} */
function judgeTree() {
  const built = runNode(dir, ['scripts/build.mjs'], buildMs);
  if (built.status !== 0) throw new Error(`it does not build: ${built.stdout.slice(-2000)}${built.stderr}`);
  const args = ['test/faults/schedules.js', '--json', '--rounds', flags.rounds, '--seed', seed];
  const { status, stdout, stderr } = runNode(dir, args, runMs);
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

console.log(`seed ${seed}, ${flags.rounds} rounds each`);
const missed = [];
const own = judgeTree();
console.log(`${'no bug'.padEnd(22)} ${own.isClean ? 'clean' : `NOT CLEAN: ${own.caught}`}`);
if (!own.isClean) missed.push('no bug');
for (const { name, patch } of patches) {
  const { isClean, caught } = withPatch(dir, patch, judgeTree);
  console.log(`${name.padEnd(22)} ${isClean ? 'MISSED' : `caught: ${caught}`}`);
  if (isClean) missed.push(name);
}
console.log(missed.length === 0 ? `all ${patches.length} caught` : `not as it should be: ${missed.join(', ')}`);
process.exitCode = missed.length === 0 ? 0 : 1;
