// The command line of `npm run bench -- retention`.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { measureRetention } from './retention.js';

/** @param {string[]} args */
export async function retention(args) {
  const { values: flags } = parseArgs({
    args,
    options: {
      backlog: { type: 'string', default: '300000' },
      keep: { type: 'string', default: '100' },
      senders: { type: 'string', default: '32' },
      bytes: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '8' },
      repetitions: { type: 'string', default: '3' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (/** @type {Exclude<keyof typeof flags, 'dir' | 'json'>} */ name, /** @type {number} */ most) => {
    const value = Number(flags[name]);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    console.error(`bench: --${name} must be an integer from 1 to ${most}`);
    return process.exit(2);
  };
  const options = {
    backlog: number('backlog', 100_000_000),
    keep: number('keep', 1_000_000),
    senders: number('senders', 1000),
    bytes: number('bytes', 16_384),
    seconds: number('seconds', 600),
    repetitions: number('repetitions', 100),
    dir: flags.dir,
  };
  const isTerminal = process.stderr.isTTY;
  const machine = describeMachine(options.dir);
  const runs = await measureRetention({
    ...options,
    progress: (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`),
  });
  if (isTerminal) process.stderr.write('\r\x1b[K');
  if (flags.json) return console.log(JSON.stringify({ machine, options, runs }));
  const { cores, cpu, memoryGiB, kernel, node, fileSystem } = machine;
  console.log(
    `machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, store on ${fileSystem}`,
  );
  console.log(`${options.senders} senders, one message of ${options.bytes} bytes on its way each, synced commits;`);
  console.log(`${options.backlog} messages stored before; medians of ${options.repetitions}\n`);
  const columns = ['retention', 'p50 ms', 'p99 ms', 'p99.9 ms', 'most ms', 'acks/s', 'removed', 'MiB before', 'after'];
  const rows = Object.entries(runs).map(([kind, each]) => {
    const median = (/** @type {keyof import('./retention.js').Run} */ name) =>
      each.map((run) => run[name]).sort((a, b) => a - b)[Math.floor(each.length / 2)];
    return [
      kind === 'with' ? 'running' : 'none',
      median('p50Ms').toFixed(2),
      median('p99Ms').toFixed(2),
      median('p999Ms').toFixed(2),
      median('mostMs').toFixed(1),
      median('perSecond').toFixed(0),
      String(median('removed')),
      median('diskBeforeMiB').toFixed(0),
      median('diskAfterMiB').toFixed(0),
    ];
  });
  for (const row of [columns, ...rows]) {
    console.log(row.map((cell, i) => cell.padStart(Math.max(9, columns[i].length + 2))).join(''));
  }
}
