// What several servers and their clients make of a Redis that lost the end of what it had acked: a replica that lagged is
// promoted, a store is wiped. With the real client: nothing is shown twice, and what was lost is offered again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Client, MemoryOutbox } from '../../lib/index.js';
import { command } from '../../examples/chat/local-cluster.js';
import { login } from './support/raw-client.js';
import { startRedis } from './support/redis.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';

/** @param {{ port: number }} server @param {string} user */
async function connect(server, user) {
  const outbox = new MemoryOutbox();
  const client = new Client({
    url: `ws://127.0.0.1:${server.port}/everyonce`,
    token: user,
    device: `${user}-1`,
    outbox,
  });
  onCleanUp(() => client.close());
  const seen = [];
  const epochs = [];
  client.on('message', (message) => void seen.push(message));
  client.on('epoch', (notice) => void epochs.push(notice));
  await client.connect();
  /** Waits until so many different messages were shown. @param {number} count */
  const shown = async (count) => {
    while (new Set(seen.map(({ id }) => id)).size < count) await once(client, 'message');
  };
  let changes = 0;
  let tell = () => {};
  for (const event of ['outbox', 'state', 'moved', 'message', 'epoch']) {
    client.on(event, () => {
      changes += 1;
      tell();
    });
  }
  /** Asks again whenever anything has happened at this client since the question was asked. @param {() => Promise<boolean>} question */
  const until = async (question) => {
    for (let asked = changes; !(await question()); asked = changes) {
      if (changes === asked) await new Promise((resolve) => (tell = resolve));
    }
  };
  return { client, seen, epochs, shown, until };
}

const bodies = (messages) => messages.map(({ body }) => body);

