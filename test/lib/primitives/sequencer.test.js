import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Sequencer } from '../../../lib/primitives/sequencer.js';
import { cleanUp, closing, makeDirectory } from './support.js';
import { chosenSeed } from '../../support/seed.js';

const seed = chosenSeed();

describe('Sequencer', () => {
  afterEach(cleanUp);

  it('gives 1, 2, 3 … for each key; reserve gives the first of many', async () => {
    const sequencer = closing(new Sequencer({ store: { memory: true } }));
    assert.equal(await sequencer.current('a'), 0);
    assert.deepEqual([await sequencer.next('a'), await sequencer.next('a'), await sequencer.next('b')], [1, 2, 1]);
    assert.equal(await sequencer.reserve('a', 10), 3);
    assert.deepEqual([await sequencer.next('a'), await sequencer.current('a')], [13, 13]);
    assert.equal(sequencer.stats().taken, 14);
  });

  it(`agrees with a counter per key over 10^5 steps in any order of answers (seed ${seed})`, async function () {
    this.timeout(60_000);
    const sequencer = closing(new Sequencer({ store: { memory: true } }));
    const last = new Map();
    const step = fc.record({ key: fc.constantFrom('a', 'b', '', 'ä', 'a\0'), n: fc.integer({ min: 1, max: 50 }) });
    const steps = fc.sample(fc.array(step, { minLength: 1000, maxLength: 1000, size: 'max' }), { seed, numRuns: 100 });
    for (const some of steps) {
      const answers = await Promise.all(some.map(({ key, n }) => sequencer.reserve(`k${key}`, n)));
      for (const [i, { key, n }] of some.entries()) {
        assert.equal(answers[i], (last.get(key) ?? 0) + 1);
        last.set(key, (last.get(key) ?? 0) + n);
      }
    }
    for (const [key, value] of last) assert.equal(await sequencer.current(`k${key}`), value);
  });

  it('goes on after it was opened again', async () => {
    const data = makeDirectory();
    for (let round = 0; round < 3; round++) {
      const sequencer = new Sequencer({ store: { data } });
      assert.equal(await sequencer.next('a'), round + 1);
      await sequencer.close();
    }
  });

  it('is dense over many users of one directory', async () => {
    const data = makeDirectory();
    const all = Array.from({ length: 4 }, () => closing(new Sequencer({ store: { data } })));
    const taken = await Promise.all(Array.from({ length: 400 }, (_, i) => all[i % 4].next('a')));
    assert.deepEqual(
      taken.sort((a, b) => a - b),
      Array.from({ length: 400 }, (_, i) => i + 1),
    );
  });

  it('refuses bad arguments by name, and what comes after close', async () => {
    const sequencer = new Sequencer({ store: { memory: true } });
    for (const key of ['', 1, null, 'x'.repeat(1025), '\udc00', new Uint8Array(3)]) {
      await assert.rejects(sequencer.next(/** @type {any} */ (key)), { code: 'INVALID_ARGUMENT', option: 'key' });
    }
    for (const n of [0, -1, NaN, 1.5, 2 ** 53 + 1, '1', 1n]) {
      await assert.rejects(sequencer.reserve('a', /** @type {any} */ (n)), { code: 'INVALID_ARGUMENT', option: 'n' });
    }
    for (let i = 0; i < 3; i++) await sequencer.reserve('full', 1_000_000_000);
    assert.throws(() => new Sequencer(/** @type {any} */ ({ store: { memory: true }, x: 1 })), { option: 'x' });
    assert.throws(() => new Sequencer(/** @type {any} */ (undefined)), { code: 'BAD_OPTION' });
    await sequencer.close();
    await assert.rejects(sequencer.next('a'), { code: 'CLOSED' });
  });
});
