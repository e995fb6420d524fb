import { MAX_MS, checkInteger, checkOptions, refused } from './check.js';
import { ASYNC_DISPOSE, DISPOSE, checkNow, primitives, readClock, typed } from './native.js';
import { leaseSnowflake } from './worker-lease.js';

/** 2024-01-01T00:00:00Z, as the server's own message ids. */
const EPOCH_MS = 1704067200000;
const MAX_WORKER = 1023;
const MAX_BATCH = 2 ** 20;
const ID_LIMIT = 2n ** 63n;
const OPTIONS = ['worker', 'epoch', 'maxBackwardMs', 'maxAheadMs', 'usedUntilMs', 'now', 'monotonicNow'];
/** @type {'BAD_OPTION'} */
const code = 'BAD_OPTION';

/**
 * @typedef {object} SnowflakeOptions
 * @property {number} worker 0 to 1023: no two live generators may share one. `Snowflake.lease` sees to that
 * @property {number} [epoch] Unix milliseconds that ids are counted from, for 69 years; default 2024-01-01T00:00:00Z. Never
 *   change it while older ids are kept
 * @property {number} [maxBackwardMs] default 5000: a clock that has stepped back by up to this is waited out (ids keep the
 *   newest time), more throws CLOCK_BACKWARDS
 * @property {number} [maxAheadMs] default 1000: how far ids may borrow from the future where more than 4096 are wanted in a
 *   millisecond
 * @property {number} [usedUntilMs] no id is made of a millisecond up to this one: `stats().lastMs` of the generator before
 * @property {() => number} [now] Unix milliseconds, for tests; default: the system's clock
 * @property {() => number} [monotonicNow] the clock of a lease's deadline, for tests
 */

/** @typedef {{ time: number, worker: number, sequence: number }} SnowflakeParts `time` in Unix milliseconds */

/**
 * For whoever holds a lease on a generator's worker: no id of a millisecond after `reservedUntilMs` is made (it was written
 * durably before, and the next owner brings it as `usedUntilMs`), and none is given out from `deadlineMs` on, by
 * `monotonicMs`. What is left out is unbounded.
 *
 * @type {(snowflake: Snowflake, bounds: { reservedUntilMs?: number, deadlineMs?: number }) => void}
 */
export let setBounds;

/**
 * For whoever holds a lease: what close() calls once with the newest id's time, and gives back.
 *
 * @type {(snowflake: Snowflake, act: (lastMs: number) => Promise<void>) => void}
 */
export let whenClosed;

/**
 * Ids of 64 bits without asking anybody: 41 bits of milliseconds, 10 of worker, 12 of sequence (the articles' Leaf in
 * snowflake mode). Strictly increasing for one worker, whatever the clock does; a new millisecond begins at a random
 * sequence from 0 to 99, so that ids of a quiet service spread over shards that take them modulo.
 *
 * An id costs one native call, O(1); the object about 200 bytes. Without a lease nothing is kept on disk: a process that
 * dies and is started again with its clock set back may repeat ids, unless it brings `usedUntilMs`.
 */
export class Snowflake {
  /** @type {import('./native.js').NativeSnowflake} */
  #native;
  /** @type {number} */
  #epoch;
  /** @type {(() => number) | undefined} */
  #now;
  /** @type {(() => number) | undefined} */
  #monotonicNow;
  /** @type {((lastMs: number) => Promise<void>) | undefined} */
  #whenClosed;

  /**
   * A generator whose worker is leased through the store, so that no two live processes share one: with a fence, an expiry
   * and a durable reservation of time, so that no id repeats after a restart with the clock set back, a pause longer than
   * the lease, or two starts at once. It renews by itself; where it can't, `next` throws LEASE_EXPIRED in time. close()
   * gives the number back.
   *
   * @param {import('./worker-lease.js').LeaseOptions} options
   * @returns {Promise<Snowflake>}
   * @throws {EveryonceError} OVERLOADED: all 1024 numbers are leased (`retryAfterMs`); see openStore
   */
  static lease(options) {
    return leaseSnowflake(options);
  }

