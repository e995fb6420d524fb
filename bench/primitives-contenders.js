// What a user would otherwise install or write, beside the primitives: each contender does the same work on the same data.
import { createRequire } from 'node:module';
import { BloomFilter, PackageReorder, Snowflake, StreamReorder } from '../lib/index.js';

const require = createRequire(import.meta.url);

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {() => { run: () => unknown, between?: () => void }} make `run` does the work of one round and is timed; `between`
 *   is not
 */

/**
 * @typedef {object} Contest
 * @property {string} title
 * @property {number} operations of a round
 * @property {Contender[]} contenders
 */

/** Until the clock shows another millisecond: so that no generator has to wait for one within a round. */
function nextMillisecond() {
  const now = Date.now();
  while (Date.now() === now);
}

/** @param {number} count @param {() => unknown} next @returns {() => void} */
const times = (count, next) => () => {
  for (let i = 0; i < count; i++) next();
};

/** @returns {Contest} */
export function snowflakes() {
  const operations = 1000;
  /** @param {string} name @param {() => () => unknown} maker @returns {Contender} */
  const one = (name, maker) => ({ name, make: () => ({ run: times(operations, maker()), between: nextMillisecond }) });
  return {
    title: 'ids: 1000 within a millisecond',
    operations,
    contenders: [
      one('everyonce next(), a string', () => {
        const ids = new Snowflake({ worker: 1 });
        return () => ids.next();
      }),
      one('everyonce nextBigInt()', () => {
        const ids = new Snowflake({ worker: 1 });
        return () => ids.nextBigInt();
      }),
      {
        name: 'everyonce nextBatch(1000)',
        make: () => {
          const ids = new Snowflake({ worker: 1 });
          return { run: () => ids.nextBatch(operations), between: nextMillisecond };
        },
      },
      one('nodejs-snowflake, a bigint', () => {
        const ids = new (require('nodejs-snowflake').Snowflake)({ instance_id: 1 });
        return () => ids.getUniqueID();
      }),
      one('flake-idgen, a Buffer', () => {
        const ids = new (require('flake-idgen'))({ id: 1 });
        return () => ids.next();
      }),
      one('@sapphire/snowflake, a bigint', () => {
        const ids = new (require('@sapphire/snowflake').Snowflake)(1704067200000);
        return () => ids.generate({ workerId: 1n });
      }),
    ],
  };
}

/**
 * How many of `count` ids made as fast as it goes are different, and how long that took.
 * @param {number} count
 * @returns {{ name: string, different: number, nanoseconds: number }[]}
 */
export function idsAtFullSpeed(count) {
  const ours = new Snowflake({ worker: 1 });
  const node = new (require('nodejs-snowflake').Snowflake)({ instance_id: 1 });
  const flake = new (require('flake-idgen'))({ id: 1 });
  const sapphire = new (require('@sapphire/snowflake').Snowflake)(1704067200000);
  /** @type {[string, () => ArrayLike<any>][]} */
  const makers = [
    ['everyonce nextBatch', () => ours.nextBatch(count)],
    ['everyonce nextBigInt()', () => Array.from({ length: count }, () => ours.nextBigInt())],
    ['nodejs-snowflake', () => Array.from({ length: count }, () => node.getUniqueID())],
    [
      'flake-idgen',
      () =>
        Array.from({ length: count }, () => {
          // It throws where a millisecond has no more: the caller is to wait.
          for (;;) {
            try {
              return flake.next().readBigUInt64BE();
            } catch {
              nextMillisecond();
            }
          }
        }),
    ],
    ['@sapphire/snowflake', () => Array.from({ length: count }, () => sapphire.generate({ workerId: 1n }))],
  ];
  return makers.map(([name, make]) => {
    const started = process.hrtime.bigint();
    const ids = make();
    const nanoseconds = Number(process.hrtime.bigint() - started) / count;
    return { name, different: new Set(Array.from(ids)).size, nanoseconds };
  });
}

