// npm run simulate -- --seeds N [--seed K] [--jobs J] [--json]: random schedules of the shipped client, server code and engine in
// virtual time. A seed that fails is run again with ever fewer steps, and what is left of it is printed with the lines of
// its trace that concern the finding. Exit code 1 then.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { minimise } from './minimise.js';
import { runSeed } from './schedule.js';

const TRACE_LINES = 80;
/** A run of this many seeds must meet all of the following, or the load is too tame to show anything. */
const TELLING = 1000;
const SOMETIMES = [
  ...['crash', 'kill', 'power cut', 'half-open', 'lost frame', 'lagging', 'OUTBOX_FAILED'],
  ...['duplicate', 'gap', 'unknown_producer', 'unavailable', 'unknown_conv', 'package_incomplete', 'status', 'skip'],
  ...['gone back', 'truncated', 'voided', 'moved', 'old outbox', 'wiped outbox', 'double', 'conflict', 'new device'],
  ...['head', 'hole', 'reset', 'system.members', 'close 1013', 'close 4408', 'close 4409', 'close 4410'],
  // Of several servers on one store.
  ...['failover', 'tail lost', 'epoch', 'takeover', 'stale_device', 'store timed out', 'done unheard', 'done late'],
  ...['not replicated', 'bell lost', 'bell repeated', 'bell late', 'missed bell', 'subscribed again', 'caught up'],
  ...['held back', 'gap of bells'],
];
/** Failing seeds, after which it ends. */
const MAX_FAILED = 5;
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    first: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [count, first, jobs] = [values.seeds, values.seed, values.jobs].map(Number);
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(first) || !Number.isInteger(jobs) || jobs < 1) {
  console.error('usage: npm run simulate -- --seeds N [--seed K] [--jobs J] [--first] [--json]');
  process.exit(2);
}
if (process.send) await work();
else await lead();

/** One of several processes: runs the seeds that it is given, one after the other. */
async function work() {
  // Control-C is for the one that leads.
  process.on('SIGINT', () => {});
  process.on('message', async (/** @type {number} */ seed) => {
    const { ok, counts, trace, virtualMs, verdict, errors } = await runSeed(seed).catch((error) => ({
      ok: false,
      counts: new Map(),
      trace: { events: 0 },
      virtualMs: 0,
      verdict: { findings: [] },
      errors: [String(error.stack)],
    }));
    const found = ok ? [] : [...errors, ...verdict.findings].slice(0, 10);
    process.send?.({ seed, ok, counts: [...counts], events: trace.events, virtualMs, found });
  });
  process.on('disconnect', () => process.exit(0));
}

async function lead() {
  /** @type {Map<string, number>} */
  const met = new Map();
  const failed = [];
  const total = { done: 0, events: 0, virtualMs: 0 };
  const started = Date.now();
  await overSeeds(({ seed, ok, counts, events, virtualMs, found }) => {
    for (const [name, times] of counts) met.set(name, (met.get(name) ?? 0) + times);
    total.done += 1;
    total.events += events;
    total.virtualMs += virtualMs;
    if (!ok) failed.push({ seed, found });
    if (process.stdout.isTTY) process.stdout.write(`\r${total.done}/${count} seeds, ${failed.length} failed `);
    return failed.length < (values.first ? 1 : MAX_FAILED);
  });
  const seconds = Math.round((Date.now() - started) / 1000);
  if (values.json)
    console.log(JSON.stringify({ seeds: total.done, first, seconds, failed, met: Object.fromEntries(met) }));
  else {
    const virtual = `${total.events} frames, ${Math.round(total.virtualMs / 1000)} s of virtual time in ${seconds} s`;
    console.log(`\n${total.done} seeds from ${first}: ${failed.length} failed; ${virtual}`);
    const sorted = [...met].sort(([a], [b]) => a.localeCompare(b));
    console.log(sorted.map(([name, times]) => `${name} ${times}`).join(', '));
    for (const { seed } of failed) await explain(seed);
  }
  const tame = total.done < TELLING ? [] : SOMETIMES.filter((name) => !met.has(name));
  if (tame.length > 0) console.error(`never met: ${tame.join(', ')}`);
  process.exitCode = failed.length + tame.length > 0 ? 1 : 0;
}

/** Whoever ends it early gets the account of what was run. @param {(result: any) => boolean} take false: enough */
function overSeeds(take) {
  let next = first;
  let isEnough = false;
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => (isEnough = true));
  const one = () =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
      const give = () => {
        if (isEnough || next >= first + count) child.disconnect();
        else child.send(next++);
      };
      child.on('message', (result) => {
        if (!take(result)) isEnough = true;
        give();
      });
      child.on('exit', (code) => (code === 0 ? resolve(undefined) : reject(new Error(`a process ended with ${code}`))));
      give();
    });
  return Promise.all(Array.from({ length: Math.min(jobs, count) }, one));
}

/** @param {number} seed */
async function explain(seed) {
  const steps = await minimise(seed);
  const { verdict, errors, trace } = await runSeed(seed, { keep: true, steps });
  console.log(`\nseed ${seed} fails, also with the steps ${steps.join(' ')} alone:`);
  for (const error of errors.slice(0, 10)) console.log(`  ${error}`);
  for (const finding of verdict.findings.slice(0, 10)) console.log(`  ${JSON.stringify(finding)}`);
  const [finding] = verdict.findings;
  const wanted = [finding?.id, finding?.seq && `"seq":${finding.seq},`].filter(Boolean);
  const concerns = (/** @type {string} */ line) =>
    / (step|server) /.test(line) || wanted.length === 0 || wanted.some((text) => line.includes(text));
  for (const line of (trace.lines ?? []).filter(concerns).slice(-TRACE_LINES)) console.log(`    ${line.slice(0, 300)}`);
}
