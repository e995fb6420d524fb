import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Dedup } from '../../../lib/primitives/dedup.js';
import { cleanUp, closing, makeDirectory, withClock } from './support.js';
import { chosenSeed } from '../../support/seed.js';

const seed = chosenSeed();

/** @param {Partial<ConstructorParameters<typeof Dedup>[0]>} [options] */
const open = (options) => closing(new Dedup({ store: { memory: true }, windowMs: 1000, ...options }));

describe('Dedup', () => {
  afterEach(cleanUp);

  it('says new once, for a window from the first time', async () => {
    const { store, options, advance } = withClock();
    const dedup = open({ ...options, store });
    assert.deepEqual(
      [await dedup.check('a'), await dedup.check('a'), await dedup.check('b')],
      ['new', 'duplicate', 'new'],
    );
    advance(999);
    assert.equal(await dedup.check('a'), 'duplicate');
    advance(1);
    assert.equal(await dedup.check('a'), 'new');
  });

  it(`agrees with a map of times over 10^5 keys (seed ${seed})`, async function () {
    this.timeout(60_000);
    const { store, options, advance, now } = withClock();
    const dedup = open({ ...options, store });
    const seen = new Map();
    const keys = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1000, maxLength: 1000, size: 'max' });
    for (const some of fc.sample(keys, { seed, numRuns: 100 })) {
      const fresh = await dedup.checkBatch(some.map((key) => `key ${key}`));
      const expected = some.map((key) => {
        const isNew = !seen.has(key) || seen.get(key) + 1000 <= now();
        if (isNew) seen.set(key, now());
        return isNew ? 1 : 0;
      });
      assert.deepEqual([...fresh], expected);
      advance(some[0] % 200);
    }
    assert.equal(dedup.stats().checked, 100_000);
  });

  it('remembers what it said through a restart', async () => {
    const data = makeDirectory();
    const before = new Dedup({ store: { data }, windowMs: 60_000 });
    assert.deepEqual([...(await before.checkBatch(['a', 'b', 'a']))], [1, 1, 0]);
    await before.close();
    const after = open({ store: { data }, windowMs: 60_000 });
    assert.deepEqual([...(await after.checkBatch(['a', 'b', 'c']))], [0, 0, 1]);
    const apart = open({ store: { data }, windowMs: 60_000, name: 'other' });
    assert.equal(await apart.check('a'), 'new');
  });

  it('spares look-ups by its filter, once that was rebuilt, and never a key', async function () {
    this.timeout(30_000);
    const data = makeDirectory();
    const before = new Dedup({ store: { data }, windowMs: 600_000 });
    const keys = Array.from({ length: 10_000 }, (_, i) => `key ${i}`);
    await before.checkBatch(keys);
    await before.close();
    const dedup = open({ store: { data }, windowMs: 600_000 });
    assert.equal(dedup.stats().filter.warm, false);
    assert.ok(
      (await dedup.checkBatch(keys.slice(0, 100))).every((one) => one === 0),
      'while it is cold, too',
    );
    while (!dedup.stats().filter.warm) await dedup.check('key 0');
    const { lookups } = dedup.stats().filter;
    assert.ok((await dedup.checkBatch(keys)).every((one) => one === 0));
    assert.ok((await dedup.checkBatch(keys.map((key) => `new ${key}`))).every((one) => one === 1));
    const { filter } = dedup.stats();
    assert.equal(filter.lookups - lookups, 20_000);
    assert.equal(filter.saved + filter.falsePositives, 10_000, 'each that was new was spared or looked up in vain');
    assert.ok(filter.falsePositives < 400, `${filter.falsePositives}`);
  });

  it('claim, commit: the result comes back to every later claim', async () => {
    const dedup = open({ windowMs: 60_000 });
    const claim = await dedup.claim('order 1', 10_000);
    assert.equal(claim.state, 'ACQUIRED');
    const busy = await dedup.claim('order 1', 10_000);
    assert.equal(busy.state, 'BUSY');
    assert.ok(Number(busy.retryAfterMs) > 0);
    assert.equal((await dedup.commit(busy, 'not mine')).state, 'FENCED');
    assert.equal((await dedup.commit(claim, { paid: 7 })).state, 'COMMITTED');
    assert.deepEqual(await dedup.commit(claim, 1), { state: 'ALREADY', fence: claim.fence, result: { paid: 7 } });
    const done = await dedup.claim('order 1', 10_000);
    assert.deepEqual([done.state, done.result], ['DONE', { paid: 7 }]);
    assert.equal(await dedup.check('order 1'), 'duplicate');
  });

  it('a released claim is free at once; one whose owner died, when its lease has run out', async () => {
    const { store, options, advance } = withClock();
    const dedup = open({ ...options, store });
    const first = await dedup.claim('a', 100);
    assert.equal((await dedup.release(first)).state, 'RELEASED');
    const second = await dedup.claim('a', 100);
    assert.deepEqual([second.state, second.attempt], ['ACQUIRED', 2]);
    assert.ok(Number(second.fence) > Number(first.fence));
    advance(100);
    assert.equal((await dedup.claim('a', 100)).state, 'TAKEOVER');
    assert.equal((await dedup.commit(second)).state, 'FENCED');
  });

  it('refuses bad arguments by name, and what comes after close', async () => {
    const dedup = open();
    for (const key of ['', 1, undefined, 'x'.repeat(1001), 'x'.repeat(1 << 20), '\ud800']) {
      const bad = /** @type {any} */ (key);
      await assert.rejects(dedup.check(bad), { code: 'INVALID_ARGUMENT', option: 'key' });
      await assert.rejects(dedup.checkBatch(['good', bad]), { code: 'INVALID_ARGUMENT', option: 'key' });
      await assert.rejects(dedup.claim(bad, 1), { code: 'INVALID_ARGUMENT', option: 'key' });
    }
    assert.equal(await dedup.check('good'), 'new', 'of a batch that was refused nothing is remembered');
    assert.deepEqual([...(await dedup.checkBatch([]))], []);
    for (const keys of [null, 'ab', new Array(10_001).fill('a')]) {
      await assert.rejects(dedup.checkBatch(/** @type {any} */ (keys)), { code: 'INVALID_ARGUMENT', option: 'keys' });
    }
    for (const claim of [null, {}, { key: 'a', owner: 'o' }]) {
      await assert.rejects(dedup.commit(/** @type {any} */ (claim)), { code: 'INVALID_ARGUMENT', option: 'claim' });
    }
    const claim = await dedup.claim('a', 1000);
    await assert.rejects(dedup.commit(claim, 1n), { code: 'INVALID_ARGUMENT', option: 'result' });
    for (const windowMs of [0, NaN, -1, 2 ** 60, undefined]) {
      assert.throws(() => open({ windowMs }), { code: 'BAD_OPTION', option: 'windowMs' });
    }
    await dedup.close();
    await assert.rejects(dedup.check('a'), { code: 'CLOSED' });
  });
});
