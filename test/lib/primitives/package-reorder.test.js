import assert from 'node:assert/strict';
import { once } from 'node:events';
import fc from 'fast-check';
import { PackageReorder } from '../../../lib/index.js';
import { noIntegers, refuses, runSteps } from './support/steps.js';

/** @param {import('../../../lib/primitives/package-reorder.js').PackageReorderOptions} [options] */
function reorder(options = {}) {
  const clock = { now: 0 };
  const packages = new PackageReorder({ now: () => clock.now, timeoutMs: 100, onIncomplete: 'abandon', ...options });
  /** @type {any[][]} */
  const told = [];
  for (const event of /** @type {const} */ (['complete', 'incomplete'])) {
    packages.on(event, (/** @type {any[]} */ ...args) => told.push([event, ...args]));
  }
  return { clock, packages, told };
}

describe('PackageReorder', () => {
  it('hands a package out when its last part comes, in order and once', () => {
    const { packages, told } = reorder();
    assert.equal(packages.push('p', 2, 3, 'c'), 'held');
    assert.equal(packages.push('p', 0, 3, 'a'), 'held');
    assert.equal(packages.push('p', 0, 3, 'a'), 'duplicate');
    assert.equal(packages.push('p', 1, 3, 'b'), 'complete');
    assert.deepEqual(told, [['complete', 'p', ['a', 'b', 'c'], { source: '' }]]);
    assert.equal(packages.push('p', 1, 3, 'b'), 'duplicate');
    assert.equal(packages.push('one', 0, 1, 'x'), 'complete');
    assert.equal(told.length, 2);
    const { complete, duplicates, tombstones, packages: held } = packages.stats();
    assert.deepEqual([complete, duplicates, tombstones, held], [2, 2, 2, 0]);
  });

  it('carries text, bytes and other values, as they were when they were pushed', () => {
    const { packages, told } = reorder();
    const bytes = Buffer.from('bytes');
    const object = { list: [1, new Date(5), new Map([['k', 1n]])], lone: '\ud800' };
    const payloads = ['', 'ключ', '\udc00 alone', bytes, new Uint8Array(0), object, undefined, null, 7, 2n ** 70n];
    for (const [i, payload] of payloads.entries()) packages.push('p', i, payloads.length, payload);
    const expected = structuredClone(payloads.slice(5));
    const [, , got] = told[0];
    assert.deepEqual(got.slice(0, 3), payloads.slice(0, 3));
    assert.ok(Buffer.isBuffer(got[3]));
    assert.equal(got[3].toString(), 'bytes');
    assert.equal(got[4].length, 0);
    assert.deepEqual(got.slice(5), expected);
    packages.push('q', 0, 2, bytes);
    bytes.fill('x');
    packages.push('q', 1, 2, bytes);
    assert.equal(told[1][2].join(), 'bytes,xxxxx');
  });

  it('gives up at the deadline of the first part, which later ones don’t move', () => {
    const { clock, packages, told } = reorder();
    packages.push('p', 1, 4, 'b');
    clock.now = 99;
    packages.push('p', 3, 4, 'd');
    clock.now = 100;
    assert.equal(packages.push('p', 0, 4, 'a'), 'late');
    assert.deepEqual(told, [['incomplete', 'p', [0, 2], 'abandon', { source: '', reason: 'timeout', round: 1 }]]);
    assert.equal(packages.stats().bytes, 0);
  });

  it('with retry it asks for what is missing, round after round, and then gives up', () => {
    const { clock, packages, told } = reorder({ onIncomplete: 'retry', retries: 2 });
    packages.push('p', 1, 3, 'b');
    for (clock.now = 0; clock.now <= 300; clock.now += 50) packages.expire();
    assert.deepEqual(
      told.map(([, , missing, action, { round }]) => [missing, action, round]),
      [
        [[0, 2], 'retry', 1],
        [[0, 2], 'retry', 2],
        [[0, 2], 'abandon', 3],
      ],
    );
    assert.equal(packages.push('p', 0, 3, 'a'), 'late');
    packages.push('q', 0, 2, 'a');
    clock.now += 150;
    packages.expire();
    assert.equal(packages.push('q', 1, 2, 'b'), 'complete', 'in the second round');
  });

  it('tells by itself when the time is over', async () => {
    const packages = new PackageReorder({ timeoutMs: 5, onIncomplete: 'abandon' });
    packages.push('p', 0, 2, 'a');
    assert.deepEqual((await once(packages, 'incomplete')).slice(0, 3), ['p', [1], 'abandon']);
    packages.close();
  });

  it('refuses a package that contradicts itself, by name and for good', () => {
    for (const [total, payload] of /** @type {[number, any][]} */ ([
      [3, 'other'],
      [4, 'a'],
      [3, Buffer.from('a')],
    ])) {
      const { packages, told } = reorder();
      packages.push('p', 0, 3, 'a');
      assert.equal(packages.push('p', 0, total, payload), 'refused');
      assert.deepEqual(told, [
        ['incomplete', 'p', [1, 2], 'abandon', { source: '', reason: 'contradiction', round: 0 }],
      ]);
      assert.equal(packages.push('p', 1, 3, 'b'), 'refused');
      assert.equal(told.length, 1);
    }
  });

  it('keeps sources apart', () => {
    const { packages, told } = reorder();
    packages.push('p', 0, 2, 'a', 'ann');
    assert.equal(packages.push('p', 0, 7, 'evil', 'eve'), 'held');
    assert.equal(packages.push('p', 0, 8, 'evil', 'eve'), 'refused');
    assert.equal(packages.push('p', 1, 2, 'b', 'ann'), 'complete');
    assert.deepEqual(told[1], ['complete', 'p', ['a', 'b'], { source: 'ann' }]);
  });

  it('holds no more than it may, refuses the part, and keeps the package', () => {
    const { packages } = reorder({ maxPackages: 2, maxBytes: 10, maxParts: 4 });
    packages.push('p', 0, 2, 'aaaa');
    packages.push('q', 0, 2, 'bbbb');
    assert.equal(packages.push('r', 0, 2, ''), 'refused', 'packages');
    assert.equal(packages.push('p', 1, 2, 'aaaa'), 'refused', 'bytes');
    assert.equal(packages.push('q', 1, 2, 'bb'), 'complete');
    assert.equal(packages.push('p', 1, 2, 'aaaa'), 'complete');
    assert.equal(packages.push('s', 0, 5, ''), 'refused', 'parts');
    assert.equal(packages.push('t', 0, 2, '12345678901'), 'refused', 'too large for ever');
    const own = reorder({ maxPackagesPerSource: 1, maxBytesPerSource: 4 }).packages;
    own.push('p', 0, 2, 'aaaa', 'ann');
    assert.equal(own.push('q', 0, 2, 'a', 'ann'), 'refused');
    assert.equal(own.push('q', 0, 2, 'a', 'bob'), 'held');
  });

  it('forgets the oldest tombstones beyond its bound', () => {
    const { packages } = reorder({ tombstones: 2 });
    for (const id of ['1', '2', '3']) packages.push(id, 0, 1, 'x');
    assert.equal(packages.push('3', 0, 1, 'x'), 'duplicate');
    assert.equal(packages.push('1', 0, 1, 'x'), 'complete');
    assert.equal(packages.stats().tombstones, 2);
  });

  it('stands handlers that push, close and throw', () => {
    const { clock, packages, told } = reorder();
    packages.once('complete', () => {
      assert.equal(packages.push('p', 0, 1, 'x'), 'duplicate');
      assert.equal(packages.push('inner', 0, 1, 'y'), 'complete');
    });
    assert.equal(packages.push('p', 0, 1, 'x'), 'complete');
    assert.deepEqual(told.map(([, id]) => id).sort(), ['inner', 'p']);
    packages.push('a', 0, 2, 'x');
    packages.push('b', 0, 2, 'x');
    const thrown = new Error('mine');
    packages.once('incomplete', () => {
      throw thrown;
    });
    clock.now = 1000;
    assert.throws(() => packages.push('c', 0, 2, 'x'), thrown);
    assert.deepEqual(
      told.slice(2).map(([, id]) => id),
      ['a', 'b'].slice(told[2]?.[1] === 'a' ? 0 : 1),
    );
    assert.equal(packages.push('c', 0, 2, 'x'), 'duplicate', 'it was taken all the same');
    packages.once('complete', () => packages.close());
    assert.equal(packages.push('d', 0, 1, 'x'), 'complete');
    for (const call of [() => packages.push('d', 0, 1, 'x'), () => packages.expire(), () => packages.stats()])
      refuses(call, 'CLOSED');
    packages.close();
  });

  it('refuses arguments and options that make no sense, by name', () => {
    const { packages } = reorder();
    for (const id of ['', 'x'.repeat(2 ** 20), '\ud800', 5, null, undefined, {}])
      refuses(() => packages.push(/** @type {any} */ (id), 0, 1, 'x'), 'INVALID_ARGUMENT', 'packageId');
    for (const number of [...noIntegers, undefined]) {
      refuses(() => packages.push('p', /** @type {any} */ (number), 1, 'x'), 'INVALID_ARGUMENT', 'seqId');
      refuses(() => packages.push('p', 0, /** @type {any} */ (number), 'x'), 'INVALID_ARGUMENT', 'total');
    }
    refuses(() => packages.push('p', 0, 1, () => 1), 'INVALID_ARGUMENT', 'payload');
    refuses(() => packages.push('p', 0, 1, 'x', /** @type {any} */ (5)), 'INVALID_ARGUMENT', 'source');
    const detached = new Uint8Array(4);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    refuses(() => packages.push('p', 0, 1, detached), 'INVALID_ARGUMENT');
    for (const [index, total] of [
      [1, 1],
      [0, 0],
      [0, 2 ** 53 - 1],
      [2 ** 40, 2 ** 41],
      [2 ** 32, 2 ** 32],
      [5, 3],
    ]) {
      assert.equal(packages.push('p', index, total, 'x'), 'refused');
    }
    assert.equal(packages.stats().packages, 0);
    for (const option of [
      'timeoutMs',
      'retries',
      'maxPackages',
      'maxParts',
      'maxBytes',
      'maxPackagesPerSource',
      'maxBytesPerSource',
      'tombstones',
    ]) {
      for (const value of noIntegers.filter((one) => one !== null)) {
        refuses(() => reorder({ onIncomplete: 'retry', [option]: value }), 'BAD_OPTION', option);
      }
    }
    refuses(() => reorder({ onIncomplete: /** @type {any} */ ('drop') }), 'BAD_OPTION', 'onIncomplete');
    refuses(() => reorder({ now: /** @type {any} */ (5) }), 'BAD_OPTION', 'now');
    refuses(() => reorder(/** @type {any} */ ({ timeout: 5 })), 'BAD_OPTION', 'timeout');
  });

  it('takes many at once as one by one: verdicts, events and payloads', function () {
    this.timeout(60_000);
    const texts = ['', 'a', 'é', '漢字', '😀 and more', 'x'.repeat(300)];
    const part = fc.record({
      packageId: fc.constantFrom('p', 'é-1', '😀', 'q'.repeat(40)),
      seqId: fc.nat(4),
      total: fc.constantFrom(3, 3, 3, 3, 4),
      payload: fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...texts) },
        { weight: 1, arbitrary: fc.constantFrom(Buffer.from('bytes'), { an: 'object' }, 5) },
      ),
    });
    const batch = fc.record({
      parts: fc.array(part, { minLength: 1, maxLength: 12 }),
      source: fc.constantFrom('', 'alice'),
      ms: fc.nat(150),
    });
    const seen = new Set();
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 8 }), (given) => {
        const [one, many] = [0, 0].map(() =>
          reorder({ onIncomplete: 'retry', retries: 1, maxBytes: 2000, tombstones: 2 }),
        );
        for (const { parts, source, ms } of given) {
          one.clock.now += ms;
          many.clock.now += ms;
          const verdicts = parts.map((p) => one.packages.push(p.packageId, p.seqId, p.total, p.payload, source));
          assert.deepEqual(many.packages.pushBatch(parts, source), verdicts);
          assert.deepEqual(many.told, one.told);
          for (const verdict of verdicts) seen.add(verdict);
        }
      }),
      { numRuns: 1000 },
    );
    assert.deepEqual([...seen].sort(), ['complete', 'duplicate', 'held', 'late', 'refused']);
  });

  it('takes none of a batch that is wrong, and tells events when all are taken', () => {
    const { packages, told } = reorder();
    const good = { packageId: 'p', seqId: 0, total: 1, payload: 'a' };
    refuses(() => packages.pushBatch(/** @type {any} */ (5)), 'INVALID_ARGUMENT', 'parts.length');
    refuses(() => packages.pushBatch([good, { ...good, seqId: -1 }]), 'INVALID_ARGUMENT', 'seqId');
    refuses(() => packages.pushBatch([good, /** @type {any} */ (null)]), 'INVALID_ARGUMENT', 'packageId');
    refuses(() => packages.pushBatch([good, { ...good, payload: () => 1 }]), 'INVALID_ARGUMENT', 'payload');
    assert.deepEqual(told, []);
    assert.deepEqual(packages.pushBatch([]), []);
    packages.on('complete', (id) => {
      if (id === 'p') assert.equal(packages.push('q', 0, 1, 'b'), 'duplicate', 'q was taken before p was told');
    });
    assert.deepEqual(packages.pushBatch([good, { ...good, packageId: 'q', payload: 'b' }]), ['complete', 'complete']);
    assert.equal(told.length, 2);
    packages.on('incomplete', () => packages.close());
    assert.deepEqual(
      packages.pushBatch([
        { ...good, packageId: 'r', total: 2 },
        { ...good, packageId: 'r', total: 3 },
      ]),
      ['held', 'refused'],
    );
    refuses(() => packages.pushBatch([good]), 'CLOSED');
  });

  // Against a model as slow as it is plain, 10^5 steps.
  it('agrees with the naive model', function () {
    this.timeout(60_000);
    const step = fc.record({
      id: fc.nat(11),
      index: fc.nat(4),
      wrong: fc.nat(150),
      ms: fc.oneof({ weight: 20, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.nat(60) }),
    });
    const seen = new Map();
    runSteps(step, (steps) => {
      const retries = steps[0].index % 3;
      const { clock, packages, told } = reorder({ onIncomplete: 'retry', retries, maxPackages: 8, maxBytes: 60 });
      /** @type {Map<number, { total: number, parts: Map<number, string>, deadline: number, round: number }>} */
      const open = new Map();
      const over = new Map();
      let generation = 0;
      for (const [at, { id, index, wrong, ms }] of steps.entries()) {
        clock.now += ms;
        if (at % 60 === 59) generation++;
        const number = id + 6 * generation;
        const total = 1 + (number % 5) + (wrong === 0 ? 1 : 0);
        const body = `${number}:${index}${wrong === 1 ? '!' : ''}`;
        /** @type {any[]} */
        const expected = [];
        for (const [key, one] of [...open].sort((a, b) => a[1].deadline - b[1].deadline)) {
          if (one.deadline > clock.now) continue;
          const missing = Array.from({ length: one.total }, (_, i) => i).filter((i) => !one.parts.has(i));
          const isOver = ++one.round > retries;
          expected.push(['incomplete', String(key), missing, isOver ? 'abandon' : 'retry', one.round]);
          one.deadline = clock.now + 100;
          if (!isOver) continue;
          open.delete(key);
          over.set(key, 'late');
        }
        let verdict = over.get(number);
        const known = open.get(number);
        const bytes = [...open.values()].flatMap((one) => [...one.parts.values()]).join('').length;
        if (verdict === undefined) {
          if (index >= total) verdict = 'refused';
          else if (known?.total === total && known.parts.get(index) === body) verdict = 'duplicate';
          else if (known && (known.total !== total || known.parts.has(index))) {
            verdict = 'refused';
            const missing = Array.from({ length: known.total }, (_, i) => i).filter((i) => !known.parts.has(i));
            expected.push(['incomplete', String(number), missing, 'abandon', 0]);
            open.delete(number);
            over.set(number, 'refused');
          } else if (bytes + body.length > 60 || (!known && open.size >= 8)) verdict = 'refused';
          else {
            const one = known ?? { total, parts: new Map(), deadline: clock.now + 100, round: 0 };
            one.parts.set(index, body);
            open.set(number, one);
            verdict = one.parts.size === total ? 'complete' : 'held';
            if (verdict === 'complete') {
              expected.push(['complete', String(number), Array.from({ length: total }, (_, i) => one.parts.get(i))]);
              open.delete(number);
              over.set(number, 'duplicate');
            }
          }
        }
        told.length = 0;
        assert.equal(packages.push(String(number), index, total, body), verdict, `step ${at}`);
        // Of those whose time is over at the same moment any may be told first.
        const sorted = (/** @type {any[][]} */ list) => list.map((one) => JSON.stringify(one)).sort();
        const got = told.map(([event, key, what, action, about]) =>
          event === 'complete' ? [event, key, what] : [event, key, what, action, about.round],
        );
        assert.deepEqual(sorted(got), sorted(expected), `step ${at}`);
        seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
      }
      assert.equal(packages.stats().packages, open.size);
    });
    for (const verdict of ['held', 'complete', 'duplicate', 'late', 'refused'])
      assert.ok(seen.get(verdict) > 500, verdict);
  });
});
