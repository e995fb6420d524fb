import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { Snowflake } from '../../../lib/index.js';
import { monotonicMs, setBounds } from '../../../lib/primitives/snowflake.js';
import { noIntegers, refuses, runSteps } from './support/steps.js';

const START = 1790000000000;
const EPOCH = 1704067200000;

/** @param {Partial<import('../../../lib/primitives/snowflake.js').SnowflakeOptions>} [options] */
function generator(options = {}) {
  const clock = { now: START };
  return { clock, ids: new Snowflake({ worker: 7, now: () => clock.now, ...options }) };
}

describe('Snowflake', () => {
  it('gives strings, bigints and batches that rise, and says what is in them', () => {
    const { ids } = generator({ worker: 1023 });
    const text = ids.next();
    assert.match(text, /^\d{18,19}$/);
    const { time, worker, sequence } = ids.decode(text);
    assert.deepEqual([time, worker], [START, 1023]);
    assert.ok(sequence < 100, 'begins at 0 to 99');
    const big = ids.nextBigInt();
    assert.equal(big, BigInt(text) + 1n);
    const batch = ids.nextBatch(3);
    assert.ok(batch instanceof BigUint64Array);
    assert.deepEqual([...batch], [big + 1n, big + 2n, big + 3n]);
    assert.equal(ids.nextBatch(0).length, 0);
    assert.equal((big >> 22n) + BigInt(EPOCH), BigInt(START));
    assert.deepEqual(Snowflake.decode(big), ids.decode(String(big)));
    assert.deepEqual(ids.stats(), { worker: 1023, epoch: EPOCH, issued: 5, lastMs: START, clockStepsBack: 0 });
  });

  it('by the machine’s clock: its time is now', () => {
    const before = Date.now();
    const { time } = Snowflake.decode(new Snowflake({ worker: 0 }).next());
    assert.ok(time >= before && time <= Date.now());
  });

  it('begins milliseconds at sequences from 0 to 99, all of them', () => {
    const { clock, ids } = generator();
    const starts = new Set();
    for (; clock.now < START + 3000; clock.now++) starts.add(ids.decode(ids.next()).sequence);
    assert.equal(starts.size, 100);
  });

  it('counts from an epoch of one’s own', () => {
    const epoch = 1288834974657;
    const { ids } = generator({ epoch });
    const id = ids.nextBigInt();
    assert.equal(id >> 22n, BigInt(START - epoch));
    assert.equal(ids.decode(id).time, START);
    assert.equal(Snowflake.decode(id, { epoch }).time, START);
  });

  it('waits out a small step back, and refuses a large one by saying how long', () => {
    const { clock, ids } = generator({ maxBackwardMs: 100 });
    const first = ids.nextBigInt();
    clock.now -= 100;
    const second = ids.nextBigInt();
    assert.ok(second > first);
    assert.equal(ids.decode(second).time, START);
    clock.now -= 50;
    for (const call of [() => ids.next(), () => ids.nextBigInt(), () => ids.nextBatch(2)]) {
      assert.throws(call, { name: 'EveryonceError', code: 'CLOCK_BACKWARDS', backwardMs: 150, retryAfterMs: 50 });
    }
    clock.now += 50;
    assert.ok(ids.nextBigInt() > second);
    assert.equal(ids.stats().clockStepsBack, 1);
  });

  it('borrows milliseconds to come for more than 4096, as far as it may', () => {
    const { clock, ids } = generator({ maxAheadMs: 10 });
    const batch = ids.nextBatch(40_000);
    assert.equal(new Set(batch).size, 40_000);
    assert.ok(ids.decode(batch[39_999]).time <= START + 10);
    assert.throws(() => ids.nextBatch(40_000), { code: 'IDS_EXHAUSTED', retryable: true });
    clock.now += 10;
    assert.ok(ids.nextBatch(20_000)[0] > batch[39_999]);
  });

  it('by the machine’s clock it sleeps where it may borrow no more, and goes on', () => {
    const ids = new Snowflake({ worker: 1, maxAheadMs: 0 });
    const batch = ids.nextBatch(20_000);
    assert.equal(new Set(batch).size, 20_000);
    assert.ok(ids.decode(batch[19_999]).time <= Date.now());
  });

  it('makes no id of a time that the generator before it may have used', () => {
    const { ids } = generator();
    ids.nextBatch(10_000);
    const { ids: next } = generator({ usedUntilMs: ids.stats().lastMs });
    assert.ok(next.nextBigInt() >> 22n > BigInt(ids.stats().lastMs - EPOCH));
  });

  it('keeps within a lease: its reserved time, and its deadline on another clock', () => {
    const monotonic = { now: 1000 };
    const { clock, ids } = generator({ monotonicNow: () => monotonic.now });
    setBounds(ids, { reservedUntilMs: START + 1, deadlineMs: 2000 });
    ids.next();
    clock.now = START + 2;
    refuses(() => ids.next(), 'IDS_EXHAUSTED');
    setBounds(ids, { reservedUntilMs: START + 5, deadlineMs: 2000 });
    ids.next();
    monotonic.now = 2000;
    for (const call of [() => ids.next(), () => ids.nextBigInt(), () => ids.nextBatch(5)])
      refuses(call, 'LEASE_EXPIRED');
    setBounds(ids, {});
    ids.next();
    assert.ok(Math.abs(monotonicMs() - monotonicMs()) < 1000);
  });

  it('refuses what makes no sense, by name', () => {
    for (const worker of [...noIntegers, undefined, 1024])
      refuses(() => new Snowflake(/** @type {any} */ ({ worker })), 'BAD_OPTION', 'worker');
    for (const name of ['epoch', 'maxBackwardMs', 'maxAheadMs', 'usedUntilMs']) {
      for (const value of noIntegers.filter((one) => one !== null)) {
        refuses(() => new Snowflake(/** @type {any} */ ({ worker: 1, [name]: value })), 'BAD_OPTION', name);
      }
    }
    refuses(() => new Snowflake(/** @type {any} */ ({ worker: 1, now: 5 })), 'BAD_OPTION', 'now');
    refuses(() => new Snowflake(/** @type {any} */ ({ worker: 1, wroker: 5 })), 'BAD_OPTION', 'wroker');
    refuses(() => new Snowflake(/** @type {any} */ (undefined)), 'BAD_OPTION');
    const { ids } = generator();
    for (const count of [...noIntegers, undefined, 2 ** 20 + 1])
      refuses(() => ids.nextBatch(/** @type {any} */ (count)), 'INVALID_ARGUMENT', 'count');
    for (const id of ['', 'x', '-1', '9223372036854775808', -1n, 2n ** 63n, 2 ** 53, NaN, null, undefined, {}]) {
      refuses(() => ids.decode(/** @type {any} */ (id)), 'INVALID_ARGUMENT', 'id');
    }
    assert.deepEqual(Snowflake.decode('9223372036854775807'), {
      time: EPOCH + 2 ** 41 - 1,
      worker: 1023,
      sequence: 4095,
    });
  });

  it('refuses a clock that ids can not hold, and recovers', () => {
    const { clock, ids } = generator();
    for (const now of [0, EPOCH - 1, EPOCH + 2 ** 41, -1e300, 1e300]) {
      clock.now = now;
      refuses(() => ids.next(), 'CLOCK_OUT_OF_RANGE');
    }
    for (const now of [NaN, Infinity, undefined]) {
      clock.now = /** @type {any} */ (now);
      refuses(() => ids.next(), 'INVALID_ARGUMENT', 'now');
    }
    clock.now = START;
    assert.equal(ids.decode(ids.next()).time, START);
  });

  it('stands a clock that calls back into it, and one that closes it', () => {
    /** @type {Snowflake} */
    let ids;
    let depth = 0;
    ids = new Snowflake({ worker: 1, now: () => (depth++ < 3 ? Snowflake.decode(ids.next()).time : START) });
    assert.ok(ids.next());
    ids = new Snowflake({ worker: 1, now: () => (ids.close(), START) });
    refuses(() => ids.next(), 'CLOSED');
    refuses(() => ids.nextBatch(5), 'CLOSED');
    refuses(() => ids.stats(), 'CLOSED');
    ids.close();
  });

  it('ends with its block: Symbol.dispose', () => {
    const { ids } = generator();
    /** @type {any} */ (ids)[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
    refuses(() => ids.next(), 'CLOSED');
  });

  it('works in worker threads, and in several at once', async () => {
    const code = `const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.lib).then(({ Snowflake }) => {
        parentPort.postMessage(new Snowflake({ worker: workerData.worker }).nextBatch(5000));
      });`;
    const lib = new URL('../../../lib/index.js', import.meta.url).href;
    const batches = await Promise.all(
      [1, 2, 3].map(
        (worker) =>
          new Promise((resolve, reject) => {
            new Worker(code, { eval: true, workerData: { lib, worker } })
              .once('message', resolve)
              .once('error', reject);
          }),
      ),
    );
    assert.equal(new Set(batches.flatMap((one) => [...one])).size, 15_000);
  });

  // The model: what ids must be, whatever the clock does. 10^5 steps.
  it('rises strictly under any clock, and never runs ahead further than it may', function () {
    this.timeout(60_000);
    const step = fc.oneof(
      { weight: 20, arbitrary: fc.record({ forward: fc.nat(5) }) },
      { weight: 5, arbitrary: fc.record({ back: fc.nat(60) }) },
      { weight: 50, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 9000 }) }) },
    );
    runSteps(/** @type {any} */ (step), (/** @type {any[]} */ steps) => {
      const { clock, ids } = generator({ maxBackwardMs: 40, maxAheadMs: 3 });
      let last = 0n;
      let newest = 0;
      for (const { forward = 0, back = 0, take } of steps) {
        clock.now += forward - back;
        if (take === undefined) continue;
        /** @type {bigint[]} */
        let taken = [];
        try {
          taken = take === 1 ? [BigInt(ids.next())] : take === 2 ? [ids.nextBigInt()] : [...ids.nextBatch(take)];
        } catch (error) {
          const { code, retryAfterMs } = /** @type {any} */ (error);
          if (newest - clock.now > 40) assert.equal(code, 'CLOCK_BACKWARDS');
          else assert.equal(code, 'IDS_EXHAUSTED');
          assert.ok(retryAfterMs > 0);
        }
        if (newest - clock.now > 40) assert.equal(taken.length, 0);
        else newest = Math.max(newest, clock.now);
        for (const id of taken) {
          assert.ok(id > last);
          last = id;
        }
        if (taken.length === 0) continue;
        const { time, worker } = ids.decode(last);
        assert.equal(worker, 7);
        assert.ok(time >= clock.now && time <= newest + 3);
      }
    });
  });
});
