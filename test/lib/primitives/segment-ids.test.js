import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SegmentIds } from '../../../lib/primitives/segment-ids.js';
import { MAX_STEP, SegmentBuffer } from '../../../lib/primitives/segments/buffer.js';
import { cleanUp, closing, makeDirectory } from './support.js';
import { chosenSeed } from '../../support/seed.js';

const seed = chosenSeed();
const MINUTE = 60_000;

/** A loader whose segments come when the test says so. */
function manual() {
  /** @type {{ step: number, give: (first: unknown) => void, fail: (error: unknown) => void }[]} */
  const asked = [];
  const load = (/** @type {string} */ _tag, /** @type {number} */ step) =>
    new Promise((give, fail) => asked.push({ step, give, fail }));
  return { asked, load };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));
const open = (/** @type {any} */ options) => closing(new SegmentIds({ tag: 't', step: 10, ...options }));

describe('SegmentBuffer', () => {
  it('wants the next segment when a tenth is used, and flips when it is used up', () => {
    const buffer = new SegmentBuffer(100);
    assert.equal(buffer.wantsLoad, true);
    buffer.add(1n, 100, 0);
    for (let i = 1; i <= 10; i++) assert.equal(buffer.takeOne(), String(i));
    assert.equal(buffer.wantsLoad, false, 'a tenth, and not more than a tenth');
    buffer.takeOne();
    assert.equal(buffer.wantsLoad, true);
    buffer.add(501n, 100, 1);
    assert.equal(buffer.wantsLoad, false);
    const ids = new BigUint64Array(100);
    assert.equal(buffer.fill(ids, 0), 100);
    assert.deepEqual([ids[0], ids[88], ids[89], ids[99]], [12n, 100n, 501n, 511n]);
    assert.equal(buffer.available, 89);
    assert.equal(buffer.wantsLoad, true);
    for (let i = 0; i < 89; i++) buffer.takeOne();
    assert.equal(buffer.takeOne(), undefined, 'half-open: 601 is not ours');
  });

  it('doubles the step where a segment went within 15 minutes, halves it after 30, between its first and 10^6', () => {
    const buffer = new SegmentBuffer(1000);
    let now = 0;
    let first = 0n;
    const load = (/** @type {number} */ minutes) => {
      now += minutes * MINUTE;
      buffer.add(first, buffer.step, now);
      first += 10n * BigInt(MAX_STEP);
      buffer.fill(new BigUint64Array(buffer.available), 0);
      return buffer.step;
    };
    assert.deepEqual([load(1), load(1)], [1000, 1000], 'from the third load on');
    assert.deepEqual([load(14), load(14.9), load(15), load(29.9), load(30), load(30), load(99)], [2000, 4000, 4000, 4000, 2000, 1000, 1000]); // prettier-ignore
    for (let i = 0; i < 20; i++) load(1);
    assert.equal(buffer.step, 512_000);
    assert.ok(buffer.step <= MAX_STEP);
  });

  it('refuses a segment that repeats, and one beyond eight bytes', () => {
    const buffer = new SegmentBuffer(10);
    buffer.add(100n, 10, 0);
    assert.throws(() => buffer.add(109n, 10, 0), RangeError);
    buffer.add(110n, 10, 0);
    assert.throws(() => new SegmentBuffer(10).add(2n ** 63n - 9n, 10, 0), RangeError);
    const last = new SegmentBuffer(10);
    last.add(2n ** 63n - 10n, 10, 0);
    assert.equal(last.takeOne(), '9223372036854775798');
  });

  it(`gives what a plain list gives, over 10^5 steps (seed ${seed})`, () => {
    const act = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 }));
    const buffer = new SegmentBuffer(7);
    /** @type {bigint[]} */
    const naive = [];
    let first = 2n ** 53n - 500n; // across the last number that JSON keeps
    for (const count of fc.sample(act, { seed, numRuns: 100_000 })) {
      if (buffer.wantsLoad) {
        const { step } = buffer;
        for (let i = 0n; i < BigInt(step); i++) naive.push(first + i);
        buffer.add(first, step, 1e6 * Number(first % 1000n)); // now quick, now slow: steps of many sizes
        first += BigInt(step) + BigInt(count);
      }
      if (count === 0) {
        assert.equal(buffer.takeOne(), naive.shift()?.toString());
      } else {
        const ids = new BigUint64Array(count);
        const filled = buffer.fill(ids, 0);
        assert.deepEqual([...ids.subarray(0, filled)], naive.splice(0, count));
      }
    }
  });
});

