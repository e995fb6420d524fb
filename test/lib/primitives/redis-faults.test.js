// What Redis really does to a primitive's store: answers lost, scripts gone, restarts, failovers, full memory, the wrong place.
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { openClaims } from '../../../lib/primitives/claims.js';
import { Dedup } from '../../../lib/primitives/dedup.js';
import { counterKey } from '../../../lib/primitives/redis/keys.js';
import { OfflineStore } from '../../../lib/primitives/offline-store.js';
import { RedisStore, SharedClient } from '../../../lib/primitives/redis/store.js';
import { SegmentIds } from '../../../lib/primitives/segment-ids.js';
import { Sequencer } from '../../../lib/primitives/sequencer.js';
import { Snowflake } from '../../../lib/primitives/snowflake.js';
import { once, tokens } from '../../../lib/idempotency/index.js';
import { Operation, openStore } from '../../../lib/primitives/store.js';
import { loadAddon } from '../../../lib/server/native.js';
import { startRedis } from '../../flow/support/redis.js';
import { redisCluster } from '../../support/redis.js';
import { cleanUp as cleanUpServers } from '../../flow/support/servers.js';
import { cleanUp, closing, onCleanUp } from './support.js';
import { losingProxy } from './support/losing-proxy.js';

const KEEP = ['--appendonly', 'yes', '--appendfsync', 'always'];

