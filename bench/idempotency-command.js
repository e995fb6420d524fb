// npm run bench -- idempotency: every way of docs/idempotency.md under throws and kill -9 against real databases, and beside it
// the naive forms; then what a message costs, beside a bare insert.
import { parseArgs } from 'node:util';
import { judgedRun } from '../test/faults/idempotency/judged-run.js';
import { WAYS } from '../test/faults/idempotency/ways.js';
import { stopDaemons } from '../test/support/daemon.js';
import { measureIdempotency } from './idempotency.js';

/** @param {string[]} args */
export async function idempotency(args) {
  const { values } = parseArgs({
    args,
    options: {
      keys: { type: 'string', default: '10000' },
      processes: { type: 'string', default: '8' },
      kills: { type: 'string', default: '40' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      ways: { type: 'string' },
      messages: { type: 'string', default: '2000' },
      'at-once': { type: 'string', default: '8' },
    },
  });
  const [keys, processes, kills, seed] = [values.keys, values.processes, values.kills, values.seed].map(Number);
  const chosen = keys === 0 ? [] : (values.ways?.split(';') ?? Object.keys(WAYS));
  const unknown = chosen.filter((way) => !(way in WAYS));
  if (unknown.length > 0 || ![keys, processes, kills, seed].every(Number.isInteger)) {
    console.error(
      `bench: --ways takes names of test/faults/idempotency/ways.js, between semicolons: ${unknown.join(';')}`,
    );
    process.exit(2);
  }
  console.log(
    `${processes} processes, ${keys} keys, 30 % of them delivered twice, a throw at every tenth chance, ${kills} kill -9; seed ${seed}`,
  );
  console.log(
    ['way'.padEnd(34), 'effects', 'missing', 'twice', 'results differ', 'failed', 'kills', 'seconds'].join('  '),
  );
  let good = true;
  try {
    for (const way of chosen) {
      const start = performance.now();
      const {
        effects,
        lost,
        doubled,
        different,
        failed,
        kills: killed,
      } = await judgedRun(way, { keys, processes, kills, seed });
      const isOnce = lost === 0 && doubled === 0 && different.length === 0;
      const isMeant = WAYS[way].naive ? !isOnce : isOnce;
      good &&= isMeant && killed === kills;
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const cells = [effects, lost, doubled, WAYS[way].naive ? '–' : different.length, failed, killed, seconds];
      const widths = [7, 7, 5, 14, 6, 5, 7];
      const told = cells.map((cell, i) => String(cell).padStart(widths[i])).join('  ');
      const verdict = WAYS[way].naive ? 'naive, fails as it must' : 'once';
      console.log(`${way.padEnd(34)}  ${told}  ${isMeant ? verdict : 'NOT AS IT SHOULD BE'}`);
    }
    const [messages, atOnce] = [values.messages, values['at-once']].map(Number);
    if (messages > 0) await measureIdempotency(messages, atOnce);
  } finally {
    await stopDaemons();
  }
  if (!good) process.exitCode = 1;
}
