// npm run bench: what one message costs on the main path, beside a bare relay, on this machine; npm run bench -- paging:
// what a page costs; npm run bench -- slow-reader: what bad readers cost the others; npm run bench --
// primitives: what an operation of the native primitives costs; npm run bench -- redis: what storing a message in Redis
// costs; npm run bench -- idempotency: what idempotency holds, and costs. See bench/README.md.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { measureMainPath } from './main-path.js';
import { paging } from './paging-command.js';
import { primitives } from './primitives-command.js';
import { retention } from './retention-command.js';
import { slowReader } from './slow-reader-command.js';
import { targets } from './targets.js';

if (process.argv[2] === 'idempotency') {
  const { idempotency } = await import('./idempotency-command.js'); // with database drivers, which the others need not have
  await idempotency(process.argv.slice(3));
  process.exit();
}

if (process.argv[2] === 'slow-reader') {
  await slowReader(process.argv.slice(3));
  process.exit(0);
}

if (process.argv[2] === 'retention') {
  await retention(process.argv.slice(3));
  process.exit(0);
}
if (process.argv[2] === 'paging') {
  await paging(process.argv.slice(3));
  process.exit(0);
}

if (process.argv[2] === 'redis') {
  const { redis } = await import('./redis-command.js');
  await redis(process.argv.slice(3));
  process.exit(0);
}

if (process.argv[2] === 'primitives') {
  await primitives(process.argv.slice(3));
  process.exit(0);
}

const { values: flags } = parseArgs({
  options: {
    pairs: { type: 'string', default: '200' },
    bytes: { type: 'string', default: '200' },
    unanswered: { type: 'string', default: '1' },
    'got-every': { type: 'string', default: '1' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '2' },
    repetitions: { type: 'string', default: '3' },
    servers: { type: 'string', default: Object.keys(targets).join(',') },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});

/** @param {string} message @returns {never} */
function usage(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

/** @param {'pairs' | 'bytes' | 'unanswered' | 'got-every' | 'seconds' | 'warmup' | 'repetitions'} name @param {number} least @param {number} most */
function number(name, least, most) {
  const value = Number(flags[name]);
  return value >= least && value <= most ? value : usage(`--${name} must be from ${least} to ${most}`);
}

const servers = flags.servers.split(',');
for (const key of servers)
  if (!(key in targets)) usage(`--servers: there is no ${key}, only ${Object.keys(targets).join(', ')}`);
const isTerminal = process.stderr.isTTY;
const options = {
  pairs: number('pairs', 1, 5000),
  bytes: number('bytes', 2, 16_384),
  unanswered: number('unanswered', 1, 64),
  gotEvery: number('got-every', 1, 128),
  seconds: number('seconds', 0.1, 600),
  warmupSeconds: number('warmup', 0, 60),
  repetitions: number('repetitions', 1, 100),
  servers,
  dir: flags.dir,
};
const machine = describeMachine(options.dir);
const measured = await measureMainPath({
  ...options,
  progress: (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`),
});
if (isTerminal) process.stderr.write('\r\x1b[K');
const relay = measured.relay?.median;

if (flags.json) {
  console.log(JSON.stringify({ machine, options, servers: measured }));
} else {
  const { cores, cpu, memoryGiB, kernel, node, fileSystem } = machine;
  const { pairs, bytes, unanswered, gotEvery, repetitions, seconds, warmupSeconds } = options;
  console.log(
    `machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, store on ${fileSystem}`,
  );
  console.log(
    `load: ${pairs} pairs, ${bytes}-byte messages, ${unanswered} unanswered each, an ack of the receiver every ${gotEvery}`,
  );
  console.log(`runs: ${repetitions} of ${seconds} s after ${warmupSeconds} s, servers in turn; medians\n`);
  const rows = Object.values(measured).map(({ name, median }) => [
    name,
    median.serverCpuMicros.toFixed(1),
    median.messagesPerSecond.toFixed(0),
    median.p50Ms.toFixed(2),
    median.p99Ms.toFixed(2),
    median.messagesPerGroup?.toFixed(1) ?? '',
    median.messagesPerSync?.toFixed(1) ?? '',
    relay ? (median.serverCpuMicros / relay.serverCpuMicros).toFixed(2) : '',
    median.generatorCpuMicros.toFixed(1),
  ]);
  const columns = [
    'server',
    'CPU µs/msg',
    'messages/s',
    'p50 ms',
    'p99 ms',
    'msgs/group',
    'msgs/sync',
    'CPU : relay',
    'generator µs/msg',
  ];
  for (const row of [columns, ...rows]) {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(Math.max(10, columns[i].length + 2)))).join(''),
    );
  }
}
