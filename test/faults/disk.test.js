// A real server process whose disk fails to sync, or is full, in mid-load: what was acked is there in the end, and nothing was
// acked that might not be.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Troubled } from './troubled.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const rounds = isLong ? 40 : 1;
const source = fileURLToPath(new URL('native/sync_fault.c', import.meta.url));
const diskBytes = 48 * 1024 * 1024;

/** @type {Troubled | undefined} */
let troubled;
/** @type {(() => unknown)[]} */
let cleanups = [];

/** @param {() => unknown} cleanup */
const afterwards = (cleanup) => void cleanups.push(cleanup);

/** @param {ConstructorParameters<typeof Troubled>[0]} options */
async function begin(options) {
  troubled = new Troubled(options);
  await troubled.begin();
  return troubled;
}

/** @returns {string} an empty directory */
function directory() {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-disk-'));
  afterwards(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const seedNow = () => Number(process.env.SEED ?? randomInt(2 ** 31));

describe('a disk in trouble', function () {
  this.timeout(isLong ? 900_000 : 60_000);

  afterEach(async () => {
    await troubled?.close();
    troubled = undefined;
    for (const cleanup of cleanups.reverse()) await cleanup();
    cleanups = [];
  });

  it(`that can't sync, and drops what it could not, ${rounds} times: no ack, and nothing acked is lost`, async () => {
    const dir = directory();
    const library = join(dir, 'sync_fault.so');
    const compiled = spawnSync('gcc', ['-shared', '-fPIC', '-O1', source, '-o', library], { encoding: 'utf8' });
    assert.equal(compiled.status, 0, compiled.stderr);
    const fault = join(dir, 'fault');
    const env = { LD_PRELOAD: library, EVERYONCE_SYNC_FAULT: fault };
    const run = await begin({ seed: seedNow(), env });
    for (let round = 0; round < rounds; round++) {
      await run.moreAcks(20);
      await run.readyToProbe();
      writeFileSync(fault, '');
      // What was synced before is answered yet; from then on nothing may be.
      await run.untilUnavailable(2);
      const before = run.acks;
      assert.equal(await run.untilUnavailable(6), 0, 'acked, and not on the disk');
      assert.equal(run.acks, before, 'acked, and not on the disk');
      const isKilled = round % 2 === 1 || rounds === 1;
      if (isKilled) await run.server?.kill();
      rmSync(fault);
      if (isKilled) await run.server?.start();
    }
    await run.moreAcks(20);
    const { ok, text } = await run.end();
    assert.ok(ok, text);
  });

  if (!isLong) it('that is full: in the long form, npm run faults', () => {});
  else if (process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0) {
    it('that is full: refused with a time to come again, and all is well once there is room', async () => {
      const data = directory();
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', data], { encoding: 'utf8' }); // prettier-ignore
      assert.equal(mounted.status, 0, mounted.stderr);
      afterwards(() => spawnSync('umount', ['--lazy', data]));
      const run = await begin({ seed: seedNow(), data: join(data, 'store') });
      await run.moreAcks(20);
      await run.readyToProbe();
      const ballast = join(data, 'ballast');
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64K']);
      // The log was given room ahead; that has to be used up, too.
      await run.untilUnavailable(3, 16_000);
      rmSync(ballast);
      await run.moreAcks(20);
      const { ok, text } = await run.end();
      assert.ok(ok, text);
    });
  } else it('that is full: left out, a small disk can be mounted by root alone', () => {});
});
