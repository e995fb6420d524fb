// node test/faults/schedules.js [--rounds 20] [--seed N] [--steps 400] [--json]
// Random schedules of sends, pages, acks, cuts, kills and changes of members over several users and devices against a
// real server, and the judge. Exit code 0 only where nothing was lost, repeated, swapped or changed. The same seed gives
// the same operations in the same order; how they meet is real time, and differs.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { isGood, runSchedules } from './schedule/run.js';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    steps: { type: 'string', default: '400' },
    json: { type: 'boolean', default: false },
  },
});
const shownFindings = 20;

/** @param {'rounds' | 'steps' | 'seed'} name @param {number} least */
function integer(name, least) {
  const value = Number(flags[name] ?? randomInt(2 ** 31));
  if (Number.isSafeInteger(value) && value >= least) return value;
  console.error(`--${name} must be an integer from ${least}`);
  process.exit(2);
}

// So that 'exit' takes the server and its data away.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
const [rounds, steps, seed] = [integer('rounds', 1), integer('steps', 1), integer('seed', 0)];
const isTerminal = process.stderr.isTTY;
if (!flags.json) console.log(`seed ${seed}`);
const outcome = await runSchedules({
  rounds,
  steps,
  seed,
  progress: (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`),
});
if (isTerminal) process.stderr.write('\r\x1b[K');
const { findings, problems, met, ...counts } = outcome;
if (flags.json) console.log(JSON.stringify({ ...counts, met, findings, problems }));
else {
  console.log(
    Object.entries(counts)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  console.log(`met: ${Object.entries(met).map(([what, times]) => `${what} ${times}`).join(', ')}`); // prettier-ignore
  for (const finding of findings.slice(0, shownFindings)) console.log(JSON.stringify(finding));
  if (findings.length > shownFindings) console.log(`… and ${findings.length - shownFindings} more`);
  for (const problem of problems.slice(0, shownFindings)) console.log(problem);
}
process.exitCode = isGood(outcome) ? 0 : 1;
