// What retention has removed, over real sockets: told as holes, stepped over, and known by its n all the same.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { Client } from '../../lib/client/index.js';
import { FileOutbox } from '../../lib/client/file-outbox.js';
import { MemoryOutbox } from '../../lib/client/outbox.js';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';

/** Both logs, each with a store that outlives the server only where it is on a disk. */
const stores = { memory: () => ({ memory: true }), disk: () => ({ data: join(makeDirectory(), 'data') }) };

/** Asks for the server's counters until `count` messages were removed: its rounds come by themselves. */
const removed = async (server, count) => {
  while (server.stats().removedMessages < count) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(server.stats().removedMessages, count);
};

const say = async (from, first, last) => {
  const acks = [];
  for (let n = first; n <= last; n++) acks.push(await from.say(DM, `message-${n}`, { n }, { n }));
  return acks;
};

for (const [name, store] of Object.entries(stores)) {
  describe(`flow: retention (${name})`, () => {
    afterEach(cleanUp);

    const start = (rule, where = store()) => startServer({ ...where, retention: { everyMs: 100, ...rule } });

    const bob = async (server, options = {}) => {
      const client = new Client({
        url: `ws://127.0.0.1:${server.port}`,
        token: 'bob',
        device: 'bob-1',
        outbox: new MemoryOutbox(),
        WebSocket,
        ...options,
      });
      onCleanUp(() => client.close());
      const seen = { seqs: [], gaps: [] };
      client.on('message', ({ seq }) => void seen.seqs.push(seq));
      client.on('gap', ({ from, to, reason }) => void seen.gaps.push([from, to, reason]));
      await client.connect();
      return Object.assign(client, { seen });
    };

    it('pull, history, counts, at and status over what is gone', async () => {
      const server = await start({ messages: 10 });
      const alice = await login(server, 'alice');
      const acks = await say(alice, 1, 100);
      const { epoch } = acks[0];
      await removed(server, 90);

      const hole = { t: 'hole', conv: DM, epoch, from: 1, to: 90, reason: 'expired' };
      const reader = await login(server, 'bob', { device: 'bob-raw', at: { [DM]: [epoch, 7] } });
      const [conv] = reader.welcome.convs;
      assert.deepEqual([conv.resume, conv.head, conv.got, conv.unread], ['ok', 100, 7, 10]);
      const page = await reader.ask({ t: 'pull', conv: DM, limit: 4, order: 'oldest' });
      assert.deepEqual(page.items[0], { ...hole, from: 8 });
      assert.deepEqual([page.items.length, page.items[3].seq, page.covers], [4, 93, [[DM, epoch, 8, 93]]]);
      const back = await reader.ask({ t: 'history', conv: DM, before: 92, limit: 10 });
      assert.deepEqual([back.items[0], back.items.length, back.more], [hole, 2, false]);
      assert.equal((await reader.ask({ t: 'counts' })).total, 10);
      reader.send({ t: 'got', conv: DM, epoch, seq: 90 });
      const after = await reader.ask({ t: 'pull', conv: DM, limit: 200, order: 'oldest' });
      assert.deepEqual([after.items[0].seq, after.items.length], [91, 10]);

      // The last 64 n are answered as ever; what is older can't be.
      const again = await alice.say(DM, 'message-40', { n: 40 }, { n: 40 });
      assert.deepEqual(again, { ...acks[39], dup: true });
      assert.equal((await alice.say(DM, 'another-id', 0, { n: 40 })).code, 'conflict');
      const old = await alice.say(DM, 'message-9', { n: 9 }, { n: 9 });
      assert.deepEqual([old.t, old.code, 'retry' in old], ['nack', 'too_old', false]);
      const status = await alice.ask({ t: 'status', conv: DM, ids: ['message-50', 'message-9', 'never-sent'] });
      assert.deepEqual(
        status.found.map(({ id, seq }) => [id, seq]),
        [['message-50', 50]],
      );
      assert.deepEqual(status.unknown, ['message-9']);
    });

    it('a client that comes back is told of the hole, and goes on', async () => {
      const server = await start({ messages: 3 });
      const dir = join(makeDirectory(), 'outbox');
      const first = await bob(server, { outbox: new FileOutbox({ dir }) });
      const alice = await login(server, 'alice');
      await say(alice, 1, 2);
      while (first.seen.seqs.length < 2) await once(first, 'message');
      await first.close();
      await say(alice, 3, 20);
      await removed(server, 17);
      const second = await bob(server, { outbox: new FileOutbox({ dir }) });
      while (second.seen.seqs.length < 3) await once(second, 'message');
      assert.deepEqual(second.seen, { seqs: [18, 19, 20], gaps: [[3, 17, 'expired']] });
      const live = once(second, 'message');
      await say(alice, 21, 21);
      assert.equal((await live)[0].seq, 21);
    });

    it('offline() gives the hole with its page, from either end, and history() too', async () => {
      const server = await start({ messages: 5 });
      const alice = await login(server, 'alice');
      await say(alice, 1, 20);
      await removed(server, 15);
      for (const order of ['oldest', 'newest']) {
        const client = await bob(server, { device: `bob-${order}`, backlog: 'manual' });
        const [seqs, holes] = [[], []];
        for await (const page of client.offline({ conv: DM, limit: 4, order })) {
          seqs.push(...page.items.map(({ seq }) => seq));
          holes.push(...page.holes.map(({ from, to, reason }) => [from, to, reason]));
        }
        assert.deepEqual(holes, [[1, 15, 'expired']], order);
        assert.deepEqual(seqs.toSorted(), [16, 17, 18, 19, 20], order);
        const { items } = await client.history(DM, { limit: 10 });
        assert.deepEqual(
          items.map(({ seq }) => seq),
          [16, 17, 18, 19, 20],
        );
        assert.deepEqual(client.seen, { seqs: [], gaps: [] });
      }
    });

    it('untilAcked: gone when all have it', async () => {
      const server = await start({ untilAcked: true });
      const alice = await login(server, 'alice');
      const reader = await login(server, 'bob');
      const [{ epoch }] = await say(alice, 1, 5);
      reader.send({ t: 'got', conv: DM, epoch, seq: 4 });
      await removed(server, 4);
      const page = await alice.ask({ t: 'history', conv: DM, limit: 10 });
      assert.deepEqual(
        page.items.map(({ t, seq }) => seq ?? t),
        ['hole', 5],
      );
    });
  });
}

describe('flow: retention over a restart', () => {
  afterEach(cleanUp);

  it('what is gone stays gone, and answers stay', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data, retention: { messages: 2, everyMs: 100 } });
    const alice = await login(first, 'alice');
    const acks = await say(alice, 1, 70);
    await removed(first, 68);
    await first.close();
    const second = await startServer({ data });
    const again = await login(second, 'alice');
    assert.deepEqual(await again.say(DM, 'message-8', { n: 8 }, { n: 8 }), { ...acks[7], dup: true });
    const page = await again.ask({ t: 'history', conv: DM, limit: 10 });
    assert.deepEqual(
      page.items.map(({ t, from, to, seq }) => (t === 'hole' ? [from, to] : seq)),
      [[1, 68], 69, 70],
    );
    const metrics = await (await fetch(`http://127.0.0.1:${second.port}/everyonce/metrics`)).text();
    assert.match(metrics, /everyonce_removed_messages_total 0/);
  });
});