/** @param {number} count keys @returns {Contest[]} */
export function filters(count) {
  const keys = Array.from({ length: count }, (_, i) => `message-${i.toString(36).padStart(10, '0')}`);
  const bytes = Buffer.from(keys.join(''));
  const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * keys[0].length);
  const make = () => new BloomFilter({ capacity: count, errorRate: 0.01 });
  const other = () => require('bloom-filters').BloomFilter.create(count, 0.01);
  /** @param {(key: string) => unknown} use */
  const each = (use) => {
    for (let i = 0; i < count; i++) use(keys[i]);
  };
  const full = make();
  full.addBatch(keys);
  const otherFull = other();
  for (const key of keys) otherFull.add(key);
  const set = new Set(keys);
  return [
    {
      title: `filter, add ${count} keys of 18 bytes, 1 %`,
      operations: count,
      contenders: [
        { name: 'everyonce add', make: () => ({ run: () => ((filter) => each((key) => filter.add(key)))(make()) }) },
        { name: 'everyonce addBatch, array', make: () => ({ run: () => make().addBatch(keys) }) },
        { name: 'everyonce addBatch, Buffer', make: () => ({ run: () => make().addBatch(bytes, offsets) }) },
        { name: 'bloom-filters', make: () => ({ run: () => ((filter) => each((key) => filter.add(key)))(other()) }) },
        { name: 'Set (exact)', make: () => ({ run: () => ((known) => each((key) => known.add(key)))(new Set()) }) },
      ],
    },
    {
      title: `filter, ask ${count} keys`,
      operations: count,
      contenders: [
        { name: 'everyonce has', make: () => ({ run: () => each((key) => full.has(key)) }) },
        { name: 'everyonce hasBatch, array', make: () => ({ run: () => full.hasBatch(keys) }) },
        { name: 'everyonce hasBatch, Buffer', make: () => ({ run: () => full.hasBatch(bytes, offsets) }) },
        { name: 'bloom-filters', make: () => ({ run: () => each((key) => otherFull.has(key)) }) },
        { name: 'Set (exact)', make: () => ({ run: () => each((key) => set.has(key)) }) },
      ],
    },
  ];
}

/** Every eighth pair swapped: what a network does on a bad day. @param {number} count */
function arrivals(count) {
  const seqs = Array.from({ length: count }, (_, i) => i + 1);
  for (let i = 0; i + 1 < count; i += 8) [seqs[i], seqs[i + 1]] = [seqs[i + 1], seqs[i]];
  return seqs;
}

/** History as it is scrolled back. @param {number[]} seqs @returns {number[]} */
function pages(seqs) {
  const sorted = [...seqs].sort((a, b) => a - b);
  const list = [];
  for (let end = sorted.length; end > 0; end -= 50) list.push(...sorted.slice(Math.max(end - 50, 0), end));
  return list;
}

/** The plain way: a Map, no bound, no timer, no duplicates told. */
class MapReorder {
  next = 1;
  held = new Map();

  /** @param {number} seq @param {any} payload */
  push(seq, payload) {
    const out = [];
    if (seq >= this.next) this.held.set(seq, payload);
    for (; this.held.has(this.next); this.next++) {
      out.push({ seq: this.next, payload: this.held.get(this.next) });
      this.held.delete(this.next);
    }
    return out;
  }
}

/** @param {number} count @returns {Contest[]} */
export function streams(count) {
  const seqs = arrivals(count);
  const payloads = seqs.map((seq) => ({ seq }));
  // Rising in the large, mixed in the small, never dense: ids by time from several senders.
  const sparse = seqs.map((seq) => seq * 1000 + ((seq * 7919) % 30_000));
  /** @param {(seq: number, payload: any) => unknown} push */
  const each = (push) => {
    for (let i = 0; i < count; i++) push(seqs[i], payloads[i]);
  };
  return [
    {
      title: `hold, ${count} arrivals, every eighth pair swapped`,
      operations: count,
      contenders: [
        {
          name: 'everyonce push',
          make: () => ({
            run: () => using(new StreamReorder(), (stream) => each((seq, one) => stream.push(seq, one))),
          }),
        },
        {
          name: 'everyonce pushBatch',
          make: () => ({ run: () => using(new StreamReorder(), (stream) => stream.pushBatch(seqs, payloads)) }),
        },
        {
          name: 'a Map in JavaScript',
          make: () => ({ run: () => ((map) => each((seq, one) => map.push(seq, one)))(new MapReorder()) }),
        },
      ],
    },
    ...[
      { title: `insert, ${count} sparse numbers, about in order`, numbers: sparse },
      { title: `insert, ${count} sparse numbers, in pages of 50 from the newest on`, numbers: pages(sparse) },
    ].map(({ title, numbers }) => ({
      title,
      operations: count,
      contenders: [
        {
          name: 'everyonce push',
          make: () => ({
            run: () =>
              using(new StreamReorder({ mode: 'insert' }), (stream) => numbers.forEach((seq) => stream.push(seq))),
          }),
        },
        {
          name: 'everyonce pushBatch',
          make: () => ({
            run: () => using(new StreamReorder({ mode: 'insert' }), (stream) => stream.pushBatch(numbers)),
          }),
        },
        { name: 'a sorted array in JavaScript', make: () => ({ run: () => numbers.reduce(insertSorted, []) }) },
      ],
    })),
  ];
}

