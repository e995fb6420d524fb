// A short run of the fuzzer of the client's packets, in a process of its own, so that a hang is seen as one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chosenSeed } from '../support/seed.js';

const program = fileURLToPath(new URL('client.js', import.meta.url));
const last = fileURLToPath(new URL('../../build/Fuzz/client-last', import.meta.url));

describe('fuzz: client', function () {
  this.timeout(70_000);

  it('bears packets that are damaged, and packets that lie', () => {
    const seed = chosenSeed();
    const run = spawnSync(process.execPath, [program, '--cases', '60', '--seed', String(seed)], { encoding: 'utf8', timeout: 60_000 }); // prettier-ignore
    assert.equal(run.signal, null, `case ${readFileSync(last, 'utf8')} hangs`);
    assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
  });
});
