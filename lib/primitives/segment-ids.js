import { EveryonceError } from '../protocol/errors.js';
import { checkInteger, checkMs, checkOptions, checkText, refused } from './check.js';
import { ASYNC_DISPOSE } from './native.js';
import { MAX_STEP, SegmentBuffer } from './segments/buffer.js';
import { openLoader } from './segments/loaders.js';

const MAX_TAG_BYTES = 128;
const MAX_BATCH = 1_000_000;
const MAX_WAITING = 100_000;
const BACK_OFF_MS = { first: 50, most: 10_000 };

/** @typedef {{ count: number, ids?: BigUint64Array, have: number, untilMs: number, resolve: (ids: any) => void,
 *   reject: (error: Error) => void }} Waiter */

/**
 * Leaf's segment mode: ids from segments that a store gives out, two of them in memory, the next one fetched when a tenth of
 * this one is used, the step adapting to how fast they go (semantics b). Unique over all processes that share the store and
 * the tag, through crashes; rising within one object; with holes, and not in order over processes.
 *
 * O(1) an id; memory does not depend on the step. Ids are strings, since JSON takes numbers above 2^53 for others.
 */
export class SegmentIds {
  #tag;
  #loader;
  #buffer;
  #timeoutMs;
  #now;
  /** In order of their deadlines, since all have the same time to wait. @type {Waiter[]} */
  #waiting = [];
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #isLoading = false;
  #failures = 0;
  #retryAtMs = 0;
  /** @type {unknown} */
  #lastError;
  #closed = false;
  #counts = { ids: 0, loads: 0, failures: 0, timeouts: 0 };

  /**
   * @param {object} options
   * @param {import('./store.js').StoreOption | { postgres: any, table?: string } | { mysql: any, table?: string }}
   *   [options.store] the databases' table is `leaf_alloc`, made where it is missing
   * @param {(tag: string, step: number) => unknown} [options.load] in place of a store: gives the first id (number, bigint
   *   or decimal string) of a segment of `step` ids that nobody else gets
   * @param {string} options.tag whose ids, 1 to 128 bytes
   * @param {number} [options.step] the least to load at once, 1 to 10^6, default 1000; up to that many ids are lost in a crash
   * @param {number} [options.timeoutMs] how long an id may be waited for, default 2000
   * @param {() => number} [options.now] a monotonic clock in milliseconds, for tests
   * @throws {EveryonceError} BAD_OPTION; see openStore
   */
  constructor(options) {
    const known = ['store', 'load', 'tag', 'step', 'timeoutMs', 'now'];
    const { store, load, tag, step = 1000, timeoutMs = 2000, now } = checkOptions(options, 'options', known);
    this.#tag = checkText(tag, 'tag', { most: MAX_TAG_BYTES, code: 'BAD_OPTION' });
    checkInteger(step, 'step', { least: 1, most: MAX_STEP, code: 'BAD_OPTION' });
    this.#timeoutMs = checkMs(timeoutMs, 'timeoutMs', { code: 'BAD_OPTION' });
    if ((store === undefined) === (load === undefined))
      throw refused('store', 'given, or load in its place', 'BAD_OPTION');
    if (load !== undefined && typeof load !== 'function') throw refused('load', 'a function', 'BAD_OPTION');
    this.#now = now ?? (() => performance.now());
    this.#buffer = new SegmentBuffer(step);
    this.#loader = load ? { load, stats: () => ({}), close: async () => {} } : openLoader(store, step);
  }

