// once, Lock and tokens on a Redis that dies, comes back, or forgets everything in mid-work.
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { Lock, once, tokens } from '../../lib/idempotency/index.js';
import { startRedis } from '../flow/support/redis.js';
import { cleanUp, onCleanUp } from '../flow/support/servers.js';

/** A promise that is kept from outside. @returns {{ told: Promise<any>, tell: (value?: any) => void }} */
function signal() {
  let tell = () => {};
  const told = new Promise((resolve) => (tell = resolve));
  return { told, tell };
}

describe('the kit on a Redis that fails', () => {
  afterEach(cleanUp);

  const flushed = async (/** @type {number} */ port) => {
    const node = new Redis(port, '127.0.0.1');
    await node.flushall();
    node.disconnect();
  };

  it('dies while a handler runs, and comes back: the handler ran once, and its result is kept', async () => {
    const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
    let runs = 0;
    const handle = once({ store: { redis: redis.url }, key: (m) => m }, async (m) => {
      runs += 1;
      await redis.kill();
      await redis.start();
      return { of: m };
    });
    onCleanUp(() => handle.close());
    const [first, beside] = await Promise.all([handle('a'), handle('a')]);
    assert.deepEqual([first, beside, await handle('a'), runs], [{ of: 'a' }, { of: 'a' }, { of: 'a' }, 1]);
  });

  it('forgets everything while a handler runs: GONE, and never a result that nobody keeps', async () => {
    const redis = await startRedis();
    const handle = once({ store: { redis: redis.url }, key: (m) => m }, async () => {
      await flushed(redis.port);
      return 'done';
    });
    const t = tokens({ store: { redis: redis.url } });
    onCleanUp(() => Promise.all([handle.close(), t.close()]));
    await assert.rejects(handle('a'), { code: 'GONE' });
    const [id] = await t.issue('alice');
    const claim = await t.claim(id);
    await flushed(redis.port);
    await assert.rejects(t.commit(claim, 1), { code: 'GONE' });
    assert.equal((await t.claim(id)).state, 'UNKNOWN');
  });

  it('forgets a lock: two hold it, and the fence tells the resource who is late', async () => {
    const redis = await startRedis();
    const lock = new Lock({ store: { redis: redis.url }, name: 'door' });
    const other = new Lock({ store: { redis: redis.url }, name: 'door' });
    onCleanUp(() => Promise.all([lock.close(), other.close()]));
    const resource = { fence: 0, writes: [] };
    const write = (who, fence) => {
      if (fence < resource.fence) return false;
      resource.fence = fence;
      resource.writes.push(who);
      return true;
    };
    const inside = signal();
    const go = signal();
    const late = lock.with(async ({ fence }) => {
      inside.tell();
      await go.told;
      return write('first', fence);
    });
    await inside.told;
    await flushed(redis.port);
    assert.equal(await other.with(({ fence }) => write('second', fence)), true);
    go.tell();
    // It is told by what it writes to; the lock itself says so when it is asked next.
    const wrote = await late.catch((error) => error.code);
    assert.ok(wrote === false || wrote === 'GONE' || wrote === 'FENCED', String(wrote));
    assert.deepEqual(resource.writes, ['second']);
  });
});
