import assert from 'node:assert/strict';
import { once } from 'node:events';
import fc from 'fast-check';
import { StreamReorder } from '../../../lib/index.js';
import { Answer } from '../../../lib/primitives/native.js';
import { readText } from '../../../scripts/lib/files.mjs';
import { noIntegers, refuses, runSteps } from './support/steps.js';

/** @param {import('../../../lib/primitives/stream-reorder.js').StreamReorderOptions} [options] */
function reorder(options = {}) {
  const clock = { now: 0 };
  const stream = new StreamReorder({ now: () => clock.now, ...options });
  /** @type {number[][]} */
  const gaps = [];
  stream.on('gap', (from, to) => gaps.push([from, to]));
  return { clock, stream, gaps };
}

/** @param {{ seq: number }[]} items */
const seqs = (items) => items.map(({ seq }) => seq);

describe('StreamReorder', () => {
  it('and its native half agree on what a negative answer means', () => {
    const source = readText('src/addon/stream_object.cc') ?? '';
    const native = Object.fromEntries(
      [...source.matchAll(/constexpr double k(\w+) = (-\d);/g)].map(([, name, value]) => [
        name.toUpperCase(),
        Number(value),
      ]),
    );
    assert.deepEqual(native, {
      HELD: Answer.HELD,
      DUPLICATE: Answer.DUPLICATE,
      BEYOND: Answer.BEYOND,
      NOROOM: Answer.NO_ROOM,
    });
  });

  describe('hold', () => {
    it('delivers in order what comes in any, each once, by reference', () => {
      const { stream } = reorder({ start: 10 });
      const payload = { text: 'eleven' };
      assert.deepEqual(stream.push(11, payload), []);
      assert.deepEqual(stream.push(11, payload), []);
      assert.deepEqual(stream.push(9, 'old'), []);
      const items = stream.push(10, 'ten');
      assert.deepEqual(items, [
        { seq: 10, payload: 'ten' },
        { seq: 11, payload },
      ]);
      assert.equal(items[1].payload, payload);
      assert.deepEqual(stream.push(10, 'ten'), []);
      assert.deepEqual(stream.stats(), { delivered: 2, duplicates: 3, refused: 0, next: 12, held: 0, bytes: 0 });
    });

    it('tells a gap a time after the first arrival behind it, and again', () => {
      const { clock, stream, gaps } = reorder({ timeoutMs: 500 });
      stream.push(3);
      clock.now = 400;
      stream.push(6);
      clock.now = 499;
      stream.tellGaps();
      assert.deepEqual(gaps, []);
      clock.now = 500;
      stream.tellGaps();
      assert.deepEqual(gaps, [
        [1, 2],
        [4, 5],
      ]);
      clock.now = 1499;
      stream.tellGaps();
      assert.equal(gaps.length, 2);
      clock.now = 1500;
      stream.tellGaps();
      assert.equal(gaps.length, 4);
    });

    it('tells it by itself; a handler may skip what will not come', async () => {
      const stream = new StreamReorder({ timeoutMs: 5 });
      stream.push(3, 'c');
      /** @type {any} */
      let items;
      stream.once('gap', (_from, to) => (items = stream.skip(to)));
      assert.deepEqual(await once(stream, 'gap'), [1, 2]);
      assert.deepEqual(items, [{ seq: 3, payload: 'c' }]);
      stream.close();
    });

    it('passes over holes that an authority tells of', () => {
      const { clock, stream, gaps } = reorder({ maxGap: 8, timeoutMs: 10 });
      stream.push(3, 'c');
      assert.deepEqual(stream.hole(4, 5), []);
      stream.push(6, 'f');
      assert.deepEqual(stream.push(5, 'e'), [], 'it was said not to come');
      assert.deepEqual(seqs(stream.skip(2)), [3, 6]);
      clock.now = 100;
      stream.tellGaps();
      assert.deepEqual(gaps, []);
      stream.push(9, 'i');
      assert.deepEqual(seqs(stream.skip(1e15)), [9]);
      assert.equal(stream.stats().next, 1e15 + 1);
      refuses(() => stream.hole(1e15 + 3, 1e15 + 100), 'REORDER_FULL');
      assert.deepEqual(seqs(stream.push(1e15 + 2)), []);
      assert.deepEqual(seqs(stream.push(1e15 + 1)), [1e15 + 1, 1e15 + 2]);
    });

    it('keeps no more than it may, counts what it does not keep, and tells it as a gap', () => {
      const { clock, stream, gaps } = reorder({ maxGap: 4, maxBytes: 10, timeoutMs: 1 });
      assert.deepEqual(stream.push(2, Buffer.alloc(10)), []);
      assert.deepEqual(stream.push(3, 'x'), []);
      assert.deepEqual(stream.push(9, ''), []);
      assert.equal(stream.stats().refused, 2);
      clock.now = 1;
      stream.tellGaps();
      assert.deepEqual(gaps, [
        [1, 1],
        [3, 9],
      ]);
      assert.deepEqual(seqs(stream.push(1)), [1, 2]);
    });

    it('takes batches', () => {
      const { stream } = reorder();
      assert.deepEqual(stream.pushBatch([2, 1, 3, 3, 5], ['b', 'a', 'c', 'c', 'e']), [
        { seq: 1, payload: 'a' },
        { seq: 2, payload: 'b' },
        { seq: 3, payload: 'c' },
      ]);
      assert.deepEqual(seqs(stream.pushBatch(Float64Array.of(4))), [4, 5]);
      assert.deepEqual(stream.pushBatch([], []), []);
    });
  });

  describe('insert', () => {
    it('says where to show each: at the end, or behind the largest smaller one; -1 for what is there', () => {
      const { stream } = reorder({ mode: 'insert' });
      const shown = [];
      for (const seq of [5, 9, 7, 5, 1, 0, 10]) {
        const index = stream.push(seq);
        if (index >= 0) shown.splice(index, 0, seq);
        else assert.equal(seq, 5);
      }
      assert.deepEqual(shown, [0, 1, 5, 7, 9, 10]);
      assert.deepEqual(stream.pushBatch([8, 8, 20]), [4, -1, 7]);
      assert.deepEqual(stream.stats(), { delivered: 8, duplicates: 2, refused: 0, shown: 8, ranges: 4 });
    });

    it('tells the gaps between what is shown, from start on where there is one', () => {
      const { clock, stream, gaps } = reorder({ mode: 'insert', timeoutMs: 10, start: 3 });
      assert.equal(stream.push(2), -1);
      stream.push(5);
      clock.now = 10;
      stream.tellGaps();
      assert.deepEqual(gaps, [[3, 4]]);
      stream.skip(4);
      assert.equal(stream.push(4), -1);
      clock.now = 1000;
      stream.tellGaps();
      assert.equal(gaps.length, 1);
    });

    it('keeps as many runs as it may, and says so; skip makes one of what is old', () => {
      const { stream } = reorder({ mode: 'insert', maxGap: 3 });
      stream.pushBatch([1, 3, 5]);
      refuses(() => stream.push(7), 'REORDER_FULL');
      refuses(() => stream.pushBatch([6, 9, 10]), 'REORDER_FULL');
      assert.equal(stream.push(6), -1, 'what came before was taken');
      refuses(() => stream.pushBatch([9, 2]), 'REORDER_FULL');
      assert.equal(stream.push(2), 1, 'what came behind was not');
      stream.skip(4);
      assert.equal(stream.push(9), 5);
    });
  });

  it('stands calls from its handlers, and a clock that calls it', () => {
    const { clock, stream, gaps } = reorder({ timeoutMs: 1 });
    stream.once('gap', () => stream.push(2, 'b'));
    stream.push(4);
    clock.now = 1;
    stream.tellGaps();
    assert.deepEqual(gaps, [[1, 3]]);
    assert.deepEqual(seqs(stream.push(1)), [1, 2]);
    let depth = 0;
    /** @type {any[]} */
    let nested = [];
    const inner = new StreamReorder({ now: () => (depth++ === 1 && (nested = inner.push(1)), 0) });
    assert.deepEqual(inner.push(2), []);
    assert.deepEqual(seqs(nested), [1, 2]);
    stream.once('gap', () => stream.close());
    clock.now = 100;
    stream.tellGaps();
    for (const call of [
      () => stream.push(3),
      () => stream.pushBatch([3]),
      () => stream.skip(3),
      () => stream.hole(3, 4),
      () => stream.tellGaps(),
      () => stream.stats(),
    ])
      refuses(call, 'CLOSED');
    stream.close();
  });

  it('refuses arguments and options that make no sense, by name', () => {
    const { stream } = reorder();
    for (const number of [...noIntegers, undefined, 2 ** 53 - 1]) {
      refuses(() => stream.push(/** @type {any} */ (number), 'x'), 'INVALID_ARGUMENT', 'seq');
      refuses(() => stream.pushBatch(/** @type {any} */ ([1, number])), 'INVALID_ARGUMENT', 'seqs');
      refuses(() => stream.hole(/** @type {any} */ (number), 1), 'INVALID_ARGUMENT', 'from');
      refuses(() => stream.skip(/** @type {any} */ (number)), 'INVALID_ARGUMENT', 'to');
    }
    refuses(() => stream.hole(5, 4), 'INVALID_ARGUMENT', 'to');
    refuses(() => stream.pushBatch([1, 2], ['x']), 'INVALID_ARGUMENT', 'payloads');
    refuses(() => stream.pushBatch(/** @type {any} */ (undefined)), 'INVALID_ARGUMENT');
    assert.equal(stream.stats().held, 0);
    for (const option of ['start', 'maxGap', 'maxBytes', 'timeoutMs']) {
      for (const value of noIntegers.filter((one) => one !== null))
        refuses(() => reorder({ [option]: value }), 'BAD_OPTION', option);
    }
    refuses(() => reorder({ maxGap: 2 ** 20 + 1 }), 'BAD_OPTION', 'maxGap');
    refuses(() => reorder({ mode: /** @type {any} */ ('keep') }), 'BAD_OPTION', 'mode');
    refuses(() => reorder(/** @type {any} */ ({ window: 5 })), 'BAD_OPTION', 'window');
  });

  // Against models as slow as they are plain, 10^5 steps each.
  it('hold agrees with the naive model', function () {
    this.timeout(60_000);
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.record({ ahead: fc.integer({ min: -3, max: 22 }) }) },
      { weight: 12, arbitrary: fc.record({ ahead: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ batch: fc.array(fc.integer({ min: -2, max: 12 }), { maxLength: 8 }) }) },
      { weight: 1, arbitrary: fc.record({ hole: fc.integer({ min: -2, max: 10 }), length: fc.nat(6) }) },
    );
    runSteps(/** @type {any} */ (step), (/** @type {any[]} */ steps) => {
      const { stream } = reorder({ maxGap: 16, maxBytes: 64 * 8 });
      let next = 1;
      const held = new Map();
      const holes = new Set();
      /** @param {any[]} out */
      const drain = (out) => {
        for (; held.has(next) || holes.has(next); next++) {
          if (held.has(next)) out.push({ seq: next, payload: held.get(next) });
          held.delete(next);
        }
      };
      /** @param {number} seq @param {any} payload @param {any[]} out */
      const push = (seq, payload, out) => {
        if (seq < next || held.has(seq) || holes.has(seq)) return;
        if (seq === next) {
          out.push({ seq, payload });
          next++;
          drain(out);
        } else if (seq < next + 16 && held.size < 8) held.set(seq, payload);
      };
      for (const [at, { ahead, batch, hole, length }] of steps.entries()) {
        /** @type {any[]} */
        const out = [];
        let got;
        if (ahead !== undefined) {
          const seq = Math.max(next + ahead, 0);
          got = stream.push(seq, { at });
          push(seq, { at }, out);
        } else if (batch !== undefined) {
          const list = batch.map((/** @type {number} */ one) => Math.max(next + one, 0));
          got = stream.pushBatch(
            list,
            list.map((/** @type {number} */ seq) => ({ seq })),
          );
          for (const seq of list) push(seq, { seq }, out);
        } else {
          const from = Math.max(next + hole, 0);
          const to = from + length;
          const isBeyond = from > next && to >= next + 16;
          if (isBeyond) refuses(() => stream.hole(from, to), 'REORDER_FULL');
          else got = stream.hole(from, to);
          for (let seq = from; seq <= to; seq++)
            if (!held.has(seq) && (from <= next || seq < next + 16)) holes.add(seq);
          drain(out);
        }
        assert.deepEqual(got ?? [], out, `step ${at}`);
        const stats = stream.stats();
        assert.deepEqual([stats.next, stats.held], [next, held.size], `step ${at}`);
      }
    });
  });

  it('insert agrees with a sorted array', function () {
    this.timeout(60_000);
    const step = fc.oneof(
      { weight: 30, arbitrary: fc.record({ seq: fc.nat(3000) }) },
      { weight: 1, arbitrary: fc.record({ from: fc.nat(3000), length: fc.nat(40) }) },
    );
    runSteps(/** @type {any} */ (step), (/** @type {any[]} */ steps) => {
      const { stream } = reorder({ mode: 'insert' });
      /** @type {number[]} */
      const shown = [];
      const closed = new Set();
      for (const { seq, from, length } of steps) {
        if (from !== undefined) {
          stream.hole(from, from + length);
          for (let one = from; one <= from + length; one++) closed.add(one);
          continue;
        }
        const isKnown = closed.has(seq) || shown.includes(seq);
        const behind = shown.findIndex((one) => one > seq);
        const place = behind < 0 ? shown.length : behind;
        assert.equal(stream.push(seq), isKnown ? -1 : place);
        if (!isKnown) shown.splice(place, 0, seq);
      }
    });
  });
});