  /**
   * @returns {Promise<string>} the next id
   * @throws {EveryonceError} UNAVAILABLE: the store failed (`cause`, `retryAfterMs`); TIMEOUT; OVERLOADED: 100,000 calls wait;
   *   MIGRATION_UNFINISHED: Redis holds half of a store; CLOSED
   */
  async next() {
    if (this.#closed) throw new EveryonceError('CLOSED', 'the ids are closed');
    const id = this.#waiting.length === 0 ? this.#buffer.takeOne() : undefined;
    if (id === undefined) return this.#wait(1);
    this.#counts.ids += 1;
    this.#prefetch();
    return id;
  }

  /**
   * @param {number} n 1 to 10^6
   * @returns {Promise<BigUint64Array>} the next n ids, rising. As next() throws; then some may be lost
   */
  async nextBatch(n) {
    const count = checkInteger(n, 'n', { least: 1, most: MAX_BATCH });
    if (this.#closed) throw new EveryonceError('CLOSED', 'the ids are closed');
    const ids = new BigUint64Array(count);
    const have = this.#waiting.length === 0 ? this.#buffer.fill(ids, 0) : 0;
    this.#counts.ids += have;
    this.#prefetch();
    return have === count ? ids : this.#wait(count, ids, have);
  }

  /** `step`: what the next load asks for; `available`: ids in memory. */
  stats() {
    const { step, available } = this.#buffer;
    return { ...this.#counts, step, available, waiting: this.#waiting.length, store: this.#loader.stats() };
  }

  /** Calls that wait are told CLOSED; a load under way is not waited for. What is left of the segments is lost. */
  async close() {
    this.#closed = true;
    this.#reject(new EveryonceError('CLOSED', 'the ids are closed'));
    await this.#loader.close();
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }

  /**
   * @param {number} count
   * @param {BigUint64Array} [ids]
   * @param {number} [have]
   * @returns {Promise<any>}
   */
  #wait(count, ids, have = 0) {
    if (this.#waiting.length >= MAX_WAITING) throw new EveryonceError('OVERLOADED', 'too many calls wait for ids');
    const retryAfterMs = this.#retryAtMs - this.#now();
    if (!this.#isLoading && retryAfterMs > 0) throw this.#failure(retryAfterMs);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ count, ids, have, untilMs: this.#now() + this.#timeoutMs, resolve, reject });
      this.#prefetch();
      this.#arm();
    });
  }

  #prefetch() {
    if (this.#isLoading || this.#closed || !this.#buffer.wantsLoad || this.#now() < this.#retryAtMs) return;
    this.#isLoading = true;
    void this.#load();
  }

  async #load() {
    const { step } = this.#buffer;
    try {
      const first = await this.#loader.load(this.#tag, step);
      this.#buffer.add(idOf(first), step, this.#now());
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#isLoading = false;
    this.#counts.loads += 1;
    this.#failures = 0;
    this.#retryAtMs = 0;
    this.#serve();
    if (this.#waiting.length > 0) this.#prefetch();
  }

  /** @param {unknown} error of the loader, or why its segment can't be */
  #failed(error) {
    this.#isLoading = false;
    this.#counts.failures += 1;
    this.#lastError = error;
    const backOffMs = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** this.#failures++);
    this.#retryAtMs = this.#now() + backOffMs;
    this.#reject(this.#failure(backOffMs));
  }

  /** Gives to those who wait, in order. */
  #serve() {
    while (this.#waiting.length > 0) {
      const waiter = this.#waiting[0];
      if (waiter.ids) {
        const filled = this.#buffer.fill(waiter.ids, waiter.have);
        this.#counts.ids += filled;
        waiter.have += filled;
        if (waiter.have < waiter.count) break;
        waiter.resolve(waiter.ids);
      } else {
        const id = this.#buffer.takeOne();
        if (id === undefined) break;
        this.#counts.ids += 1;
        waiter.resolve(id);
      }
      this.#waiting.shift();
    }
    this.#arm();
  }

  /** @param {Error} error */
  #reject(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#arm();
  }

  /** One timer, for who has waited longest. */
  #arm() {
    const [oldest] = this.#waiting;
    if (!oldest) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setTimeout(() => this.#expire(), Math.max(1, oldest.untilMs - this.#now()));
    }
  }

  #expire() {
    this.#timer = undefined;
    const nowMs = this.#now();
    while (this.#waiting.length > 0 && this.#waiting[0].untilMs <= nowMs) {
      this.#counts.timeouts += 1;
      this.#waiting.shift()?.reject(new EveryonceError('TIMEOUT', `no id came within ${this.#timeoutMs} ms`));
    }
    this.#arm();
  }

  /** @param {number} retryAfterMs */
  #failure(retryAfterMs) {
    const cause = /** @type {any} */ (this.#lastError);
    const message = `no segment of ${this.#tag} could be loaded: ${cause?.message ?? cause}`;
    const isHalf = cause?.code === 'MIGRATION_UNFINISHED'; // who reads UNAVAILABLE waits for what does not end by itself
    const { code, option } = isHalf ? cause : { code: 'UNAVAILABLE', option: undefined };
    return new EveryonceError(code, message, { cause, option, retryAfterMs: Math.ceil(retryAfterMs) });
  }
}

/** @param {unknown} first what a loader gave @returns {bigint} */
function idOf(first) {
  if (typeof first === 'bigint' && first >= 0n) return first;
  if (Number.isSafeInteger(first) && Number(first) >= 0) return BigInt(Number(first));
  if (typeof first === 'string' && /^\d{1,19}$/.test(first)) return BigInt(first);
  throw refused('load', 'a function that gives an integer from 0, as a number, bigint or decimal string');
}
