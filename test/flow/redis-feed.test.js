// Consumers, retention and the archive on Redis, with two servers on one log. The feed itself is held to its rules in
// test/native/redis/redis_feed_test.cc, retention to the conformance suite.
import assert from 'node:assert/strict';
import Sqlite from 'better-sqlite3';
import { Consumer, sqlite } from '../../lib/idempotency/index.js';
import { login } from './support/raw-client.js';
import { startRedis } from './support/redis.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const CONVS = ['dm:ann:bob', 'dm:ann:cid', 'dm:bob:cid', 'dm:cid:dan'];

/** @param {any} server @param {string} conv @param {number} from @param {number} to */
const publishSome = (server, conv, from, to) =>
  Promise.all(
    Array.from({ length: to - from + 1 }, (_, i) =>
      server.publish({ conv, from: conv.split(':')[1], id: `message-${from + i}`, body: { number: from + i } }),
    ),
  );

describe('flow: consumers and the archive on Redis', function () {
  this.timeout(30_000);
  afterEach(cleanUp);

  it('one group over two servers: each message once, in order of its conversation, also when a member leaves', async () => {
    const { url } = await startRedis();
    const one = await startServer({ data: undefined, redis: url });
    const two = await startServer({ data: undefined, redis: url });
    /** @type {Map<string, number[]>} */
    const seen = new Map(CONVS.map((conv) => [conv, []]));
    let count = 0;
    /** @type {(value?: unknown) => void} */
    let enough = () => {};
    const handler = (/** @type {any} */ message) => {
      seen.get(message.conv)?.push(message.seq);
      count += 1;
      if (count === 40) void first.stop();
      if (count === 80) enough();
    };
    const all = new Promise((resolve) => (enough = resolve));
    const options = { group: 'work', handler, store: { redis: url } };
    const first = new Consumer({ server: one, ...options });
    const second = new Consumer({ server: two, ...options });
    for (const conv of CONVS) await publishSome(one, conv, 1, 10);
    await Promise.all([first.start(), second.start()]);
    for (const conv of CONVS) await publishSome(two, conv, 11, 20);
    await all;
    for (const [conv, seqs] of seen) {
      assert.deepEqual(
        seqs,
        Array.from({ length: 20 }, (_, i) => i + 1),
        conv,
      );
    }
    await second.stop();
    assert.equal((await second.lag()).messages, 0);
    await publishSome(one, CONVS[0], 21, 23);
    assert.equal((await first.lag()).messages, 3);
    assert.match(await two.metrics(), /everyonce_consumer_lag_messages\{group="work"\} 3/);
    await Consumer.drop(one, 'work');
    assert.deepEqual(await one.feeds.list(), []);
  });

  it('pages read on from the archive without a seam, and Redis keeps a bounded window', async () => {
    const { url } = await startRedis();
    const database = new Sqlite(`${makeDirectory()}/archive.db`);
    onCleanUp(() => database.close());
    const archive = sqlite({ database });
    await archive.migrate();
    const retention = { messages: 5, everyMs: 100 };
    const server = await startServer({ data: undefined, redis: url, retention, archive });
    await publishSome(server, 'dm:ann:bob', 1, 60);
    while (server.stats().removedMessages < 55) await new Promise((resolve) => setImmediate(resolve));
    const { items } = await server.history('dm:ann:bob', { after: 0, limit: 100 });
    assert.deepEqual(
      items.map((item) => item.body.number),
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
    const bob = await login(server, 'bob');
    bob.send({ t: 'pull', rid: 1, conv: 'dm:ann:bob', limit: 100 });
    const page = await bob.take('page');
    assert.deepEqual(
      page.items.map((/** @type {any} */ item) => [item.t, item.seq]),
      Array.from({ length: 60 }, (_, i) => ['msg', i + 1]),
    );
  });
});
