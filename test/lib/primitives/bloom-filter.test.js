import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { BloomFilter, RotatingBloom } from '../../../lib/index.js';
import { noIntegers, refuses, runSteps } from './support/steps.js';

const DISPOSE = /** @type {any} */ (Symbol.dispose ?? Symbol.for('nodejs.dispose'));
const small = () => new BloomFilter({ capacity: 1000, errorRate: 0.01 });
const rotating = (/** @type {any} */ options) =>
  new RotatingBloom({ capacity: 1000, errorRate: 0.01, windowMs: 1000, ...options });

/** @param {string[]} keys @returns {[Buffer, Uint32Array]} */
function packed(keys) {
  const offsets = new Uint32Array(keys.length + 1);
  keys.forEach((key, i) => (offsets[i + 1] = offsets[i] + Buffer.byteLength(key)));
  return [Buffer.from(keys.join('')), offsets];
}

/** What both filters must stand. @type {[string, () => BloomFilter | RotatingBloom][]} */
const filters = [
  ['BloomFilter', small],
  ['RotatingBloom', () => rotating({})],
];

for (const [name, make] of filters) {
  describe(name, () => {
    it('knows what was added, as text or as bytes', () => {
      const filter = make();
      assert.equal(filter.has('key'), false);
      assert.equal(filter.add('key'), undefined);
      assert.equal(filter.has('key'), true);
      assert.equal(filter.has(Buffer.from('key')), true);
      assert.equal(filter.has(new Uint8Array([107, 101, 121])), true);
      assert.equal(filter.addIfAbsent('key'), false);
      assert.equal(filter.addIfAbsent('ключ'), true);
      assert.equal(filter.has(Buffer.from('ключ')), true);
      assert.equal(filter.stats().items, 2);
    });

    it('takes batches, as arrays and as one Buffer with offsets', () => {
      const filter = make();
      assert.deepEqual(filter.addBatch(['a', Buffer.from('b'), 'a']), Uint8Array.of(1, 1, 0));
      assert.deepEqual(filter.addBatch(...packed(['c', '', 'ключ', 'c'])), Uint8Array.of(1, 1, 1, 0));
      assert.deepEqual(filter.hasBatch(['a', 'b', 'c', '', 'ключ', 'x']), Uint8Array.of(1, 1, 1, 1, 1, 0));
      assert.deepEqual(filter.hasBatch(...packed(['a', 'x', 'ключ'])), Uint8Array.of(1, 0, 1));
      assert.deepEqual(filter.addBatch([]), new Uint8Array(0));
      assert.deepEqual(filter.hasBatch(Buffer.alloc(0), Uint32Array.of(0)), new Uint8Array(0));
    });

    it('takes the empty key, long ones, and ones at the edges of its buffers', () => {
      const filter = make();
      assert.equal(filter.addIfAbsent(''), true);
      assert.equal(filter.has(Buffer.alloc(0)), true);
      for (const length of [1, 507, 508, 509, 510, 511, 512, 513, 2 ** 20]) {
        for (const letter of ['x', 'é', '€', '😀']) {
          const key = letter.repeat(length);
          assert.equal(filter.addIfAbsent(key), true, `${letter} ${length}`);
          assert.equal(filter.has(Buffer.from(key)), true, `${letter} ${length}`);
          assert.equal(filter.has(key + 'x'), false, `${letter} ${length}`);
        }
      }
    });

    it('refuses keys that are none, and adds none of such a batch', () => {
      const filter = make();
      for (const key of [
        undefined,
        null,
        5,
        NaN,
        2 ** 53 + 2,
        1n,
        {},
        [],
        true,
        Symbol('x'),
        new Uint16Array(2),
        new ArrayBuffer(2),
      ]) {
        for (const method of /** @type {const} */ (['add', 'has', 'addIfAbsent'])) {
          refuses(() => filter[method](/** @type {any} */ (key)), 'INVALID_ARGUMENT', 'key');
        }
        refuses(() => filter.addBatch(/** @type {any} */ (['good', key])), 'INVALID_ARGUMENT', 'key');
        refuses(() => filter.hasBatch(/** @type {any} */ (['good', key])), 'INVALID_ARGUMENT', 'key');
      }
      assert.equal(filter.has('good'), false);
      for (const keys of [undefined, null, 'text', 5, {}, { length: 2 }])
        refuses(() => filter.addBatch(/** @type {any} */ (keys)), 'INVALID_ARGUMENT', 'keys');
      refuses(() => filter.addBatch(new Array(2 ** 32 - 1)), 'INVALID_ARGUMENT', 'keys');
      refuses(() => filter.addBatch(new Array(10)), 'INVALID_ARGUMENT', 'key');
    });

    it('refuses offsets that don’t fit their Buffer', () => {
      const filter = make();
      const bytes = Buffer.from('abcdef');
      const bad = [
        undefined,
        null,
        [0, 1],
        new Uint32Array(0),
        Uint32Array.of(0, 7),
        Uint32Array.of(3, 2),
        new Int32Array(2),
        new Float64Array(2),
      ];
      for (const offsets of [...bad, Uint32Array.of(0, 2 ** 32 - 1), Uint32Array.of(7, 7)]) {
        refuses(() => filter.addBatch(bytes, /** @type {any} */ (offsets)), 'INVALID_ARGUMENT', 'offsets');
        refuses(() => filter.hasBatch(bytes, /** @type {any} */ (offsets)), 'INVALID_ARGUMENT', 'offsets');
      }
    });

    it('tells memory that was detached or taken away from an empty key', () => {
      const filter = make();
      const detached = new Uint8Array(8);
      structuredClone(detached.buffer, { transfer: [detached.buffer] });
      const resizable = new ArrayBuffer(8, { maxByteLength: 16 });
      const outside = new Uint8Array(resizable, 4, 4);
      const following = new Uint8Array(resizable, 4);
      filter.add(following);
      resizable.resize(6);
      assert.equal(filter.has(following), false, 'it is two bytes now');
      resizable.resize(2);
      for (const gone of [detached, outside, following]) {
        refuses(() => filter.add(gone), 'INVALID_ARGUMENT');
        refuses(() => filter.addBatch(['x', gone]), 'INVALID_ARGUMENT');
        refuses(() => filter.hasBatch(gone, Uint32Array.of(0)), 'INVALID_ARGUMENT');
      }
      const offsets = Uint32Array.of(0, 1);
      structuredClone(offsets.buffer, { transfer: [offsets.buffer] });
      refuses(() => filter.addBatch(Buffer.from('a'), offsets), 'INVALID_ARGUMENT', 'offsets');
    });

    it('keeps nothing of a Buffer that changes afterwards', () => {
      const filter = make();
      const key = Buffer.from('before');
      filter.add(key);
      key.fill('x');
      assert.equal(filter.has('before'), true);
      assert.equal(filter.has(key), false);
    });

    it('stands a Buffer that another thread writes into meanwhile', async () => {
      const shared = new SharedArrayBuffer(64 * 1024);
      const code = `const { workerData, parentPort } = require('node:worker_threads');
        const bytes = new Uint8Array(workerData);
        parentPort.postMessage('on');
        for (let round = 0; round < 400; round++) bytes.fill(round);`;
      const worker = new Worker(code, { eval: true, workerData: shared });
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      await new Promise((resolve) => worker.once('message', resolve));
      const filter = make();
      const bytes = new Uint8Array(shared);
      const offsets = Uint32Array.from({ length: 65 }, (_, i) => i * 1024);
      for (let round = 0; round < 200; round++) {
        filter.add(bytes);
        assert.equal(filter.hasBatch(bytes, offsets).length, 64);
      }
      await ended;
    });

    it('stands an array whose getters close it, throw, or call it', () => {
      const filter = make();
      const keys = ['a', 'b'];
      Object.defineProperty(keys, 1, { get: () => (filter.addBatch(['inner']), 'b') });
      assert.deepEqual(filter.addBatch(keys), Uint8Array.of(1, 1));
      assert.equal(filter.has('inner'), true);
      const thrown = new Error('mine');
      Object.defineProperty(keys, 1, {
        get: () => {
          throw thrown;
        },
      });
      assert.throws(() => filter.addBatch(keys), thrown);
      const closing = ['a', 'b'];
      Object.defineProperty(closing, 1, { get: () => (filter.close(), 'b') });
      refuses(() => filter.addBatch(closing), 'CLOSED');
    });

    it('after close every call says CLOSED', () => {
      const filter = make();
      filter[DISPOSE]();
      for (const call of [
        () => filter.add('a'),
        () => filter.has('a'),
        () => filter.addBatch(['a']),
        () => filter.hasBatch(['a']),
        () => filter.serialize(),
        () => filter.stats(),
      ])
        refuses(call, 'CLOSED');
      filter.close();
    });

    it('refuses options that make no sense, by name', () => {
      const Class = /** @type {any} */ (make().constructor);
      const good = { capacity: 10, errorRate: 0.1, ...(Class === RotatingBloom && { windowMs: 10 }) };
      const integers = ['capacity', ...(Class === RotatingBloom ? ['windowMs', 'slices', 'maxBytes'] : [])];
      for (const option of integers) {
        for (const value of [...noIntegers.filter((one) => one !== null || option === 'capacity'), 0]) {
          refuses(() => new Class({ ...good, [option]: value }), 'BAD_OPTION', option);
        }
      }
      for (const errorRate of [0, 1, -1, NaN, Infinity, 0.6, 1e-9, '0.1', null, undefined]) {
        refuses(() => new Class({ ...good, errorRate }), 'BAD_OPTION', 'errorRate');
      }
      refuses(() => new Class({ ...good, capacity: 2 ** 52 }), 'BAD_OPTION', 'capacity');
      refuses(() => new Class({ ...good, hashes: 3 }), 'BAD_OPTION', 'hashes');
      refuses(() => new Class(), 'BAD_OPTION');
    });

    it('comes back as it was serialized, and takes nothing else', () => {
      const filter = make();
      const keys = Array.from({ length: 500 }, (_, i) => `key ${i}`);
      filter.addBatch(keys);
      const Class = /** @type {any} */ (filter.constructor);
      const bytes = filter.serialize();
      const copy = Class.from(bytes);
      assert.deepEqual(copy.hasBatch(keys), new Uint8Array(500).fill(1));
      assert.equal(copy.stats().items, filter.stats().items);
      bytes.fill(0, 100);
      assert.deepEqual(copy.hasBatch(keys), new Uint8Array(500).fill(1), 'it was copied');
      const good = filter.serialize();
      for (const at of [0, 8, 20, 60, good.length - 1]) {
        const bad = Buffer.from(good);
        bad[at] ^= 1;
        refuses(() => Class.from(bad), 'BAD_FILTER');
      }
      const other = Class === BloomFilter ? rotating({}).serialize() : small().serialize();
      for (const bad of [
        Buffer.alloc(0),
        Buffer.from('hello'),
        good.subarray(1),
        good.subarray(0, -1),
        Buffer.alloc(1000),
        other,
      ]) {
        refuses(() => Class.from(bad), 'BAD_FILTER');
      }
      for (const bad of [undefined, null, 'text', 5, {}, new ArrayBuffer(8)])
        refuses(() => Class.from(bad), 'INVALID_ARGUMENT', 'buffer');
      const detached = new Uint8Array(good);
      structuredClone(detached.buffer, { transfer: [detached.buffer] });
      refuses(() => Class.from(detached), 'INVALID_ARGUMENT');
    });
  });
}