describe('flow: several servers, and a Redis that forgets', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('promotion of a replica that lagged: clients are told, and offer their own again; nothing is shown twice', async () => {
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    while (!/master_link_status:up/.test(await command(replica.port, 'INFO replication')));
    const redis = { nodes: [primary.url, replica.url] };
    const one = await startServer({ data: undefined, redis });
    const two = await startServer({ data: undefined, redis });
    const alice = await connect(one, 'alice');
    const bob = await connect(two, 'bob');
    for (let n = 1; n <= 3; n++) await alice.client.send(DM, n);
    await bob.shown(3);
    const log = await command(primary.port, `KEYS *:l:${DM}`);
    while ((await command(replica.port, `XLEN ${log}`)) !== '3');
    // From here on the replica hears nothing more, and no ack waits for it.
    await command(replica.port, `REPLICAOF 127.0.0.1 ${replica.port}`);
    for (let n = 4; n <= 6; n++) await alice.client.send(DM, n);
    await bob.shown(6);
    await primary.kill();
    await command(replica.port, 'REPLICAOF NO ONE');

    // Both servers find the new primary, and tell their clients before anybody writes: what is lost is offered again.
    await bob.until(async () => (await two.history(DM, { limit: 100 })).items.some(({ body }) => body === 6));
    await bob.client.send(DM, 'from bob');
    await alice.client.send(DM, 7);
    await bob.shown(7);
    await alice.shown(1);
    assert.deepEqual(bodies(bob.seen), [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(bodies(alice.seen), ['from bob']);
    const { items } = await two.history(DM, { limit: 100 });
    assert.deepEqual(bodies(items), [1, 2, 3, 4, 5, 6, 'from bob', 7]);
    for (const { epochs } of [alice, bob]) assert.equal(epochs[0].keep, 3);
  });

  it('a store that was wiped: everybody comes again, and nothing is shown twice', async () => {
    const redis = await startRedis();
    const one = await startServer({ data: undefined, redis: redis.url });
    const two = await startServer({ data: undefined, redis: redis.url });
    const alice = await connect(one, 'alice');
    const bob = await connect(two, 'bob');
    for (let n = 1; n <= 3; n++) await alice.client.send(DM, n);
    await bob.shown(3);
    await command(redis.port, 'FLUSHALL');
    await command(redis.port, 'CLIENT KILL TYPE pubsub');
    // What the servers compare with the log is gone: they close, and clients offer their own to an empty store.
    await alice.until(async () => {
      const { items } = await two.history(DM, { limit: 100 }).catch(() => ({ items: [] }));
      return items.some(({ body }) => body === 3);
    });
    await alice.client.send(DM, 4);
    await bob.shown(4);
    assert.deepEqual(bodies(bob.seen), [1, 2, 3, 4]);
    assert.deepEqual(bodies((await two.history(DM, { limit: 100 })).items), [1, 2, 3, 4]);
  });

  it('nobody hears of a message that is not on its replicas yet; when it is, everybody does', async () => {
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    // As the primary sees it: only then does the replica count.
    const up = async () => {
      while (!/state=online/.test(await command(primary.port, 'INFO replication')));
    };
    await up();
    const redis = { nodes: [primary.url, replica.url] };
    const durability = { replicas: 1, timeoutMs: 1000 };
    const one = await startServer({ data: undefined, redis, durability });
    const two = await startServer({ data: undefined, redis, durability });
    const alice = await login(one, 'alice');
    const bob = await login(two, 'bob');
    const first = await alice.say(DM, 'message-0001', 1, { n: 1 });
    assert.equal(first.safe, 'replicated');
    await bob.hear(DM, 1);
    const ofSecond = ({ seq, head }) => seq > 1 || head > 1;

    await command(replica.port, 'REPLICAOF NO ONE');
    assert.equal((await alice.say(DM, 'message-0002', 2, { n: 2 })).code, 'unavailable');
    assert.equal((await alice.say(DM, 'message-0002', 2, { n: 2 })).code, 'unavailable');
    await bob.settled();
    assert.deepEqual(bob.packets.filter(ofSecond), []);

    await command(replica.port, `REPLICAOF 127.0.0.1 ${primary.port}`);
    await up();
    const again = await alice.say(DM, 'message-0002', 2, { n: 2 });
    assert.deepEqual([again.t, again.seq, again.dup], ['ack', 2, true]);
    assert.equal((await bob.take('head', { head: 2 })).conv, DM);
    const page = await bob.ask({ t: 'pull', conv: DM, limit: 10, order: 'oldest' });
    assert.deepEqual(bodies(page.items), [2]);
  });

  it('a replica that stands still (SIGSTOP): nothing is acked that it lacks; when it goes on, each message is there once', async () => {
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    while (!/state=online/.test(await command(primary.port, 'INFO replication')));
    const pid = Number(/process_id:(\d+)/.exec(await command(replica.port, 'INFO server'))?.[1]);
    const redis = { nodes: [primary.url, replica.url] };
    const one = await startServer({ data: undefined, redis, durability: { replicas: 1, timeoutMs: 1000 } });
    const two = await startServer({ data: undefined, redis, durability: { replicas: 1, timeoutMs: 1000 } });
    const alice = await login(one, 'alice');
    const bob = await login(two, 'bob');
    const say = async (n) => alice.say(DM, `message-000${n}`, n, { n });
    assert.equal((await say(1)).safe, 'replicated');
    await bob.hear(DM, 1);
    process.kill(pid, 'SIGSTOP');
    try {
      assert.equal((await say(2)).code, 'unavailable');
      assert.equal((await say(2)).code, 'unavailable', 'nor the repeat');
      await bob.settled();
      assert.deepEqual(
        bob.packets.filter(({ seq, head }) => seq > 1 || head > 1),
        [],
      );
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    let answer = await say(2);
    while (answer.code === 'unavailable') answer = await say(2);
    assert.deepEqual([answer.t, answer.seq, answer.dup, answer.safe], ['ack', 2, true, 'replicated']);
    assert.deepEqual(bodies((await two.history(DM, { limit: 10 })).items), [1, 2]);
  });
});
