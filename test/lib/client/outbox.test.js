/** The rules of every outbox, over memory; and what a failing storage may do to them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { JournalOutbox, MemoryOutbox } from '../../../lib/client/index.js';
import { emptyAbandonedSlot } from '../../../lib/client/indexeddb-outbox.js';
import { OutboxState, RECENT_KEPT } from '../../../lib/client/outbox-state.js';
import { positionsToBring } from '../../../lib/client/outbox.js';
import { makeWorld } from './fake/world.js';

const DM = 'dm:alice:bob';
const message = (id, conv = DM) => ({ conv, id, bodyText: `"${id}"`, at: 1 });
const place = (seq, epoch = 1) => ({ seq, epoch, mid: String(seq), at: 1 });

/** A storage in memory that outlives its outbox, and fails when told. */
function makeStorage() {
  const storage = {
    records: [],
    fail: null,
    syncs: 0,
    open: async () => ({ records: structuredClone(storage.records) }),
    async write(records, { sync }) {
      if (storage.fail) throw storage.fail;
      storage.records.push(...structuredClone(records));
      if (sync) storage.syncs += 1;
    },
    async replace(records) {
      if (storage.fail) throw storage.fail;
      storage.records = structuredClone(records);
    },
    close: async () => {},
  };
  return storage;
}

let devices = 0;
const opened = async (storage, options = {}) => {
  const outbox = new JournalOutbox(storage);
  await outbox.open({ newDevice: () => `device-${++devices}`, ...options });
  return outbox;
};

/** What an outbox knows, for comparing. */
const known = ({ state }) => {
  const { device, user, entries, counters, acked, positions } = state;
  return structuredClone({ device, user, entries, counters, acked, positions });
};

