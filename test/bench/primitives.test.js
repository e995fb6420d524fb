// That the benchmark of the primitives runs and prints what bench/README.md says. What it measures is no test's business.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bench/index.js', import.meta.url));
/** @param {string[]} args */
const bench = (...args) => promisify(execFile)(process.execPath, [program, 'primitives', ...args]);

describe('npm run bench -- primitives', function () {
  this.timeout(60_000);

  it('measures every primitive beside its contenders', async () => {
    const { stdout } = await bench('--rounds', '1', '--count', '2000', '--json');
    const { machine, results, fullSpeed } = JSON.parse(stdout);
    assert.equal(machine.node, process.version);
    assert.equal(results.length, 7);
    for (const { title, contenders } of results) {
      assert.ok(contenders.length >= 2, title);
      for (const { name, nanoseconds } of contenders) assert.ok(nanoseconds >= 0, `${title}: ${name}`);
    }
    assert.equal(fullSpeed[0].different, 2000);
  });

  it('prints tables, and the machine', async () => {
    const { stdout } = await bench('--rounds', '1', '--count', '64');
    assert.match(stdout, /^machine: \d+ cores, .* Linux .* Node v/);
    assert.match(stdout, /^ {2}everyonce nextBatch\(1000\) +[\d.]+ +[\d.]+$/m);
  });

  it('says what is wrong with an option', async () => {
    await assert.rejects(bench('--rounds', '0'), /--rounds is from 1/);
  });
});
