// node test/faults/kill-server.js [--rounds 100] [--seed N] [--users 6] [--json]
// Kills the server (and some clients) with kill -9 in mid-load, again and again, and judges what arrived.
// Exit code 0 only where nothing was lost, repeated, swapped or changed.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { isGood, runRounds } from './rounds.js';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string' },
    users: { type: 'string', default: '6' },
    json: { type: 'boolean', default: false },
  },
});
const shownFindings = 20;

/** @param {'rounds' | 'users' | 'seed'} name @param {number} least */
function integer(name, least) {
  const value = Number(flags[name] ?? randomInt(2 ** 31));
  if (Number.isSafeInteger(value) && value >= least) return value;
  console.error(`--${name} must be an integer from ${least}`);
  process.exit(2);
}

// So that 'exit' takes the server and its data away.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
const [rounds, users, seed] = [integer('rounds', 1), integer('users', 4), integer('seed', 0)];
const isTerminal = process.stderr.isTTY;
if (!flags.json) console.log(`seed ${seed}`);
const outcome = await runRounds({
  rounds,
  users,
  seed,
  progress: (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`),
});
if (isTerminal) process.stderr.write('\r\x1b[K');
const { findings, problems, ...counts } = outcome;
if (flags.json) console.log(JSON.stringify({ ...counts, findings, problems }));
else {
  console.log(
    Object.entries(counts)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  for (const finding of findings.slice(0, shownFindings)) console.log(JSON.stringify(finding));
  if (findings.length > shownFindings) console.log(`… and ${findings.length - shownFindings} more`);
  for (const problem of problems) console.log(problem);
}
process.exitCode = isGood(outcome) ? 0 : 1;
