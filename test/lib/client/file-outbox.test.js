/** The file outbox under what a machine may do to it: torn ends, damage, kill -9, two owners. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileOutbox } from '../../../lib/client/file-outbox.js';
import { decodeJournal, encodeJournal } from '../../../lib/client/node/journal.js';

const DM = 'dm:alice:bob';
const message = (id) => ({ conv: DM, id, bodyText: JSON.stringify(id), at: 1 });
const APPENDER = new URL('./fake/appender.js', import.meta.url);

describe('file outbox', () => {
  let dir;
  let devices = 0;
  // In memory where there is such a place: these tests sync thousands of times, and none cuts the power.
  const root = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  beforeEach(() => (dir = mkdtempSync(join(root, 'everyonce-outbox-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const journal = () => join(dir, 'outbox.journal');
  const opened = async (where = dir) => {
    const outbox = new FileOutbox({ dir: where });
    await outbox.open({ newDevice: () => `device-${++devices}` });
    return outbox;
  };
  const ids = (outbox) => outbox.state.entriesOf(DM).map(({ id }) => id);

  it('keeps messages, numbers, positions and the device over a reopening, and raises pe', async () => {
    const first = await opened(join(dir, 'made', 'if', 'missing'));
    const entries = await Promise.all([1, 2, 3].map((i) => first.append(message(`message-${i}`))));
    first.settle(entries[0], { seq: 1, epoch: 1, mid: '1', at: 1 });
    first.handled(DM, 1, 7, 'key');
    const { device } = first.state;
    await first.close();
    const second = await opened(join(dir, 'made', 'if', 'missing'));
    assert.deepEqual([second.state.device, second.state.pe, ids(second)], [device, 2, ['message-2', 'message-3']]);
    assert.equal(second.state.positions.get(DM).seq, 7);
    assert.equal((await second.append(message('message-4'))).n, 4);
    await second.close();
  });

  it('torn at any byte: a prefix of what was written, no number twice', async function () {
    this.timeout(60_000);
    const first = await opened();
    for (let i = 1; i <= 3; i++) {
      const entry = await first.append(message(`message-${i}`));
      if (i === 2) first.settle(entry, { seq: 1, epoch: 1, mid: '1', at: 1 });
    }
    await first.flush();
    const whole = readFileSync(journal());
    const { device } = first.state;
    await first.close();
    const prefixes = ['', 'message-1', 'message-1,message-2', 'message-1', 'message-1,message-3'];
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(journal(), whole.subarray(0, length));
      const torn = await opened();
      assert.ok(prefixes.includes(ids(torn).join()), `${length}: ${ids(torn)}`);
      const sameDevice = torn.state.device === device;
      const highest = Math.max(0, ...torn.state.entriesOf(DM).map(({ n }) => n));
      const next = await torn.append(message('message-n'));
      if (highest > 0) assert.ok(sameDevice && next.n > highest, `${length}: ${next.n}`);
      await torn.close();
    }
  });

  it('damaged in the middle: keeps what can be read, under a new device', async () => {
    const first = await opened();
    for (let i = 1; i <= 4; i++) await first.append(message(`message-${i}`));
    await first.close();
    const bytes = readFileSync(journal());
    bytes[bytes.indexOf('message-2')] ^= 1;
    writeFileSync(journal(), bytes);
    const second = await opened();
    assert.notEqual(second.state.device, first.state.device);
    assert.deepEqual(
      second.warnings.map(({ code }) => code),
      ['OUTBOX_DAMAGED'],
    );
    assert.deepEqual(second.state.entriesOf(DM).map(({ id, device }) => [id, device]), ['message-1', 'message-3', 'message-4'].map((id) => [id, first.state.device])); // prettier-ignore
    await second.close();
  });

  it('refuses a journal of a newer version, and leaves it as it is', async () => {
    const bytes = encodeJournal([{ k: 'format', v: 999 }]);
    writeFileSync(journal(), bytes);
    await assert.rejects(opened(), { code: 'OUTBOX_VERSION' });
    assert.deepEqual(readFileSync(journal()), bytes);
  });

  it('finds its way again behind any damage of the bytes', () => {
    const bytes = encodeJournal([
      { k: 'format', v: 1 },
      { k: 'user', user: 'alice' },
      { k: 'user', user: 'bob' },
    ]);
    for (let at = 0; at < bytes.length; at++) {
      const broken = Buffer.from(bytes);
      broken[at] ^= 0x41;
      const { records, damaged } = decodeJournal(broken);
      assert.ok(records.length < 3, `${at}`);
      assert.equal(damaged, records.length > 0 && records.at(-1).user === 'bob', `${at}`);
    }
  });

  it('belongs to one owner in this process and over processes', async () => {
    const first = await opened();
    await assert.rejects(opened(), { code: 'OUTBOX_LOCKED', option: 'dir' });
    const child = fork(APPENDER, [dir], { stdio: 'ignore' });
    const [told] = await once(child, 'message');
    assert.equal(told.error, 'OUTBOX_LOCKED');
    await once(child, 'exit');
    await first.close();
    assert.deepEqual(readdirSync(dir), ['outbox.journal']);
    await (await opened()).close();
  });

  it('says which directory can not be used', async () => {
    writeFileSync(join(dir, 'a-file'), '');
    await assert.rejects(opened(join(dir, 'a-file', 'below')), { code: 'OUTBOX_FAILED' });
    assert.throws(() => new FileOutbox({}), { code: 'INVALID_ARGUMENT', option: 'dir' });
  });

  it('survives kill -9 while it is appending: all that it said is durable is there, the lock is free', async () => {
    let device = '';
    for (let round = 0; round < 4; round++) {
      const child = fork(APPENDER, [dir, String(round)], { stdio: 'ignore' });
      const durable = [];
      child.on('message', ({ id, n }) => {
        durable.push({ id, n });
        if (durable.length === 40 + round * 7) child.kill('SIGKILL');
      });
      await once(child, 'exit');
      const outbox = await opened();
      const entries = new Map(outbox.state.entriesOf(DM).map((entry) => [entry.id, entry]));
      assert.ok(durable.length >= 40);
      for (const { id, n } of durable) assert.equal(entries.get(id)?.n, n, id);
      const numbers = [...entries.values()].map(({ n }) => n);
      assert.deepEqual(
        numbers,
        numbers.map((_, i) => i + 1),
        'dense, in order',
      );
      assert.ok(device === '' || device === outbox.state.device);
      device = outbox.state.device;
      assert.deepEqual(outbox.warnings, []);
      await outbox.close();
    }
  });
});
