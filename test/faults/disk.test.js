// A real server process whose disk fails to sync, or is full, in mid-load: what was acked is there in the end, and nothing was
// acked that might not be.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leaveOut } from '../support/left-out.js';
import { printedSeed } from '../support/seed.js';
import { mountSmallDisk, noSmallDisk, syncFaults } from './disks.js';
import { Troubled } from './troubled.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const rounds = isLong ? 40 : 1;
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

describe('a disk in trouble', function () {
  this.timeout(isLong ? 900_000 : 120_000);

  afterEach(async () => {
    await troubled?.close();
    troubled = undefined;
    for (const cleanup of cleanups.reverse()) await cleanup();
    cleanups = [];
  });

  it(`that can't sync, and drops what it could not, ${rounds} times: no ack, and nothing acked is lost`, async () => {
    const sync = syncFaults(directory());
    const run = await begin({ seed: printedSeed(), env: sync.env });
    for (let round = 0; round < rounds; round++) {
      await run.moreAcks(20);
      await run.readyToProbe();
      sync.fail();
      // What was synced before is answered yet; from then on nothing may be.
      await run.untilUnavailable(2);
      const before = run.acks;
      assert.equal(await run.untilUnavailable(6), 0, 'acked, and not on the disk');
      assert.equal(run.acks, before, 'acked, and not on the disk');
      const isKilled = round % 2 === 1 || rounds === 1;
      if (isKilled) await run.server?.kill();
      sync.mend();
      if (isKilled) await run.server?.start();
    }
    await run.moreAcks(20);
    const { ok, text } = await run.end();
    assert.ok(ok, text);
  });

  const why = noSmallDisk();
  if (why) return leaveOut('a disk in trouble: that is full', why);

  it('that is full: refused with a time to come again, and all is well once there is room', async () => {
    const data = directory();
    const disk = mountSmallDisk(data, diskBytes);
    afterwards(disk.unmount);
    const run = await begin({ seed: printedSeed(), data: join(data, 'store') });
    await run.moreAcks(20);
    await run.readyToProbe();
    disk.fill();
    // The log was given room ahead; that has to be used up, too.
    await run.untilUnavailable(3, 16_000);
    disk.empty();
    await run.moreAcks(20);
    const { ok, text } = await run.end();
    assert.ok(ok, text);
  });
});