describe('BloomFilter', () => {
  it('keeps its promise at capacity, and shows in stats what happens past it', () => {
    const capacity = 20_000;
    const filter = new BloomFilter({ capacity, errorRate: 0.01 });
    const fresh = Array.from({ length: 100_000 }, (_, i) => `other ${i}`);
    const measured = () => filter.hasBatch(fresh).reduce((sum, one) => sum + one, 0) / fresh.length;
    filter.addBatch(Array.from({ length: capacity }, (_, i) => `key ${i}`));
    assert.ok(Math.abs(measured() / 0.01 - 1) < 0.15, `${measured()}`);
    assert.ok(Math.abs(filter.stats().estimatedErrorRate / 0.01 - 1) < 0.1);
    filter.addBatch(Array.from({ length: capacity }, (_, i) => `more ${i}`));
    assert.ok(measured() > 0.12 && measured() < 0.18);
    assert.ok(Math.abs(filter.stats().estimatedErrorRate / measured() - 1) < 0.15);
  });

  it('has a seed of its own: two filters are wrong about different keys', () => {
    const wrong = [1, 2].map(() => {
      const filter = new BloomFilter({ capacity: 1000, errorRate: 0.1 });
      filter.addBatch(Array.from({ length: 1000 }, (_, i) => `key ${i}`));
      return filter.hasBatch(Array.from({ length: 2000 }, (_, i) => `other ${i}`)).join('');
    });
    assert.notEqual(wrong[0], wrong[1]);
  });

  // Against a Set, 10^5 steps: what is in the Set is never denied, and what is not is found as rarely as promised.
  it('agrees with a Set, but for rare false positives', function () {
    this.timeout(60_000);
    let asked = 0;
    let wrong = 0;
    const key = fc.nat(3000).map((n) => (n % 3 === 0 ? Buffer.from(`key ${n}`) : `key ${n}`));
    const step = fc.record({
      kind: fc.constantFrom('add', 'has', 'has', 'addIfAbsent', 'addBatch', 'hasBatch', 'copy'),
      keys: fc.array(key, { minLength: 1, maxLength: 4 }),
    });
    runSteps(step, (steps) => {
      let filter = new BloomFilter({ capacity: 3000, errorRate: 0.001 });
      const set = new Set();
      for (const [i, { kind, keys }] of steps.entries()) {
        const one = keys[0];
        const isAdd = kind.startsWith('add');
        const taken = kind.endsWith('Batch') ? keys : [one];
        if (kind === 'copy') {
          if (i % 50 === 0) filter = BloomFilter.from(filter.serialize());
          continue;
        }
        if (kind === 'add') {
          filter.add(one);
          set.add(String(one));
          continue;
        }
        /** @type {any} */
        const said = /** @type {any} */ (filter)[kind](kind.endsWith('Batch') ? keys : one);
        const answers = kind.endsWith('Batch') ? [...said] : [Number(said)];
        for (const [at, each] of taken.entries()) {
          const known = set.has(String(each));
          const found = isAdd ? !answers[at] : Boolean(answers[at]);
          if (known) assert.ok(found, `${kind} ${each}`);
          else asked++;
          if (!known && found) wrong++;
          if (isAdd) set.add(String(each));
        }
      }
      assert.ok(filter.stats().items <= set.size);
    });
    assert.ok(asked > 30_000 && wrong / asked < 0.002, `${wrong} of ${asked}`);
  });
});