  /**
   * @param {SnowflakeOptions} options
   * @throws {EveryonceError} BAD_OPTION naming `option`; ADDON_MISSING
   */
  constructor(options) {
    const given = checkOptions(options, 'options', OPTIONS);
    const worker = checkInteger(given.worker, 'worker', { most: MAX_WORKER, code });
    this.#epoch = checkInteger(given.epoch ?? EPOCH_MS, 'epoch', { most: 2 ** 43, code });
    const maxBackwardMs = checkInteger(given.maxBackwardMs ?? 5000, 'maxBackwardMs', { most: MAX_MS, code });
    const maxAheadMs = checkInteger(given.maxAheadMs ?? 1000, 'maxAheadMs', { most: MAX_MS, code });
    const usedUntilMs = checkInteger(given.usedUntilMs ?? 0, 'usedUntilMs', { most: 2 ** 43, code });
    this.#now = checkNow(given.now);
    this.#monotonicNow = checkNow(given.monotonicNow);
    this.#native = new (primitives().Snowflake)(worker, this.#epoch, maxBackwardMs, maxAheadMs, usedUntilMs);
  }

  /**
   * The next id as a decimal string: JSON keeps it exactly, which a number of 63 bits would not be.
   *
   * @returns {string}
   * @throws {EveryonceError} CLOCK_BACKWARDS (`backwardMs`, `retryAfterMs`), IDS_EXHAUSTED (`retryAfterMs`),
   *   CLOCK_OUT_OF_RANGE, LEASE_EXPIRED, CLOSED
   */
  next() {
    try {
      if (this.#now === undefined && this.#monotonicNow === undefined) return this.#native.next();
      return this.#native.next(this.#wall(), this.#monotonic());
    } catch (error) {
      throw typed(error);
    }
  }

  /** @returns {bigint} the next id; errors as of `next` */
  nextBigInt() {
    try {
      return this.#native.nextBigInt(this.#wall(), this.#monotonic());
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * Many at once, rising: some nanoseconds each. More than 4096 a millisecond are borrowed from the milliseconds to come, up
   * to `maxAheadMs`; beyond that the call sleeps until the clock has room, at most half a second.
   *
   * @param {number} count 0 to 1,048,576
   * @returns {BigUint64Array} of `count` ids; errors as of `next`: then none of them is given out
   */
  nextBatch(count) {
    checkInteger(count, 'count', { most: MAX_BATCH });
    try {
      return this.#native.nextBatch(count, this.#wall(), this.#monotonic());
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {string | bigint | number} id
   * @returns {SnowflakeParts} of an id with this generator's epoch
   * @throws {EveryonceError} INVALID_ARGUMENT
   */
  decode(id) {
    return Snowflake.decode(id, { epoch: this.#epoch });
  }

  /**
   * @param {string | bigint | number} id
   * @param {{ epoch?: number }} [options] the epoch it was made with, Unix milliseconds
   * @returns {SnowflakeParts}
   * @throws {EveryonceError} INVALID_ARGUMENT
   */
  static decode(id, { epoch = EPOCH_MS } = {}) {
    checkInteger(epoch, 'epoch', { most: 2 ** 43 });
    return primitives().Snowflake.decode(idOf(id), epoch);
  }

  /**
   * @returns {Record<string, number>} `worker`, `epoch`, `issued` ids, `lastMs` the newest id's time (keep it, and give it
   *   to the next generator as `usedUntilMs`), `clockStepsBack` times that the clock was seen to step back
   */
  stats() {
    try {
      return this.#native.stats();
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * Every later call throws CLOSED.
   *
   * @returns {Promise<void> | undefined} with a lease: when its number is free again
   */
  close() {
    const act = this.#whenClosed;
    this.#whenClosed = undefined;
    const lastMs = act ? this.#native.stats().lastMs : 0;
    this.#native.close();
    return act?.(lastMs);
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }

  [DISPOSE]() {
    this.close();
  }

  #wall() {
    return this.#now === undefined ? undefined : readClock(this.#now);
  }

  #monotonic() {
    return this.#monotonicNow === undefined ? undefined : readClock(this.#monotonicNow);
  }

  static {
    setBounds = (snowflake, { reservedUntilMs, deadlineMs }) =>
      snowflake.#native.setBounds(reservedUntilMs, deadlineMs);
    whenClosed = (snowflake, act) => (snowflake.#whenClosed = act);
  }
}

/** @returns {number} the clock of `deadlineMs`: it never steps back, and goes on while the machine sleeps */
export const monotonicMs = () => primitives().Snowflake.monotonicMs();

/** @param {unknown} id @returns {bigint} */
function idOf(id) {
  const isText = typeof id === 'string' && /^\d{1,19}$/.test(id);
  if (isText || typeof id === 'bigint' || (Number.isSafeInteger(id) && Number(id) >= 0)) {
    const value = BigInt(/** @type {string | bigint | number} */ (id));
    if (value >= 0n && value < ID_LIMIT) return value;
  }
  throw refused('id', 'a string, bigint or number of 0 to 2^63 - 1');
}
