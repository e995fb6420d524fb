// How often one address or user may ask, for requests that belong to no connection: token buckets that hold ten seconds'
// worth, as the engine has one per connection (protocol.md, `limits.rate`).

import { EDGE } from './defaults.js';

const SECONDS = 10;

export class Rates {
  /** Least recently used first. @type {Map<string, { tokens: number, atMs: number }>} */
  #buckets = new Map();
  #perSecond;
  #maxKeys;

  /**
   * @param {number} perSecond 0: no limit
   * @param {number} [maxKeys] buckets kept; beyond it the one that rested longest is forgotten, and begins full again
   */
  constructor(perSecond, maxKeys = EDGE.rateKeys) {
    this.#perSecond = perSecond;
    this.#maxKeys = maxKeys;
  }

  /** Buckets held now. */
  get size() {
    return this.#buckets.size;
  }

  /**
   * Takes one, or as many as `cost` says.
   *
   * @param {string} key
   * @param {number} nowMs a clock that does not go back
   * @param {number} [cost] at most ten
   * @returns {number} 0: within the rate; else the milliseconds after which it will be
   */
  take(key, nowMs, cost = 1) {
    if (this.#perSecond === 0) return 0;
    const capacity = this.#perSecond * SECONDS;
    const bucket = this.#buckets.get(key) ?? { tokens: capacity, atMs: nowMs };
    bucket.tokens = Math.min(capacity, bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1000);
    bucket.atMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxKeys) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest);
    }
    if (bucket.tokens < cost) return Math.max(1, Math.ceil(((cost - bucket.tokens) * 1000) / this.#perSecond));
    bucket.tokens -= cost;
    return 0;
  }
}
