/**
 * Faults on real processes for as long as is asked for. It is many runs, one after the other, each with a seed, a store and a
 * history of its own that is judged at its end, so that an hour needs no more memory than a minute.
 *
 * - `embedded`: kill -9 of the server and of clients (kill-server.js), and in turn everything that may be wrong with one machine
 *   (troubles.js): SIGSTOP, cut, half-open, stalled and slow connections, syncs that fail, a full disk.
 * - `cluster`: two servers on a Redis Cluster with `replicas: 1` (several-servers.js): kill -9 of servers and masters, replicas
 *   promoted, SIGSTOP of both, connections to Redis cut, slots moved, scripts forgotten.
 *
 * node test/faults/hour.js [--minutes 60] [--store embedded|cluster] [--seed N] [--json]
 *
 * A line for each run, a table at the end; exit code 0 only where nothing was lost, repeated, swapped or changed. A run that was
 * not clean is told with its command, to be repeated.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { pick, seeded } from '../../lib/torture/random.js';
import { runRounds } from './rounds.js';
import { runServers } from './several-servers.js';
import { runTroubles } from './troubles.js';

const shownFindings = 20;
const killed = { command: 'kill-server.js --rounds 20', run: (of) => runRounds({ rounds: 20, ...of }) };
const troubled = { command: 'troubles.js --rounds 14', run: (of) => runTroubles({ rounds: 14, ...of }) };
const several = {
  command: 'several-servers.js --replicas 1 --rounds 18',
  run: (of) => runServers({ rounds: 18, replicas: 1, ...of }),
};
/** @type {Record<string, { command: string, run: (of: { seed: number, progress: (line: string) => void }) => Promise<any> }[]>} */
const stores = { embedded: [killed, troubled], cluster: [several] };

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    store: { type: 'string', default: 'embedded' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    json: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const kinds = Object.hasOwn(stores, values.store) ? stores[values.store] : undefined;
if (!(minutes > 0) || !Number.isSafeInteger(seed) || seed < 0 || !kinds) {
  console.error('--minutes must be a number above 0, --seed an integer from 0, --store embedded or cluster');
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

const random = seeded(seed);
const started = performance.now();
const minutesNow = () => (performance.now() - started) / 60_000;
const isTerminal = process.stderr.isTTY;
const say = (/** @type {string} */ line) => console[values.json ? 'error' : 'log'](line);
const names = ['rounds', 'kills', 'failovers', 'sent', 'acked', 'delivered', 'lost', 'repeated', 'swapped', 'changed'];
/** @type {Record<string, number>} */
const total = { runs: 0, unclean: 0, ...Object.fromEntries(names.map((name) => [name, 0])) };
/** How often each fault was met. @type {Record<string, number>} */
const met = {};
let serverPeakBytes = 0;
/** @type {object[]} */
const unclean = [];

say(`${minutes} minutes of faults, store ${values.store}, seed ${seed}`);
while (minutesNow() < minutes) {
  const { command, run } = kinds[total.runs % kinds.length];
  const own = pick(random, 2 ** 31);
  const progress = (/** @type {string} */ line) =>
    isTerminal && process.stderr.write(`\r\x1b[K${minutesNow().toFixed(1)} of ${minutes} minutes: ${line}`);
  const outcome = await run({ seed: own, progress }).catch((error) => ({ problems: [String(error?.stack ?? error)] }));
  if (isTerminal) process.stderr.write('\r\x1b[K');
  take(outcome, `node test/faults/${command} --seed ${own}`);
}

/** @param {any} outcome @param {string} again the command that repeats it */
function take(outcome, again) {
  const { findings = [], problems = [], seconds = 0 } = outcome;
  const kills = (outcome.kills ?? outcome.serverKills ?? 0) + (outcome.clientKills ?? 0);
  const counts = { ...outcome, kills, failovers: outcome.met?.failovers ?? 0 };
  total.runs += 1;
  for (const name of names) total[name] += counts[name] ?? 0;
  for (const [name, times] of Object.entries(outcome.met ?? {})) met[name] = (met[name] ?? 0) + times;
  serverPeakBytes = Math.max(serverPeakBytes, outcome.peakBytes ?? 0);
  const isClean = findings.length + problems.length === 0 && outcome.acked > 0;
  const told = names.map((name) => `${name} ${counts[name] ?? 0}`).join(', ');
  const here = megabytes(process.memoryUsage.rss());
  say(`${minutesNow().toFixed(1)} min, run ${total.runs} (${again}; ${seconds} s): ${told}; memory ${here} MB here, ${megabytes(outcome.peakBytes ?? 0)} MB server${isClean ? '' : ' — NOT CLEAN'}`); // prettier-ignore
  if (isClean) return;
  total.unclean += 1;
  const shown = { again, findings: findings.slice(0, shownFindings), problems: problems.slice(0, shownFindings) };
  unclean.push(shown);
  say(JSON.stringify(shown, null, 1));
}

/** @param {number} bytes */
function megabytes(bytes) {
  return Math.round(bytes / 2 ** 20);
}

const told = { store: values.store, seed, minutes: Math.round(minutesNow() * 10) / 10, ...total, serverPeakMegabytes: megabytes(serverPeakBytes), met, unclean }; // prettier-ignore
if (values.json) console.log(JSON.stringify(told));
else {
  console.log('');
  for (const [name, value] of Object.entries({ ...total, 'server, most MB': megabytes(serverPeakBytes) }))
    console.log(`${name.padEnd(16)}${String(value).padStart(12)}`);
  console.log(`faults met: ${JSON.stringify(met)}`);
  console.log(total.unclean === 0 ? 'clean' : `${total.unclean} of ${total.runs} runs were not clean`);
}
process.exitCode = total.unclean === 0 ? 0 : 1;
