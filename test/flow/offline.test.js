// What a device missed, page by page: the client's offline() against a real server, and the packets under it.
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
const GROUP = 'g:team';

describe('flow: offline', () => {
  let server;
  let alice;
  let n;
  beforeEach(async () => {
    server = await startServer({ memory: true });
    alice = await login(server, 'alice');
    n = {};
  });
  afterEach(cleanUp);

  /** Alice sends `count` messages. */
  const send = async (count, conv = DM) => {
    for (let i = 0; i < count; i++) {
      n[conv] = (n[conv] ?? 0) + 1;
      assert.equal((await alice.say(conv, `message-${n[conv]}`, { n: n[conv] }, { n: n[conv] })).t, 'ack');
    }
  };

  /** Bob, with his device and its outbox; `handled` are the seqs that his handler was given. */
  const bob = async (outbox = new MemoryOutbox(), backlog = 'manual') => {
    const client = new Client({
      url: `ws://127.0.0.1:${server.port}`,
      token: 'bob',
      device: 'bob-1',
      outbox,
      backlog,
      WebSocket,
    });
    onCleanUp(() => client.close());
    const handled = [];
    client.on('message', (message) => void handled.push(message.seq));
    await client.connect();
    return Object.assign(client, { handled });
  };

  const seqsOf = (page) => page.items.map(({ seq }) => seq);

  const pagesOf = async (client, options) => {
    const pages = [];
    for await (const page of client.offline(options)) pages.push(seqsOf(page));
    return pages;
  };

  it('oldest first: all of it once, and then nothing', async () => {
    await send(7);
    const client = await bob();
    assert.deepEqual(await pagesOf(client, { conv: DM, limit: 3 }), [[1, 2, 3], [4, 5, 6], [7]]);
    assert.deepEqual(await pagesOf(client, { conv: DM, limit: 3 }), []);
    assert.deepEqual(client.handled, []);
  });

  it('newest first: from the top down, all of it once, and then nothing', async () => {
    await send(7);
    const client = await bob();
    assert.deepEqual(await pagesOf(client, { conv: DM, limit: 3, order: 'newest' }), [[7, 6, 5], [4, 3, 2], [1]]);
    assert.deepEqual(await pagesOf(client, { order: 'newest' }), []);
    assert.deepEqual(client.handled, []);
  });

  for (const order of ['newest', 'oldest']) {
    it(`${order} first: what arrives meanwhile comes, too, to the loop or the handler`, async () => {
      await send(4);
      const client = await bob();
      const paged = [];
      for await (const page of client.offline({ conv: DM, limit: 3, order })) {
        if (paged.length === 0) await send(2);
        paged.push(...seqsOf(page));
      }
      const all = () => [...paged, ...client.handled].sort((a, b) => a - b);
      while (all().length < 6) await once(client, 'message');
      assert.deepEqual(all(), [1, 2, 3, 4, 5, 6]);
    });
  }

  it('a loop left early leaves its last page unacked, not those before', async () => {
    await send(9);
    const expected = {
      oldest: [
        [4, 5, 6],
        [7, 8, 9],
      ],
      newest: [
        [6, 5, 4],
        [3, 2, 1],
      ],
    };
    for (const [order, rest] of Object.entries(expected)) {
      const device = `bob-${order}`;
      const client = new Client({
        url: `ws://127.0.0.1:${server.port}`,
        token: 'bob',
        device,
        backlog: 'manual',
        WebSocket,
      });
      onCleanUp(() => client.close());
      await client.connect();
      let pages = 0;
      for await (const page of client.offline({ conv: DM, limit: 3, order })) {
        assert.equal(page.items.length, 3);
        if (++pages === 2) break;
      }
      assert.deepEqual(await pagesOf(client, { conv: DM, limit: 3, order }), rest);
      await client.close();
    }
  });

  it('one conversation after the other, where none is named', async () => {
    await alice.ask({ t: 'create', conv: GROUP, members: ['bob'] });
    await send(3);
    await send(2, GROUP);
    const client = await bob();
    const places = [];
    for await (const page of client.offline({ limit: 4, order: 'newest' })) {
      places.push(...page.items.map(({ conv, seq }) => `${conv} ${seq}`));
    }
    assert.deepEqual(places, [`${DM} 3`, `${DM} 2`, `${DM} 1`, `${GROUP} 3`, `${GROUP} 2`, `${GROUP} 1`]);
    assert.deepEqual(await pagesOf(client, {}), []);
  });

  it('what was pulled on manually is not handled again, nor after a restart', async () => {
    await send(5);
    const dir = join(makeDirectory(), 'outbox');
    const first = await bob(new FileOutbox({ dir }));
    await pagesOf(first, { conv: DM, limit: 2, order: 'newest' });
    await first.close();
    await send(1);
    const again = await bob(new FileOutbox({ dir }), 'auto');
    while (again.handled.length === 0) await once(again, 'message');
    assert.deepEqual(again.handled, [6]);
  });

  it('by packets: newest first acks ranges, hold looks ahead, and a repeated pull is the same page', async () => {
    await send(6);
    const raw = await login(server, 'bob');
    const pull = (more) => raw.ask({ t: 'pull', conv: DM, limit: 2, order: 'newest', ...more });
    const seqs = ({ items }) => items.map(({ seq }) => seq);
    const first = await pull();
    assert.deepEqual(
      [seqs(first), first.covers[0].slice(2)],
      [
        [6, 5],
        [5, 6],
      ],
    );
    const ahead = await pull({ next: first.next, hold: true });
    assert.deepEqual(seqs(ahead), [4, 3]);
    assert.deepEqual(seqs(await pull()), [6, 5], 'nothing was acked');
    const second = await pull({ next: first.next });
    assert.deepEqual(await pull({ next: first.next }), { ...second, rid: 'r5' });
    await raw.close();
    const other = await login(server, 'bob', { pe: 2 });
    assert.deepEqual([other.welcome.convs[0].got, other.welcome.convs[0].head], [0, 6]);
    const rest = await other.ask({ t: 'pull', conv: DM, limit: 9, order: 'oldest' });
    assert.deepEqual(seqs(rest), [1, 2, 3, 4]);
    assert.equal((await other.ask({ t: 'pull', conv: DM, limit: 2, next: first.next })).code, 'bad_request');
  });
});