describe('RotatingBloom', () => {
  it('remembers for its window at least, and forgets', () => {
    let now = 0;
    const filter = rotating({ now: () => now });
    filter.add('old');
    now = 1000;
    assert.equal(filter.has('old'), true);
    filter.add('new');
    now = 1251;
    assert.equal(filter.has('old'), false);
    assert.equal(filter.addIfAbsent('new'), false);
    now = 5000;
    assert.equal(filter.stats().generations, 0);
    assert.equal(filter.addIfAbsent('new'), true);
  });

  it('under flood it grows to its bound, says that it is saturated, and keeps the window', () => {
    let now = 0;
    const filter = rotating({ now: () => now });
    const { maxBytes } = filter.stats();
    const flood = Array.from({ length: 20_000 }, (_, i) => `key ${i}`);
    filter.addBatch(flood);
    const { saturated, bytes, estimatedErrorRate } = filter.stats();
    assert.equal(saturated, true);
    assert.ok(bytes <= maxBytes);
    assert.ok(estimatedErrorRate > 0.01);
    now = 1000;
    assert.deepEqual(filter.hasBatch(flood), new Uint8Array(20_000).fill(1));
    now = 2001;
    assert.equal(filter.stats().saturated, false);
    assert.equal(filter.stats().generations, 0);
  });

  it('without a clock of the caller’s it goes by one that only rises', () => {
    const filter = rotating({ windowMs: 3_600_000 });
    filter.add('a');
    assert.equal(filter.has('a'), true);
  });

  it('stands a clock that fails, calls back or closes', () => {
    refuses(() => rotating({ now: () => NaN }).add('a'), 'INVALID_ARGUMENT', 'now');
    const inner = rotating({ now: () => (inner.close(), 0) });
    refuses(() => inner.add('a'), 'CLOSED');
  });

  it('keeps ages over serialize, in another process’s time', () => {
    let now = 5000;
    const filter = rotating({ now: () => now });
    filter.add('old');
    now = 5600;
    filter.add('new');
    let later = 9_000_000;
    const copy = RotatingBloom.from(filter.serialize(), { now: () => later });
    later += 400;
    assert.equal(copy.has('old'), true);
    later += 1;
    assert.equal(copy.has('old'), false);
    assert.equal(copy.has('new'), true);
  });

  // Against a Map of times, 10^5 steps.
  it('agrees with a Map of times within the window', function () {
    this.timeout(60_000);
    let asked = 0;
    let wrong = 0;
    const step = fc.record({
      kind: fc.constantFrom('add', 'has', 'addIfAbsent', 'hasBatch'),
      key: fc.nat(2000),
      ms: fc.oneof({ weight: 200, arbitrary: fc.nat(8) }, { weight: 1, arbitrary: fc.nat(3000) }),
    });
    runSteps(step, (steps) => {
      let now = 0;
      const slices = 1 + (steps[0].key % 7);
      const filter = rotating({ errorRate: 0.001, slices, now: () => now });
      const times = new Map();
      for (const { kind, key, ms } of steps) {
        now += ms;
        const age = now - (times.get(key) ?? -Infinity);
        const name = `key ${key}`;
        let found = age <= 1000;
        if (kind === 'add') filter.add(name);
        if (kind === 'has') found = filter.has(name);
        if (kind === 'addIfAbsent') found = !filter.addIfAbsent(name);
        if (kind === 'hasBatch') found = filter.hasBatch([name])[0] === 1;
        if (age <= 1000) assert.equal(found, true);
        if (age > 1000 + 1000 / slices && kind !== 'add') {
          asked++;
          wrong += Number(found);
        }
        if (kind.startsWith('add')) times.set(key, now);
      }
    });
    assert.ok(asked > 20_000 && wrong / asked < 0.002, `${wrong} of ${asked}`);
  });
});
