// That the benchmark runs and prints what bench/README.md says. What it measures is no test's business.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bench/index.js', import.meta.url));
const short = ['--pairs', '4', '--seconds', '0.5', '--warmup', '0.2', '--repetitions', '1'];
/** @param {string[]} args */
const bench = (...args) => promisify(execFile)(process.execPath, [program, ...short, ...args]);

describe('npm run bench', function () {
  this.timeout(30_000);

  it('measures the server, durable and not, beside the relay', async () => {
    const { stdout } = await bench('--json');
    const { machine, options, servers } = JSON.parse(stdout);
    assert.equal(machine.node, process.version);
    assert.equal(options.pairs, 4);
    assert.deepEqual(Object.keys(servers), ['relay', 'disk', 'memory']);
    for (const { name, median } of Object.values(servers)) {
      for (const figure of ['messages', 'received', 'messagesPerSecond', 'serverCpuMicros', 'p50Ms', 'p99Ms']) {
        assert.ok(median[figure] > 0, `${name}: ${figure} ${median[figure]}`);
      }
    }
    assert.ok(servers.disk.median.messagesPerSync > 0);
  });

  it('prints a table, and the machine', async () => {
    const { stdout } = await bench('--servers', 'relay');
    assert.match(stdout, /^machine: \d+ cores, .* Linux .* Node v/);
    assert.match(stdout, /^bare ws relay +[\d.]+ +\d+ +[\d.]+ +[\d.]+/m);
  });

  it('says what is wrong with an option', async () => {
    await assert.rejects(bench('--pairs', '0'), /--pairs must be from 1 to 5000/);
    await assert.rejects(bench('--servers', 'other'), /there is no other, only relay, disk, memory/);
  });
});
