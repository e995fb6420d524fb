// Snowflake.lease under clocks that the test owns: the store's, a node's wall clock and its monotonic one.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { Snowflake } from '../../../lib/primitives/snowflake.js';
import { openStore } from '../../../lib/primitives/store.js';
import { WorkerLease } from '../../../lib/primitives/worker-lease.js';
import { cleanUp, closing, makeDirectory } from './support.js';

const START = 1_800_000_000_000;
const LEASE_MS = 30_000;

/** A store and nodes on it, each with clocks of its own that run with the store's until they are set. */
function world() {
  let nowMs = START;
  const memory = { memory: true };
  // Holds what is in memory while nodes come and go.
  const keeper = closing(openStore(memory, { now: () => nowMs }));
  return {
    advance: (/** @type {number} */ ms) => (nowMs += ms),
    async node() {
      const store = openStore(memory);
      const node = { wallMs: 0, pausedMs: 0, lease: /** @type {any} */ (null), ids: /** @type {any} */ (null), store };
      const clocks = { now: () => nowMs + node.wallMs, monotonicNow: () => nowMs - START };
      node.lease = new WorkerLease(store, { leaseMs: LEASE_MS, ...clocks });
      node.ids = await node.lease.open(clocks);
      return node;
    },
    keeper,
  };
}

describe('Snowflake.lease', () => {
  afterEach(cleanUp);

  it('two nodes at once get two numbers; one that is given back is free again', async () => {
    const { node } = world();
    const [one, two] = await Promise.all([node(), node()]);
    assert.deepEqual([one.ids.stats().worker, two.ids.stats().worker], [0, 1]);
    one.ids.nextBatch(100);
    await one.ids.close();
    const three = await node();
    assert.equal(three.ids.stats().worker, 0);
    assert.throws(() => one.ids.next(), { code: 'CLOSED' });
  });

  it('no id repeats over a restart with the clock set back', async () => {
    const { node, advance } = world();
    const one = await node();
    const before = new Set(one.ids.nextBatch(5000));
    // It dies without a word; its number comes free, and the next one's clock is an hour behind.
    advance(LEASE_MS + 1);
    const two = await node();
    two.wallMs = -3_600_000;
    assert.equal(two.ids.stats().worker, 0);
    assert.throws(() => two.ids.next(), { code: 'CLOCK_BACKWARDS' });
    two.wallMs = -(LEASE_MS + 1); // as far back as the first one began
    const after = two.ids.nextBatch(5000);
    for (const id of after) assert.ok(!before.has(id), `${id}`);
    assert.ok(after[0] > [...before].at(-1));
  });

  it('a node that paused longer than its lease gives out nothing more, and its ids are not repeated', async () => {
    const { node, advance } = world();
    const one = await node();
    const before = one.ids.nextBatch(10);
    advance(LEASE_MS * 0.8 + 1);
    assert.throws(() => one.ids.next(), { code: /LEASE_EXPIRED|IDS_EXHAUSTED/ });
    advance(LEASE_MS);
    const two = await node();
    assert.equal(two.ids.stats().worker, 0);
    assert.ok(two.ids.nextBatch(10)[0] > before[9]);
    assert.equal(await one.lease.renew(), false, 'its fence is of before');
    assert.throws(() => one.ids.next(), { code: /LEASE_EXPIRED|IDS_EXHAUSTED/ });
    await one.ids.close();
    assert.equal(await two.lease.renew(), true, 'and it can not give back what is not its own');
  });

  it('the deadline counts from before the question, and ids stop at it exactly', async () => {
    const { node, advance } = world();
    const one = await node();
    assert.equal(await one.lease.renew(), true);
    one.wallMs = 0;
    for (let second = 0; second < 23; second++) advance(1000);
    one.wallMs = -23_000; // within what is reserved, so that only the deadline counts
    assert.ok(one.ids.next());
    advance(1000);
    one.wallMs -= 1000;
    assert.throws(() => one.ids.next(), { code: 'LEASE_EXPIRED' });
  });

  it('time is reserved ahead, durably, and only so far are ids made', async () => {
    const { node, advance } = world();
    const one = await node();
    advance(2999);
    assert.ok(one.ids.next());
    advance(2);
    assert.throws(() => one.ids.next(), { code: 'IDS_EXHAUSTED' });
    assert.equal(await one.lease.renew(), true);
    assert.ok(one.ids.next());
  });

  it('1024 nodes and no more; who asks then is told when', async function () {
    this.timeout(20_000);
    const { node } = world();
    for (let i = 0; i < 1024; i++) await node();
    await assert.rejects(node(), { code: 'OVERLOADED', retryAfterMs: LEASE_MS });
  });

  it('over a directory: renews by itself, gives its number back, goes on after a restart', async () => {
    const store = { data: makeDirectory() };
    const one = await Snowflake.lease({ store });
    const two = await Snowflake.lease({ store });
    assert.deepEqual([one.stats().worker, two.stats().worker], [0, 1]);
    const last = one.nextBatch(10_000).at(-1);
    await Promise.all([one.close(), two.close()]);
    const again = await Snowflake.lease({ store });
    assert.equal(again.stats().worker, 0);
    assert.ok(again.nextBigInt() > /** @type {bigint} */ (last));
    await again.close();
    await again.close();
  });

  it('in memory it is the one of the process, over its threads', async () => {
    const one = await Snowflake.lease({ store: { memory: true } });
    const source = `const { parentPort, workerData } = require('node:worker_threads');
      import(workerData).then(async ({ Snowflake }) => {
        const ids = await Snowflake.lease({ store: { memory: true } });
        parentPort.postMessage(ids.stats().worker);
        await ids.close();
      });`;
    const module = new URL('../../../lib/primitives/snowflake.js', import.meta.url).href;
    const thread = new Worker(source, { eval: true, workerData: module });
    const [other] = await once(thread, 'message');
    assert.notEqual(other, one.stats().worker);
    await once(thread, 'exit');
    await one.close();
  });

  it('refuses bad options by name', async () => {
    const store = { memory: true };
    await assert.rejects(Snowflake.lease(/** @type {any} */ ({})), { code: 'BAD_OPTION', option: 'store' });
    await assert.rejects(Snowflake.lease({ store, leaseMs: 1 }), { code: 'BAD_OPTION', option: 'leaseMs' });
    await assert.rejects(Snowflake.lease({ store, maxAheadMs: 5000 }), { code: 'BAD_OPTION', option: 'maxAheadMs' });
    await assert.rejects(Snowflake.lease({ store, epoch: -1 }), { code: 'BAD_OPTION', option: 'epoch' });
  });
});
