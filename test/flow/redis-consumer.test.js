// Consumer({ redis }): a process that has no server of its own reads what the servers accept.
import assert from 'node:assert/strict';
import { Consumer } from '../../lib/idempotency/index.js';
import { createServer } from '../../lib/server/server.js';
import { startRedis } from './support/redis.js';
import { cleanUp, onCleanUp } from './support/servers.js';

const DM = 'dm:alice:bob';

describe('flow: a consumer without a server', () => {
  afterEach(cleanUp);

  it('handles what any server accepts, parks, replays, tells its lag, and ends with stop()', async () => {
    const { url } = await startRedis();
    const server = createServer({ redis: url, insecure: true });
    onCleanUp(() => server.close());
    const publish = (/** @type {number} */ n, body = {}) =>
      server.publish({ conv: DM, from: 'alice', id: `message-${n}`, body: { n, ...body } });
    const seen = [];
    let isMended = false;
    /** @type {() => void} */
    let enough = () => {};
    const six = new Promise((resolve) => (enough = () => resolve(undefined)));
    const handler = async ({ body }) => {
      if (body.bad && !isMended) throw Object.assign(new Error('bad'), { final: true });
      seen.push(body.n);
      if (seen.length === 6) enough();
    };
    const consumer = new Consumer({ redis: url, group: 'work', handler });
    const parked = new Promise((resolve) => consumer.once('parked', ({ mid }) => resolve(mid)));
    assert.deepEqual(
      await consumer.deadLetters.list().catch(({ code }) => code),
      'bad_request',
      'there is no such group yet',
    );
    for (let n = 1; n <= 3; n++) await publish(n);
    await consumer.start();
    await publish(4, { bad: true });
    for (let n = 5; n <= 7; n++) await publish(n);
    await six;
    assert.deepEqual(seen, [1, 2, 3, 5, 6, 7]);
    isMended = true;
    await consumer.deadLetters.replay(await parked);
    assert.deepEqual([seen.at(-1), await consumer.deadLetters.list()], [4, []]);
    await consumer.stop();
    await consumer.stop();
    await assert.rejects(consumer.lag(), { code: 'CLOSED' });
    await publish(8);
    const next = new Consumer({ redis: { nodes: [url] }, group: 'work', handler });
    assert.equal((await next.lag()).messages, 1);
    await next.stop();
  });

  it('is told at start() what is wrong with the Redis, and may start again', async () => {
    const redis = await startRedis();
    await redis.kill();
    const consumer = new Consumer({ redis: redis.url, group: 'work', handler: () => {} });
    await assert.rejects(consumer.start(), { code: 'REDIS_UNREACHABLE' });
    await redis.start();
    await consumer.start();
    await consumer.stop();
    assert.throws(() => new Consumer({ redis: 'x', group: 'work', handler: () => {} }), {
      code: 'BAD_OPTION',
      option: 'redis',
    });
  });
});