describe('outbox: rules', () => {
  it('numbers messages per conversation, and never gives a number twice', async () => {
    const storage = makeStorage();
    let outbox = await opened(storage);
    const [a, b, other] = await Promise.all([
      outbox.append(message('aaaaaaaa')),
      outbox.append(message('bbbbbbbb')),
      outbox.append(message('cccccccc', 'g:x')),
    ]);
    assert.deepEqual([a.n, b.n, other.n], [1, 2, 1]);
    outbox.settle(a, place(1));
    outbox.settle(b);
    await outbox.close();
    outbox = await opened(storage);
    assert.equal(outbox.state.pe, 2);
    assert.equal(outbox.state.size, 1);
    assert.equal((await outbox.append(message('dddddddd'))).n, 3);
    assert.deepEqual(
      outbox.state.acked.get(DM).map(({ id, n }) => [id, n]),
      [['aaaaaaaa', 1]],
    );
  });

  it('is the same after any operations and a reopening', async () => {
    const operation = fc.record({ kind: fc.nat(8), conv: fc.constantFrom(DM, 'g:x'), pick: fc.nat(), seq: fc.nat(90) });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 120 }), async (operations) => {
        const storage = makeStorage();
        let outbox = await opened(storage);
        const numbers = new Set();
        let messages = 0;
        for (const { kind, conv, pick, seq } of operations) {
          const entries = outbox.state.entriesOf(conv);
          const entry = entries[pick % (entries.length || 1)];
          if (kind <= 2) {
            const { device, n } = await outbox.append(message(`message-${++messages}`, conv));
            if (n > 0) {
              assert.ok(!numbers.has(`${device}/${conv}/${n}`), 'a number is given once');
              numbers.add(`${device}/${conv}/${n}`);
            }
          } else if (kind === 3 && entry) outbox.settle(entry, place(seq));
          else if (kind === 4 && entry) await outbox.skip(entry);
          else if (kind === 5) outbox.handled(conv, 1, seq, `key-${pick % 9}`);
          else if (kind === 6) {
            outbox.voidAbove(conv, 2, seq);
            outbox.reoffer(conv, ({ accepted }) => accepted.seq > seq);
          } else if (kind === 7) {
            await outbox.renewDevice(`device-${++devices}`);
            for (const [name, list] of outbox.state.entries) {
              await outbox.adopt(name, list.filter(({ device }) => device !== outbox.state.device)); // prettier-ignore
              for (const adopted of list) numbers.add(`${adopted.device}/${name}/${adopted.n}`);
            }
          } else if (kind === 8) {
            const before = known(outbox);
            await outbox.close();
            outbox = await opened(storage);
            assert.deepEqual(known(outbox), before);
          }
        }
        const before = known(outbox);
        await outbox.close();
        assert.deepEqual(known(await opened(storage)), before);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps the last 64 acked, and bounds what it remembers of handled ones', async () => {
    const outbox = await opened(makeStorage());
    for (let i = 1; i <= 100; i++) {
      outbox.settle(await outbox.append(message(`message-${i}`)), place(i));
      outbox.handled(DM, 1, i, `key-${i}`);
    }
    assert.deepEqual(
      outbox.state.acked.get(DM).map(({ n }) => n),
      Array.from({ length: 64 }, (_, i) => i + 37),
    );
    outbox.voidAbove(DM, 2, 95);
    const { recent, voided, seq } = outbox.state.positions.get(DM);
    assert.equal(recent.length + voided.length, RECENT_KEPT);
    assert.deepEqual([seq, voided], [95, ['key-96', 'key-97', 'key-98', 'key-99', 'key-100']]);
  });

  it('knows what was being handled when a log went back, also after it went back once more', async () => {
    const outbox = await opened(makeStorage());
    for (let i = 1; i <= 100; i++) outbox.handled(DM, 1, i, `key-${i}`);
    outbox.voidAbove(DM, 2, 100, 'key-101');
    outbox.voidAbove(DM, 3, 0);
    const { voided } = outbox.state.positions.get(DM);
    assert.deepEqual([...voided].sort(), Array.from({ length: 65 }, (_, i) => `key-${i + 37}`).sort());
    // Whatever happens, the list has a bound.
    for (let i = 200; i <= 500; i++) outbox.voidAbove(DM, i, 0, `key-${i}`);
    assert.equal(outbox.state.positions.get(DM).voided.length, 2 * RECENT_KEPT);
  });

  it('a new device: what waits keeps its old number until it is adopted, and what comes after waits behind it', async () => {
    const outbox = await opened(makeStorage());
    const old = await outbox.append(message('oldmessage'));
    await outbox.renewDevice('new-device');
    const late = await outbox.append(message('newmessage'));
    const elsewhere = await outbox.append(message('elsewhere1', 'g:x'));
    assert.deepEqual([old.n, old.device === 'new-device', late.n, late.device, elsewhere.n], [1, false, 0, '', 1]);
    await outbox.adopt(DM, [old, late]);
    assert.deepEqual([old.n, old.device, late.n, late.device], [1, 'new-device', 2, 'new-device']);
    assert.equal((await outbox.append(message('another-1'))).n, 3);
  });

  it('brings the newest positions, and where only own messages are known', async () => {
    const outbox = await opened(makeStorage());
    for (let i = 0; i < 250; i++) outbox.handled(`g:${i}`, 1, i + 1);
    outbox.settle(await outbox.append(message('mymessage', 'g:mine')), place(9, 7));
    const first = positionsToBring(outbox.state);
    assert.equal(Object.keys(first).length, 200);
    assert.deepEqual(first['g:249'], [1, 250]);
    const rest = positionsToBring(outbox.state, new Set(Object.keys(first)));
    assert.equal(Object.keys(rest).length, 51);
    assert.deepEqual(rest['g:mine'], [7, 0]);
  });

  it('is opened once, by one client', async () => {
    const outbox = new MemoryOutbox();
    await outbox.open({ newDevice: () => 'a' });
    await assert.rejects(outbox.open({ newDevice: () => 'a' }), { code: 'OUTBOX_LOCKED' });
  });

  it('compacts what it wrote', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    for (let i = 0; i < 2_000; i++) outbox.settle(await outbox.append(message(`message-${i}`)));
    await outbox.flush();
    assert.ok(storage.records.length < 1_100, `${storage.records.length} records`);
    assert.equal((await outbox.append(message('message-x'))).n, 2_001);
  });
});

