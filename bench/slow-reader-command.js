// The command line of `npm run bench -- slow-reader`.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { measureSlowReader } from './slow-reader.js';

/** @param {string[]} args */
export async function slowReader(args) {
  const { values: flags } = parseArgs({
    args,
    options: {
      members: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '15' },
      bytes: { type: 'string', default: '2000' },
      window: { type: 'string', default: '16' },
      repetitions: { type: 'string', default: '3' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (
    /** @type {'members' | 'rate' | 'seconds' | 'bytes' | 'window' | 'repetitions'} */ name,
    /** @type {number} */ least,
    /** @type {number} */ most,
  ) => {
    const value = Number(flags[name]);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    console.error(`bench: --${name} must be an integer from ${least} to ${most}`);
    return process.exit(2);
  };
  const options = {
    members: number('members', 4, 10_000),
    rate: number('rate', 1, 1000),
    seconds: number('seconds', 1, 600),
    bytes: number('bytes', 20, 10_000),
    window: number('window', 1, 10_000),
    dir: flags.dir,
  };
  const repetitions = number('repetitions', 1, 20);
  const machine = describeMachine(options.dir);
  const runs = [];
  // In turn, so that what else the machine does meets both.
  for (let i = 0; i < repetitions; i++)
    for (const withSlow of [false, true]) runs.push(await measureSlowReader(options, withSlow));
  if (flags.json) return console.log(JSON.stringify({ machine, options, runs }));
  const { cores, cpu, memoryGiB, kernel, node } = machine;
  const { members, rate, seconds, bytes, window } = options;
  console.log(`machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`);
  console.log(`a group of ${members}, ${rate} messages/s of ${bytes} bytes for ${seconds} s, window ${window}\n`);
  const columns = ['readers', 'deliveries', 'missing', 'p50 ms', 'p99 ms', 'max ms', 'slow got', 'server +MiB'];
  const rows = runs.map((run) => [
    run.withSlow ? 'one slow, one dead' : 'all read',
    ...[run.deliveries, run.missing].map(String),
    ...[run.p50Ms, run.p99Ms, run.maxMs].map((ms) => ms.toFixed(1)),
    String(run.slowGot),
    run.residentMiB.toFixed(1),
  ]);
  for (const row of [columns, ...rows])
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(columns[i].length + 3))).join(''));
}
