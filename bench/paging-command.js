// The command line of `npm run bench -- paging`.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { measurePaging } from './paging.js';

/** @param {string[]} args */
export async function paging(args) {
  const { values: flags } = parseArgs({
    args,
    options: {
      most: { type: 'string', default: '1000000' },
      pages: { type: 'string', default: '50' },
      limit: { type: 'string', default: '20' },
      bytes: { type: 'string', default: '200' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (/** @type {'most' | 'pages' | 'limit' | 'bytes'} */ name, /** @type {number} */ most) => {
    const value = Number(flags[name]);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    console.error(`bench: --${name} must be an integer from 1 to ${most}`);
    return process.exit(2);
  };
  const most = number('most', 10_000_000);
  const sizes = [1000, 10_000, 100_000, 1_000_000, 10_000_000].filter((size) => size <= most);
  if (sizes.length === 0) sizes.push(most);
  const options = {
    sizes,
    pages: number('pages', 10_000),
    limit: number('limit', 200),
    bytes: number('bytes', 500),
    dir: flags.dir,
  };
  const isTerminal = process.stderr.isTTY;
  const machine = describeMachine(options.dir);
  const costs = await measurePaging({
    ...options,
    progress: (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`),
  });
  if (isTerminal) process.stderr.write('\r\x1b[K');
  if (flags.json) return console.log(JSON.stringify({ machine, options, costs }));
  const { cores, cpu, memoryGiB, kernel, node, fileSystem } = machine;
  console.log(
    `machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, store on ${fileSystem}`,
  );
  console.log(`pages of ${options.limit} messages of ${options.bytes} bytes, one after the other, one connection\n`);
  const columns = ['stored', 'what', 'pages', 'p50 ms', 'p99 ms', 'server CPU µs/page'];
  const rows = costs.map(({ stored, what, pages, p50Ms, p99Ms, cpuMicros }) => [
    String(stored),
    what,
    String(pages),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    cpuMicros.toFixed(0),
  ]);
  for (const row of [columns, ...rows]) {
    console.log(row.map((cell, i) => cell.padStart(Math.max(9, columns[i].length + 2))).join(''));
  }
}
