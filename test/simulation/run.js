// npm run simulate -- --seeds N [--seed K]: random schedules of the shipped client, server code and engine in virtual time.
// A seed that fails is run again with its trace kept, and what concerns the finding is printed. Exit code 1 then.
import { parseArgs } from 'node:util';
import { runSeed } from './schedule.js';

const TRACE_LINES = 80;
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' } },
});
const count = Number(values.seeds);
const first = Number(values.seed);
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(first)) {
  console.error('usage: npm run simulate -- --seeds N [--seed K]');
  process.exit(2);
}

/** @type {Map<string, number>} */
const total = new Map();
const started = Date.now();
let failed = 0;
let events = 0;
let virtualMs = 0;
for (let seed = first; seed < first + count; seed++) {
  const run = await runSeed(seed);
  for (const [name, times] of run.counts) total.set(name, (total.get(name) ?? 0) + times);
  events += run.trace.events;
  virtualMs += run.virtualMs;
  if (!run.ok) {
    failed += 1;
    await explain(seed);
    if (failed >= 5) break;
  }
  if (process.stdout.isTTY) process.stdout.write(`\r${seed - first + 1}/${count} seeds, ${failed} failed `);
}
console.log(
  `\n${count} seeds from ${first}: ${failed} failed; ${events} frames, ${Math.round(virtualMs / 1000)} s of virtual time in ${Math.round((Date.now() - started) / 1000)} s`,
);
console.log(
  [...total]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, times]) => `${name} ${times}`)
    .join(', '),
);
process.exitCode = failed > 0 ? 1 : 0;

/** @param {number} seed */
async function explain(seed) {
  const { verdict, errors, trace } = await runSeed(seed, { keep: true });
  console.log(`\nseed ${seed} fails:`);
  for (const error of errors.slice(0, 10)) console.log(`  ${error}`);
  for (const finding of verdict.findings.slice(0, 10)) console.log(`  ${JSON.stringify(finding)}`);
  const [finding] = verdict.findings;
  const wanted = [finding?.id, finding?.seq && `"seq":${finding.seq},`].filter(Boolean);
  const about = (trace.lines ?? []).filter((line) => wanted.length === 0 || wanted.some((text) => line.includes(text)));
  for (const line of about.slice(-TRACE_LINES)) console.log(`    ${line.slice(0, 300)}`);
}