describe('outbox: a storage that fails', () => {
  it('takes no message that it could not write, and gives its number to the next', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    await outbox.append(message('message-1'));
    storage.fail = new Error('disk full');
    const failed = await Promise.allSettled(['message-2', 'message-3'].map((id) => outbox.append(message(id))));
    for (const { reason } of failed)
      assert.deepEqual([reason.code, reason.retryable, reason.cause.message], ['OUTBOX_FAILED', true, 'disk full']);
    assert.equal(outbox.state.size, 1);
    storage.fail = null;
    assert.equal((await outbox.append(message('message-4'))).n, 2);
    assert.deepEqual(known(await opened(storage)), known(outbox));
  });

  it('writes what it knows anew once it can, also what it did not wait for', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    const entry = await outbox.append(message('message-1'));
    storage.fail = new Error('disk full');
    outbox.settle(entry, place(1));
    await outbox.flush();
    storage.fail = null;
    await outbox.durable();
    assert.deepEqual(known(await opened(storage)), known(outbox));
  });

  it('resolves a message only after a synced write', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    await Promise.all([1, 2, 3].map((i) => outbox.append(message(`message-${i}`))));
    assert.equal(storage.syncs, 1, 'one write carries what gathered');
    outbox.handled(DM, 1, 1);
    await outbox.flush();
    assert.equal(storage.syncs, 1, 'a position waits for no disk');
  });
});

describe('outbox: what a closed tab left', () => {
  it('moves whole, keeping its device and numbers, and leaves nothing to send behind', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    await outbox.append(message('message-1'));
    await outbox.skip(await outbox.append(message('message-2')));
    await outbox.append(message('message-3'));
    outbox.handled(DM, 1, 5, 'key');
    await outbox.close();
    const { adds, rest } = emptyAbandonedSlot(storage.records, '');
    assert.deepEqual(adds.map(({ entry }) => [entry.id, entry.n, entry.device]), [['message-1', 1, outbox.state.device], ['message-3', 3, outbox.state.device]]); // prettier-ignore
    const left = new OutboxState();
    for (const record of rest) left.apply(record);
    assert.deepEqual([left.size, left.device, left.positions.get(DM).seq], [0, '', 5]);
    assert.equal(emptyAbandonedSlot(rest, ''), null);
  });

  it('is never taken by another user', async () => {
    const storage = makeStorage();
    const outbox = await opened(storage);
    await outbox.append(message('message-1'));
    await outbox.setUser('alice');
    assert.equal(emptyAbandonedSlot(storage.records, 'bob'), null);
    assert.equal(emptyAbandonedSlot(storage.records, ''), null);
    assert.equal(emptyAbandonedSlot(storage.records, 'alice').adds.length, 1);
  });

  it('is sent by the tab that takes it over, while it runs', async () => {
    const left = makeStorage();
    const closed = await opened(left);
    await closed.append(message('message-1'));
    await closed.close();
    const storage = makeStorage();
    let exclusively;
    storage.watch = (given) => (exclusively = given);
    const { clock, server, makeClient, online } = makeWorld();
    const outbox = new JournalOutbox(storage);
    const alice = makeClient('alice', { outbox });
    await online(alice);
    const first = alice.send(DM, 'own');
    await exclusively(async (user) => {
      const { adds, rest } = emptyAbandonedSlot(left.records, user);
      storage.records.push(...structuredClone(adds));
      left.records = rest;
      return adds;
    });
    await clock.advance(1_000);
    await first;
    assert.deepEqual(
      server.conversation(DM).messages.map(({ id, n, device }) => [id === 'message-1', n, device === alice.device]),
      [
        [false, 1, true],
        [true, 2, true],
      ],
    );
    await outbox.flush();
    assert.equal((await opened(storage)).state.size, 0);
    assert.equal(emptyAbandonedSlot(left.records, 'alice'), null);
  });
});
