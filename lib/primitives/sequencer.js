import { EveryonceError } from '../protocol/errors.js';
import { checkInteger, checkOptions, checkText } from './check.js';
import { ASYNC_DISPOSE } from './native.js';
import { Operation, openStore } from './store.js';

/** The most numbers that one reserve takes. */
const MAX_RESERVED = 1_000_000_000;

/**
 * Dense numbers per key: 1, 2, 3 … each given once, whoever asks in whichever process or thread, and durable before it is
 * given (semantics c). O(log n) in the number of keys, about 20 bytes a key; numbers asked for at once share one synced
 * write.
 *
 * A number whose promise rejected with UNAVAILABLE may be used up: then there is a hole. In an opened backup copy each key
 * jumps ahead of all that may have been given out since: by 2^32, and by 1024 for each millisecond since its last number.
 */
export class Sequencer {
  #store;
  #counts = { taken: 0, failed: 0 };

  /**
   * @param {{ store: import('./store.js').StoreOption }} options
   * @throws {EveryonceError} see openStore
   */
  constructor(options) {
    const { store } = checkOptions(options, 'options', ['store']);
    this.#store = openStore(store);
  }

  /**
   * @param {string} key 1 to 1024 bytes
   * @returns {Promise<number>} the next number, from 1
   * @throws {EveryonceError} INVALID_ARGUMENT (also where 2^53 - 1 is reached), OVERLOADED, UNAVAILABLE, CLOSED
   */
  next(key) {
    return this.reserve(key, 1);
  }

  /**
   * @param {string} key
   * @param {number} n how many numbers, 1 to 10^9
   * @returns {Promise<number>} the first of them; the others follow it
   */
  async reserve(key, n) {
    const name = `q${checkText(key, 'key')}`;
    const count = checkInteger(n, 'n', { least: 1, most: MAX_RESERVED });
    try {
      const first = Number(await this.#store.run(Operation.TAKE, name, count, Number.MAX_SAFE_INTEGER));
      this.#counts.taken += count;
      return first;
    } catch (error) {
      if (error instanceof EveryonceError) this.#counts.failed += 1;
      throw error;
    }
  }

  /**
   * @param {string} key
   * @returns {Promise<number>} the last number given; 0: none
   */
  async current(key) {
    return Number(await this.#store.run(Operation.LAST, `q${checkText(key, 'key')}`));
  }

  /** Numbers taken and calls failed by this object, and its store's counters. */
  stats() {
    return { ...this.#counts, store: this.#store.stats() };
  }

  /** Answers what is under way, then lets the store go. */
  async close() {
    await this.#store.close();
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }
}