describe('a store in Redis', () => {
  afterEach(cleanUp);
  afterEach(cleanUpServers);

  /** @param {number} port */
  const asker = (port) => {
    const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 20 });
    client.on('error', () => {});
    onCleanUp(() => client.disconnect());
    return client;
  };

  it('tells the same when an answer was lost: nothing twice, no holes', async () => {
    const { port } = await startRedis();
    const proxy = await losingProxy(port);
    onCleanUp(() => proxy.close());
    const store = { redis: `redis://127.0.0.1:${proxy.port}` };
    const sequencer = closing(new Sequencer({ store }));
    const dedup = closing(new Dedup({ store, windowMs: 60_000 }));
    const offline = closing(new OfflineStore({ store }));
    const claims = closing(openClaims(store));
    const workers = closing(openStore(store));
    const item = { msgId: 'm', sender: 'alice', content: 1 };
    // Scripts are loaded, so that one answer is the whole of it.
    assert.equal(await sequencer.next('k'), 1);
    await dedup.check('first');
    await offline.append('carol', item);
    await claims.issue({ keys: ['first'], ttlMs: 60_000 });
    await claims.claim({ key: 'first', owner: 'a', leaseMs: 60_000, keepMs: 1 });
    const [, fence] = await workers.run(Operation.LEASE_WORKER, 'first', 60_000, 3000);
    assert.ok(fence > 0);

    let lost = 0;
    /** @template T @param {() => Promise<T>} act */
    const losing = async (act) => {
      proxy.loseNext();
      const told = await act();
      assert.equal(proxy.lost(), ++lost, 'an answer was lost');
      return told;
    };
    assert.equal(await losing(() => sequencer.next('k')), 2);
    assert.deepEqual(await losing(() => Promise.all([sequencer.next('k'), sequencer.reserve('k', 5)])), [3, 4]);
    assert.equal(await sequencer.next('k'), 9);
    assert.deepEqual([...(await losing(() => dedup.checkBatch(['a', 'b', 'a'])))], [1, 1, 0]);
    assert.equal(await losing(() => dedup.check('a')), 'duplicate');
    assert.equal((await losing(() => dedup.claim('c', 60_000))).state, 'ACQUIRED');
    assert.equal(await losing(() => offline.append('bob', item)), true);
    assert.equal(await losing(() => offline.append('bob', item)), false);
    assert.deepEqual(await losing(() => claims.issue({ keys: ['x', 'first'], ttlMs: 60_000 })), { issued: 1 });
    const owned = { key: 'x', owner: 'o', leaseMs: 60_000, keepMs: 60_000 };
    const claim = await losing(() => claims.claim(owned));
    assert.equal(claim.state, 'HELD');
    const committed = await losing(() => claims.commit({ ...owned, fence: Number(claim.fence), result: '5' }));
    assert.deepEqual([committed.state, committed.result], ['ALREADY', '5']);
    const lease = () => workers.run(Operation.LEASE_WORKER, 'second', 60_000, 3000);
    assert.deepEqual((await losing(lease))[0], 1);
    assert.deepEqual((await lease())[0], 1, 'the same owner, the same number');
  });

  it('goes on after SCRIPT FLUSH, and after a Redis that died and came back', async () => {
    const redis = await startRedis(...KEEP);
    const sequencer = closing(new Sequencer({ store: { redis: redis.url } }));
    assert.equal(await sequencer.next('k'), 1);
    await asker(redis.port).script('FLUSH');
    assert.equal(await sequencer.next('k'), 2);
    await redis.kill();
    const waiting = sequencer.next('k');
    await redis.start();
    assert.ok((await waiting) > 2);
  });

  it('where the tail may be lost, numbers jump, fences rise and worker numbers stay leased', async () => {
    const redis = await startRedis();
    const store = { redis: redis.url };
    const node = asker(redis.port);
    /** Its data under another replication id, as after a promotion. */
    const promote = async () => {
      await node.replicaof('127.0.0.1', '1');
      await node.replicaof('NO', 'ONE');
    };
    const sequencer = closing(new Sequencer({ store }));
    const claims = closing(openClaims(store));
    const workers = closing(openStore(store));
    assert.equal(await sequencer.reserve('k', 3), 1);
    const before = await claims.claim({ key: 'k', owner: 'a', leaseMs: 60_000, keepMs: 1 });
    const [number, fence] = await workers.run(Operation.LEASE_WORKER, 'one', 60_000, 3000);
    // What came to the replica: counters and claims of a little earlier, a lease that was renewed since.
    for (const key of await node.keys('eo:*:f')) await node.del(key);
    for (const key of await node.keys('eo:*:c:*')) await node.del(key);
    await node.hset('eo:{workers}:snowflakes', number, `one ${fence} 60000 1 0 1 0`);
    await promote();
    const next = await sequencer.next('k');
    assert.ok(next > 2 ** 32, `${next}`);
    assert.equal(await sequencer.next('k'), next + 1, 'once');
    const after = await claims.claim({ key: 'k', owner: 'b', leaseMs: 60_000, keepMs: 1 });
    assert.ok(Number(after.fence) > Number(before.fence), 'though the record of before is gone');
    const [other, , usedUntilMs] = await workers.run(Operation.LEASE_WORKER, 'three', 60_000, 3000);
    assert.notEqual(other, number, 'its lease, which has run out here, counts once more');
    assert.ok(usedUntilMs > Date.now(), 'a number that is not known may have been given out');
    assert.equal(await workers.run(Operation.RENEW_WORKER, number, 'one', fence, 60_000, 1), true);
  });

  it('a lagging replica that is promoted: no number, id or fence comes again, and who waits is answered', async () => {
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    const store = { redis: { nodes: [primary.url, replica.url], cluster: false } };
    const sequencer = closing(new Sequencer({ store }));
    const segments = closing(new SegmentIds({ store, tag: 'orders', step: 10 }));
    const claims = closing(openClaims(store));
    const offline = closing(new OfflineStore({ store }));
    const work = async () => {
      const ids = await segments.nextBatch(25);
      const { fence } = await claims.claim({ key: `k${ids[0]}`, owner: 'a', leaseMs: 60_000, keepMs: 1 });
      const item = { msgId: `m${ids[0]}`, sender: 'alice' };
      assert.equal(await offline.append('bob', item), true);
      return { number: await sequencer.next('k'), ids, fence: Number(fence) };
    };
    const before = [await work()];
    await asker(primary.port).wait(1, 0); // the replica has all of that
    await asker(replica.port).replicaof('NO', 'ONE'); // and nothing of this
    before.push(await work(), await work());
    const { next } = await offline.pull('bob');
    await primary.kill();
    const after = [await work(), await work()];
    const all = [...before, ...after];
    assert.equal(new Set(all.flatMap(({ ids }) => [...ids])).size, all.length * 25);
    for (const what of /** @type {const} */ (['number', 'fence'])) {
      const told = all.map((one) => one[what]);
      assert.deepEqual(
        told,
        [...new Set(told)].sort((a, b) => a - b),
        `${what}s rise`,
      );
    }
    // A page of before names places that the promoted one has given to nobody else.
    await offline.pull('bob', { next });
    const { total } = await offline.counts('bob');
    assert.equal(total, 2, 'of before only one came over, and it is acked; of after nothing is');
  });

  it('a slot that moves to another master in mid-load: nothing fails, no number comes twice', async () => {
    const { ports, nodes } = await redisCluster();
    const name = `moving ${process.pid} ${Date.now()}`;
    const sequencer = closing(new Sequencer({ store: { redis: { nodes } } }));
    const taken = [await sequencer.next(name)];
    const masters = ports.map((port) => asker(port));
    const slot = Number(await masters[0].cluster('KEYSLOT', counterKey(`q${name}`)));
    const ids = await Promise.all(masters.map(async (node) => String(await node.cluster('MYID'))));
    const counts = await Promise.all(masters.map((node) => node.cluster('COUNTKEYSINSLOT', slot)));
    const from = counts.findIndex((count) => count > 0);
    const to = (from + 1) % masters.length;
    let isMoved = false;
    const load = async () => {
      for (let last = false; !last;) {
        last = isMoved; // once more when all has moved
        taken.push(...(await Promise.all([sequencer.next(name), sequencer.next(name)])));
      }
    };
    const move = async () => {
      await masters[to].cluster('SETSLOT', slot, 'IMPORTING', ids[from]);
      await masters[from].cluster('SETSLOT', slot, 'MIGRATING', ids[to]);
      // One key at a time, so that for a while some of a call's keys are here and some there.
      for (let keys; (keys = await masters[from].cluster('GETKEYSINSLOT', slot, 1)).length > 0;) {
        await masters[from].migrate('127.0.0.1', ports[to], keys[0], 0, 5000);
      }
      for (const node of masters) await node.cluster('SETSLOT', slot, 'NODE', ids[to]);
      isMoved = true;
    };
    await Promise.all([load(), move()]);
    assert.equal(await masters[from].cluster('COUNTKEYSINSLOT', slot), 0);
    const jumps = taken.filter((number, i) => i > 0 && number !== taken[i - 1] + 1);
    assert.equal(jumps.length, 1, `${taken.length} numbers`);
    assert.ok(jumps[0] > 2 ** 32, 'ahead, never back: the new master can not know that it lacks nothing');
  });

  it('full memory, wrong passwords, what is no Redis: by code, and nothing is done', async () => {
    const redis = await startRedis('--requirepass', 'hunter2');
    const good = closing(new Sequencer({ store: { redis: `redis://:hunter2@127.0.0.1:${redis.port}` } }));
    assert.equal(await good.next('k'), 1);
    const node = new Redis(redis.port, '127.0.0.1', { password: 'hunter2' });
    onCleanUp(() => node.disconnect());
    await node.config('SET', 'maxmemory', '1');
    await assert.rejects(good.next('k'), (/** @type {any} */ error) => {
      assert.deepEqual([error.code, error.retryable], ['UNAVAILABLE', true]);
      return /OOM/.test(error.message);
    });
    await node.config('SET', 'maxmemory', '0');
    assert.equal(await good.next('k'), 2);
    const wrong = closing(new Sequencer({ store: { redis: `redis://:guess@127.0.0.1:${redis.port}` } }));
    await assert.rejects(wrong.next('k'), (/** @type {any} */ error) => {
      assert.equal(error.code, 'REDIS_AUTH');
      return !/guess|hunter/.test(error.message);
    });
    const nodes = [`redis://:hunter2@127.0.0.1:${redis.port}`];
    const cluster = closing(new Sequencer({ store: { redis: { nodes, cluster: true } } }));
    await assert.rejects(cluster.next('k'), { code: 'REDIS_WRONG_SERVER', option: 'store.redis' });
  });

  it('half of a store that is being moved there is refused by all of them, and asked for once', async () => {
    const { url, port } = await startRedis();
    const node = asker(port);
    const store = { redis: url };
    const sequencer = closing(new Sequencer({ store }));
    let nowMs = 0;
    const segments = closing(new SegmentIds({ store, tag: 'orders', step: 10, now: () => nowMs }));
    const dedup = closing(new Dedup({ store, windowMs: 60_000 }));
    const offline = closing(new OfflineStore({ store }));
    const issued = closing(tokens({ store }));
    const pay = once({ store, key: (/** @type {string} */ order) => order }, () => 'paid');
    onCleanUp(() => pay.close());
    /** @type {Record<string, () => Promise<any>>} */
    const asks = {
      sequencer: () => sequencer.next('k'),
      segments: () => segments.next(),
      dedup: () => dedup.check('k'),
      offline: () => offline.append('bob', { msgId: 'm', sender: 'alice', content: 1 }),
      'offline counts': () => offline.counts('bob'),
      tokens: () => issued.issue('alice', 1),
      once: () => pay('order-1'),
      snowflake: async () => closing(await Snowflake.lease({ store })).next(),
    };
    await node.hset('eo:{migration}:state', 'state', 'moving', 'source', 'a store');
    for (const [name, ask] of Object.entries(asks)) {
      await assert.rejects(ask(), { code: 'MIGRATION_UNFINISHED', option: 'store.redis' }, name);
    }
    assert.deepEqual(await node.keys('*'), ['eo:{migration}:state'], 'and nothing is written');
    await node.hset('eo:{migration}:state', 'state', 'moved');
    nowMs += 60_000; // it tries again after a while
    await Promise.all(Object.values(asks).map((ask) => ask()));
    await node.hset('eo:{migration}:state', 'state', 'moving');
    assert.equal(await sequencer.next('k'), 2, 'it is not asked before each operation');
  });

  it('nobody there: UNAVAILABLE; many at once: OVERLOADED; closed: what is under way is answered', async () => {
    const { Redis: Client } = loadAddon();
    const store = new RedisStore(new SharedClient(new Client({ nodes: ['redis://127.0.0.1:1'], timeoutMs: 50 })));
    const asked = store.run(Operation.LAST, 'k');
    const closed = store.close();
    await assert.rejects(asked, { code: 'UNAVAILABLE', retryable: true });
    await closed;
    await assert.rejects(store.run(Operation.LAST, 'k'), { code: 'CLOSED' });
    const away = new Client({ nodes: ['redis://127.0.0.1:1'], timeoutMs: 50 });
    const full = closing(new RedisStore(new SharedClient(away, { most: 5 })));
    const flood = Array.from({ length: 15 }, () => full.run(Operation.LAST, 'k'));
    const answers = /** @type {any[]} */ (await Promise.allSettled(flood));
    const refused = answers.filter(({ reason }) => reason.code === 'OVERLOADED' && reason.retryable);
    assert.deepEqual([refused.length, full.stats().refused, full.stats().queued], [10, 10, 0]);
    const large = closing(
      new RedisStore(new SharedClient(new Client({ nodes: ['redis://127.0.0.1:1'], timeoutMs: 50 }))),
    );
    const commit = () => large.run(Operation.COMMIT, 'ck', 'owner', 1, 'x'.repeat(1 << 20), 1000);
    const many = /** @type {any[]} */ (await Promise.allSettled(Array.from({ length: 66 }, commit)));
    const codes = many.map(({ reason }) => reason.code);
    assert.deepEqual([codes.indexOf('OVERLOADED'), new Set(codes).size], [63, 2], 'the 64th would be too much');
    await assert.rejects(commit(), { code: 'UNAVAILABLE' }, 'and there is room again');
  });

  it('is one for all that name the same place, until the last has closed it', async () => {
    const { url } = await startRedis();
    const [one, two] = [openStore({ redis: url }), openStore({ redis: url })];
    assert.equal(await one.run(Operation.TAKE, 'k', 1, 10), 1n);
    const node = asker(Number(new URL(url).port));
    const clients = async () => String(await node.client('LIST')).match(/name=everyonce/g)?.length ?? 0;
    const connected = await clients();
    assert.equal(await two.run(Operation.TAKE, 'k', 1, 10), 2n);
    assert.deepEqual([connected > 0, await clients()], [true, connected], 'no connections of its own');
    await one.close();
    await one.close(); // again, and it is still only its own
    await assert.rejects(one.run(Operation.LAST, 'k'), { code: 'CLOSED' });
    assert.equal(await two.run(Operation.TAKE, 'k', 1, 10), 3n);
    await two.close();
    await assert.rejects(two.run(Operation.LAST, 'k'), { code: 'CLOSED' });
    while ((await clients()) > 0); // ended, and Redis hears of it
    const again = closing(openStore({ redis: url }));
    assert.equal(await again.run(Operation.LAST, 'k'), 3n);
  });

  it('refuses by name what is no address', () => {
    const refusals = /** @type {[any, string, string][]} */ ([
      ['localhost', 'BAD_OPTION', 'store.redis'],
      [7, 'BAD_OPTION', 'store.redis'],
      [{ nodes: [] }, 'BAD_OPTION', 'store.redis.nodes'],
      [{ nodes: ['redis://localhost'], x: 1 }, 'BAD_OPTION', 'store.redis.x'],
      ['redis://localhost:port', 'BAD_OPTION', 'store.redis'],
    ]);
    for (const [redis, code, option] of refusals) assert.throws(() => openStore({ redis }), { code, option });
    assert.throws(() => openStore({ redis: 'redis://localhost', memory: true }), {
      code: 'BAD_OPTION',
      option: 'store',
    });
    const beside = { redis: 'redis://localhost', cluster: true };
    assert.throws(() => openStore(beside), { code: 'BAD_OPTION', option: 'cluster' });
    const now = () => 1;
    assert.throws(() => openStore({ redis: 'redis://localhost' }, { now }), { code: 'BAD_OPTION', option: 'now' });
  });
});
