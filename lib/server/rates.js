// How often one address or user may ask, for requests that belong to no connection: token buckets that hold ten seconds'
// worth, as the engine has one per connection (protocol.md, `limits.rate`).

import { EDGE } from './defaults.js';

const SECONDS = 10;
/** A bucket that rested so long is full, and as good as none. */
const REST_MS = SECONDS * 1000;
/** Buckets looked at for that, each time: more than one comes in, so that they go faster than they come. */
const LOOKS = 4;

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
    this.#forget(nowMs);
    if (bucket.tokens < cost) return Math.max(1, Math.ceil(((cost - bucket.tokens) * 1000) / this.#perSecond));
    bucket.tokens -= cost;
    return 0;
  }

  /** @param {number} nowMs */
  #forget(nowMs) {
    let looks = LOOKS;
    for (const [key, { atMs }] of this.#buckets) {
      if (looks-- === 0 || (this.#buckets.size <= this.#maxKeys && nowMs - atMs < REST_MS)) return;
      this.#buckets.delete(key);
    }
  }
}
