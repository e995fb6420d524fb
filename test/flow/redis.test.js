// createServer({ redis }): what the embedded store does, on a real Redis. The log itself is held to the conformance suite
// in test/native/redis; here it is the whole server, over real sockets.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { EveryonceError } from '../../lib/protocol/errors.js';
import { createServer } from '../../lib/server/server.js';
import { freePort } from '../support/free-port.js';
import { login } from './support/raw-client.js';
import { say, startRedis } from './support/redis.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const GROUP = 'g:team';
const id = (n) => `message-${String(n).padStart(4, '0')}`;

describe('flow: on Redis', () => {
  afterEach(cleanUp);

  it('acks, delivers, and answers a repeat as the first time', async () => {
    const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
    const server = await startServer({ data: undefined, redis: redis.url });
    const alice = await login(server, 'alice');
    const bob = await login(server, 'bob');
    const first = await alice.say(DM, id(1), { text: 'hi' }, { n: 1 });
    assert.deepEqual([first.t, first.seq, first.safe], ['ack', 1, 'disk']);
    assert.deepEqual(await alice.say(DM, id(1), { text: 'hi' }, { n: 1 }), { ...first, dup: true });
    const [came] = await bob.hear(DM, 1);
    assert.deepEqual([came.seq, came.from, came.body], [1, 'alice', { text: 'hi' }]);
    await alice.say(DM, id(2), 'again', { n: 2 });
    assert.equal((await bob.hear(DM, 2))[0].body, 'again');
  });

  it('keeps everything over a restart of the server', async () => {
    const redis = await startRedis();
    const first = await startServer({ data: undefined, redis: redis.url });
    const alice = await login(first, 'alice');
    for (let n = 1; n <= 5; n++) await alice.say(DM, id(n), { n }, { n });
    await first.createConversation({ conv: GROUP, creator: 'alice', members: ['bob', 'carol'] });
    await first.publish({ conv: GROUP, from: 'alice', id: 'published-1', body: 'all' });
    await first.close();
    const second = await startServer({ data: undefined, redis: redis.url });
    const bob = await login(second, 'bob');
    const convs = Object.fromEntries(bob.welcome.convs.map((view) => [view.conv, view]));
    assert.deepEqual([convs[DM].head, convs[DM].unread], [5, 5]);
    assert.deepEqual([convs[GROUP].head, convs[GROUP].unread], [2, 1]);
    const again = await second.publish({ conv: GROUP, from: 'alice', id: 'published-1', body: 'all' });
    assert.deepEqual([again.seq, again.dup], [2, true]);
    const { items } = await second.history(DM, { limit: 10 });
    assert.deepEqual(
      items.map((item) => item.seq),
      [1, 2, 3, 4, 5],
    );
  });

  it('a Redis that dies and comes back loses nothing that was acked, and the server goes on', async () => {
    const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
    const server = await startServer({ data: undefined, redis: redis.url });
    const alice = await login(server, 'alice');
    await alice.say(DM, id(1), 1, { n: 1 });
    await redis.kill();
    const waiting = alice.say(DM, id(2), 2, { n: 2 });
    await redis.start();
    // Its answer may have been lost with the connection: then the same again tells.
    let answer = await waiting;
    while (answer.code === 'unavailable') answer = await alice.say(DM, id(2), 2, { n: 2 });
    assert.deepEqual([answer.t, answer.seq], ['ack', 2]);
    assert.equal((await server.history(DM, { limit: 10 })).items.length, 2);
  });

  it('says at the start what is wrong, by code, without the password', async () => {
    const redis = await startRedis('--requirepass', 'hunter2');
    const tries = [
      [`redis://:guess@127.0.0.1:${redis.port}`, 'REDIS_AUTH'],
      [`redis://127.0.0.1:${redis.port}`, 'REDIS_AUTH'],
      ['redis://127.0.0.1:1', 'REDIS_UNREACHABLE'],
      ['redis://:guess@127.0.0.1:port', 'BAD_OPTION'],
      [{ nodes: [`redis://:hunter2@127.0.0.1:${redis.port}`], cluster: true }, 'REDIS_WRONG_SERVER'],
    ];
    for (const [url, code] of tries) {
      assert.throws(
        () => createServer({ insecure: true, redis: url }),
        (error) =>
          error instanceof EveryonceError &&
          error.code === code &&
          error.option === 'redis' &&
          !/guess|hunter2/.test(error.message),
        String(code),
      );
    }
  });

  it('warns of settings that make less true than an ack says', async () => {
    const redis = await startRedis('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru');
    const warnings = [];
    const logger = { warn: (_about, message) => warnings.push(message) };
    await startServer({ data: undefined, redis: redis.url, durability: { replicas: 1 }, logger });
    assert.match(warnings.join('\n'), /allkeys-lru/);
    assert.match(warnings.join('\n'), /has 0 replicas, and 1 are wanted/);
    await startServer({ data: undefined, redis: redis.url, logger });
    assert.match(warnings.at(-1), /appendonly/);
    assert.equal(await say(redis.port, 'CONFIG SET maxmemory-policy noeviction'), '+OK');
  });

  it('refuses a node of a Cluster behind a plain URL, and a replica whose primary is away', async () => {
    // Its bus would take the port 10,000 above, which somebody else may have.
    const node = await startRedis('--cluster-enabled', 'yes', '--cluster-port', String(await freePort()));
    const orphan = await startRedis('--replicaof', '127.0.0.1', '1');
    for (const [{ url }, code] of [
      [node, 'REDIS_WRONG_SERVER'],
      [orphan, 'REDIS_UNREACHABLE'],
    ]) {
      assert.throws(
        () => createServer({ insecure: true, redis: url }),
        (error) => error instanceof EveryonceError && error.code === code && error.option === 'redis',
        code,
      );
    }
  });

  it('acks nothing while a script holds Redis up, and goes on when that is killed', async () => {
    const redis = await startRedis('--busy-reply-threshold', '5');
    const server = await startServer({ data: undefined, redis: redis.url });
    const alice = await login(server, 'alice');
    const holder = connect(redis.port, '127.0.0.1');
    onCleanUp(() => holder.destroy());
    holder.on('error', () => {}).write('EVAL "while true do end" 0\r\n');
    while (!(await say(redis.port, 'PING')).startsWith('-BUSY'));
    const waiting = alice.say(DM, id(1), 1, { n: 1 });
    assert.equal(await say(redis.port, 'SCRIPT KILL'), '+OK');
    let answer = await waiting;
    while (answer.code === 'unavailable') answer = await alice.say(DM, id(1), 1, { n: 1 });
    assert.deepEqual([answer.t, answer.seq], ['ack', 1]);
    assert.equal((await server.history(DM, { limit: 10 })).items.length, 1);
  });

  it('full memory is unavailable, acks nothing, and the same again is stored once when there is room', async () => {
    const redis = await startRedis();
    const server = await startServer({ data: undefined, redis: redis.url });
    const alice = await login(server, 'alice');
    await alice.say(DM, id(1), 1, { n: 1 });
    await say(redis.port, 'CONFIG SET maxmemory 1');
    const full = await alice.say(DM, id(2), 2, { n: 2 });
    assert.deepEqual([full.t, full.code], ['nack', 'unavailable']);
    assert.ok(full.retry >= 0, 'to be tried again');
    await say(redis.port, 'CONFIG SET maxmemory 0');
    const answer = await alice.say(DM, id(2), 2, { n: 2 });
    assert.deepEqual([answer.t, answer.seq], ['ack', 2]);
  });

  it('a token is good for one message, whichever server and conversation it comes to, and is not spent by what was not stored', async () => {
    const redis = await startRedis();
    const options = { data: undefined, redis: redis.url, dedup: { tokens: 'required' } };
    const [one, two] = [await startServer(options), await startServer(options)];
    const [token, other] = await one.issueTokens('alice', 2);
    const [phone, laptop] = [
      await login(one, 'alice', { device: 'phone' }),
      await login(two, 'alice', { device: 'laptop' }),
    ];
    // A gap stores nothing, and so takes nothing.
    assert.equal((await phone.say(DM, token, 1, { n: 2 })).code, 'unknown_producer');
    const both = await Promise.all([
      phone.say(DM, token, 1, { n: 1 }),
      laptop.say('dm:alice:carol', token, 1, { n: 1 }),
    ]);
    assert.deepEqual(both.map(({ t, code }) => code ?? t).sort(), ['ack', 'token_invalid']);
    const won = both.findIndex(({ t }) => t === 'ack');
    const again = await [phone, laptop][won].say([DM, 'dm:alice:carol'][won], token, 1, { n: 1 });
    assert.deepEqual(again, { ...both[won], dup: true });
    const published = await two.publish({ conv: DM, from: 'alice', id: other, body: 'x' });
    assert.equal((await one.publish({ conv: DM, from: 'alice', id: other, body: 'x' })).seq, published.seq);
    assert.match(await say(redis.port, `EXISTS eo:{tokens}:key`), /1/);
  });

  it("what retention removes is let go from its senders' lists, too, and unread stays what it was", async () => {
    const redis = await startRedis();
    const server = await startServer({ data: undefined, redis: redis.url, retention: { messages: 5, everyMs: 100 } });
    const direct = new Redis(redis.port, '127.0.0.1');
    onCleanUp(() => direct.disconnect());
    const publish = async (from, count) => {
      for (let i = 0; i < count; i++) await server.publish({ conv: DM, from, body: i });
    };
    const unread = async () => {
      const counts = await Promise.all(['alice', 'bob'].map((user) => login(server, user)));
      return counts.map(({ welcome }) => welcome.convs.find(({ conv }) => conv === DM).unread);
    };
    const removed = async (count) => {
      while (server.stats().removedMessages < count) await new Promise((resolve) => setImmediate(resolve));
    };
    const bytes = async (user) => {
      const [key] = await direct.keys(`eo:*:o:${DM}/${user}`);
      return key === undefined ? 0 : direct.strlen(key);
    };
    await publish('alice', 60);
    await removed(55);
    while ((await bytes('alice')) > 5 * 8) continue;
    assert.deepEqual(await unread(), [0, 5]);
    await publish('bob', 3);
    await removed(58);
    assert.deepEqual(await unread(), [3, 2]);
    await publish('bob', 20);
    await removed(78);
    while ((await bytes('alice')) > 0) continue;
    assert.deepEqual(await unread(), [5, 0]);
  });

  it('refuses options that are not on Redis yet, by name', () => {
    const redis = 'redis://127.0.0.1:6379';
    for (const [options, code, option] of [
      [{ data: './x' }, 'BAD_OPTION', 'data'],
      [{ memory: true }, 'BAD_OPTION', 'memory'],
      [{ durability: { fsync: true } }, 'BAD_OPTION', 'durability.fsync'],
      [{ durability: { replicas: -1 } }, 'BAD_OPTION', 'durability.replicas'],
      [{ durability: { timeoutMs: 0 } }, 'BAD_OPTION', 'durability.timeoutMs'],
      [{ redis: 6379 }, 'BAD_OPTION', 'redis'],
      [{ redis: { nodes: [] } }, 'BAD_OPTION', 'redis.nodes'],
      [{ redis: { url: redis } }, 'BAD_OPTION', 'redis.url'],
    ]) {
      assert.throws(
        () => createServer({ insecure: true, redis, ...options }),
        (error) => error.code === code && error.option === option,
        option,
      );
    }
  });
});