describe('SegmentIds', () => {
  afterEach(cleanUp);

  it('waits for a segment under way, in order, and asks for the next one in time', async () => {
    const { asked, load } = manual();
    const ids = open({ load });
    const first = [ids.next(), ids.next(), ids.nextBatch(2)];
    assert.deepEqual([asked.length, asked[0].step], [1, 10]);
    asked[0].give(41);
    assert.deepEqual(await Promise.all(first), ['41', '42', BigUint64Array.of(43n, 44n)]);
    await settled();
    assert.equal(await ids.next(), '45');
    assert.equal(asked.length, 2, 'more than a tenth is used');
    const batch = ids.nextBatch(8);
    asked[1].give('1000');
    assert.deepEqual([...(await batch)], [46n, 47n, 48n, 49n, 50n, 1000n, 1001n, 1002n]);
    assert.equal(ids.stats().loads, 2);
  });

  it('tells a failed load to all who wait, with its cause, and backs off', async () => {
    const { asked, load } = manual();
    let now = 0;
    const ids = open({ load, now: () => now });
    const waiting = [ids.next(), ids.nextBatch(3)];
    const failure = new Error('the database is away');
    asked[0].fail(failure);
    for (const one of waiting) await assert.rejects(one, { code: 'UNAVAILABLE', cause: failure, retryAfterMs: 50 });
    await settled();
    await assert.rejects(ids.next(), { code: 'UNAVAILABLE', retryAfterMs: 50 });
    assert.equal(asked.length, 1, 'not asked again before its time');
    now = 50;
    const second = ids.next();
    asked[1].fail(failure);
    await assert.rejects(second, { retryAfterMs: 100 });
    await settled();
    now = 150;
    const third = ids.next();
    asked[2].give(1n);
    assert.equal(await third, '1');
    assert.deepEqual([ids.stats().failures, ids.stats().loads], [2, 1]);
  });

  it('gives up at its deadline where a load does not end, and uses what comes late', async () => {
    const { asked, load } = manual();
    const ids = open({ load, timeoutMs: 5 });
    await assert.rejects(ids.next(), { code: 'TIMEOUT', retryable: true });
    asked[0].give(7);
    await settled();
    assert.equal(await ids.next(), '7');
    assert.equal(ids.stats().timeouts, 1);
  });

  it('refuses what a loader must not give', async () => {
    for (const first of [undefined, null, -1, 1.5, NaN, 2 ** 53, 'x', '-1', '1e3', -1n, 2n ** 63n, {}]) {
      const ids = open({ load: () => first });
      await assert.rejects(ids.next(), { code: 'UNAVAILABLE' }, String(first));
    }
    const same = open({ load: () => 5 });
    await same.nextBatch(9);
    await settled();
    await same.next();
    await assert.rejects(same.next(), { code: 'UNAVAILABLE' }, 'the same segment twice');
    const thrower = open({ load: () => { throw new TypeError('no'); } }); // prettier-ignore
    await assert.rejects(thrower.next(), { code: 'UNAVAILABLE' });
  });

  it('never repeats over objects, threads of calls and restarts of one directory', async () => {
    const data = makeDirectory();
    const seen = new Set();
    for (let round = 0; round < 3; round++) {
      const users = [1, 2].map(() => new SegmentIds({ store: { data }, tag: 't', step: 7 }));
      for (let i = 0; i < 20; i++) {
        const taken = await Promise.all([users[0].next(), users[1].next(), users[0].nextBatch(9)]);
        for (const id of [taken[0], taken[1], ...[...taken[2]].map(String)]) {
          assert.ok(!seen.has(id), id);
          seen.add(id);
        }
      }
      for (const one of users) await one.close();
    }
    assert.equal(seen.size, 3 * 20 * 11);
  });

  it('keeps tags apart, and rises within one object', async () => {
    const store = { memory: true };
    const [a, b] = ['a', 'b'].map((tag) => open({ store, tag }));
    assert.deepEqual([await a.next(), await b.next()], ['1', '1']);
    let last = 1n;
    for (let i = 0; i < 300; i++) {
      const id = BigInt(await a.next());
      assert.ok(id > last);
      last = id;
    }
  });

  it('refuses bad options and arguments by name, and what comes after close', async () => {
    const load = () => 1;
    for (const [options, option] of /** @type {[any, string][]} */ ([
      [{ tag: 't' }, 'store'],
      [{ tag: 't', load, store: { memory: true } }, 'store'],
      [{ load }, 'tag'],
      [{ tag: '', load }, 'tag'],
      [{ tag: 'x'.repeat(129), load }, 'tag'],
      [{ tag: 't', load: 7 }, 'load'],
      [{ tag: 't', load, step: 0 }, 'step'],
      [{ tag: 't', load, step: 1_000_001 }, 'step'],
      [{ tag: 't', load, timeoutMs: NaN }, 'timeoutMs'],
      [{ tag: 't', store: { postgres: 1 } }, 'store.postgres'],
      [{ tag: 't', store: { mysql: 1 } }, 'store.mysql'],
    ])) {
      assert.throws(() => new SegmentIds(options), { code: 'BAD_OPTION', option }, JSON.stringify(options));
    }
    const { load: never } = manual();
    const ids = open({ load: never });
    for (const n of [0, -1, NaN, 1.5, 2 ** 53, '1', 1_000_001]) {
      await assert.rejects(ids.nextBatch(/** @type {any} */ (n)), { code: 'INVALID_ARGUMENT', option: 'n' });
    }
    const waiting = ids.next();
    await Promise.all([assert.rejects(waiting, { code: 'CLOSED' }), ids.close()]);
    await assert.rejects(ids.next(), { code: 'CLOSED' });
    await assert.rejects(ids.nextBatch(1), { code: 'CLOSED' });
  });
});