/** @template {{ close(): void }} T @param {T} one @param {(one: T) => void} use */
function using(one, use) {
  use(one);
  one.close();
}

/** @param {number[]} list @param {number} seq */
function insertSorted(list, seq) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < seq) low = middle + 1;
    else high = middle;
  }
  if (list[low] !== seq) list.splice(low, 0, seq);
  return list;
}

/** @template T @param {T[]} list @param {number} size @returns {T[][]} */
function batches(list, size) {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

/** What a Map needs beside it to do the same: bounds, a deadline for each package, a memory of those that are over. */
class BoundedPackages {
  open = new Map();
  over = new Map();
  bytes = 0;
  parts = 0;

  /** @param {{ packageId: string, seqId: number, total: number, payload: string }} part */
  push({ packageId, seqId, total, payload }) {
    if (this.over.has(packageId)) return 'duplicate';
    let held = this.open.get(packageId);
    const size = Buffer.byteLength(payload);
    if (this.bytes + size > 64 * 2 ** 20 || this.parts >= 65_536) return 'refused';
    if (held === undefined) {
      if (this.open.size >= 1024 || seqId >= total) return 'refused';
      held = { total, parts: new Map(), bytes: 0, timer: setTimeout(() => this.end(packageId, 'late'), 5000) };
      this.open.set(packageId, held);
    }
    if (held.total !== total) return this.end(packageId, 'refused');
    const known = held.parts.get(seqId);
    if (known !== undefined) return known === payload ? 'duplicate' : this.end(packageId, 'refused');
    held.parts.set(seqId, payload);
    held.bytes += size;
    this.bytes += size;
    this.parts++;
    if (held.parts.size < total) return 'held';
    Array.from({ length: total }, (_, i) => held.parts.get(i));
    this.end(packageId, 'duplicate');
    return 'complete';
  }

  /** @param {string} packageId @param {string} verdict of what comes later */
  end(packageId, verdict) {
    const held = this.open.get(packageId);
    clearTimeout(held.timer);
    this.open.delete(packageId);
    this.bytes -= held.bytes;
    this.parts -= held.parts.size;
    this.over.set(packageId, verdict);
    if (this.over.size > 4096) this.over.delete(this.over.keys().next().value);
    return verdict;
  }
}

/** @param {number} count parts @returns {Contest} */
export function packages(count) {
  const total = 8;
  const parts = Array.from({ length: count }, (_, i) => {
    // Four packages at a time, their parts in turn and from the end.
    const group = Math.floor(i / (4 * total));
    return {
      packageId: `package-${4 * group + (i % 4)}`,
      seqId: total - 1 - (Math.floor(i / 4) % total),
      total,
      payload: `part ${i} of a message`,
    };
  });
  return {
    title: `packages of ${total} parts, ${count} parts`,
    operations: count,
    contenders: [
      {
        name: 'everyonce push',
        make: () => ({
          run: () =>
            using(new PackageReorder(), (reorder) =>
              parts.forEach(({ packageId, seqId, payload }) => reorder.push(packageId, seqId, total, payload)),
            ),
        }),
      },
      {
        name: 'everyonce pushBatch',
        make: () => ({
          run: () =>
            using(new PackageReorder(), (reorder) => batches(parts, 1000).forEach((batch) => reorder.pushBatch(batch))),
        }),
      },
      {
        name: 'a Map that keeps the same promise',
        make: () => ({ run: () => ((map) => parts.forEach((part) => map.push(part)))(new BoundedPackages()) }),
      },
      {
        name: 'a Map in JavaScript',
        make: () => ({
          run: () => {
            const open = new Map();
            for (const { packageId, seqId, payload } of parts) {
              const held = open.get(packageId) ?? open.set(packageId, new Map()).get(packageId);
              held.set(seqId, payload);
              if (held.size < total) continue;
              open.delete(packageId);
              Array.from({ length: total }, (_, i) => held.get(i));
            }
          },
        }),
      },
    ],
  };
}
