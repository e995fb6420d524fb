/**
 * Message tokens (docs/protocol.md "Tokens"): ids that a server may require, fetched before they are needed, so that a
 * send needs no extra round trip. Unused ones are only kept in memory: they cost the server nothing.
 */
import { EveryonceError, LIMITS } from '../protocol/index.js';
import { backoff } from './clock.js';

/** Tokens kept ready, at first; doubled, up to the most, whenever they did not suffice. */
const READY = { first: 64, most: 512 };
/** Bounds of the wait before the server is asked again, ms. */
const AGAIN = { min: 250, max: 15_000 };

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {{ count: number, resolve: (tokens: string[]) => void, reject: (error: unknown) => void }} Waiter
 *
 * @typedef {object} TokenHost
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {(question: Packet) => Promise<Packet>} ask ends with the connection
 */

export class TokenPool {
  /** The server requires tokens, as it said in its last welcome. */
  required = false;
  #online = false;
  /** @type {string[]} */
  #ready = [];
  #wanted = READY.first;
  /** When the oldest of those that are ready came, or earlier. */
  #since = 0;
  /** @type {Waiter[]} */
  #waiters = [];
  #asking = false;
  #failures = 0;
  /** @type {any} */
  #timer = null;

  /** @param {TokenHost} host */
  constructor(host) {
    this.host = host;
  }

  /** @param {Packet} welcome */
  onOnline({ tokens }) {
    this.required = tokens === 'required';
    this.#online = true;
    this.#failures = 0;
    void this.#fill();
  }

  onLost() {
    this.#online = false;
    this.host.clock.clearTimeout(this.#timer);
    this.#timer = null;
    for (const { reject } of this.#waiters.splice(0)) reject(new EveryonceError('OFFLINE'));
  }

  /** @param {number} count @returns {string[] | null} null where there are not as many ready */
  takeReady(count) {
    if (this.#waiters.length > 0 || this.#ready.length < count) {
      this.#wanted = Math.min(READY.most, this.#wanted * 2);
      return null;
    }
    const tokens = this.#ready.splice(0, count);
    void this.#fill();
    return tokens;
  }

  /**
   * @param {number} count
   * @returns {Promise<string[]>} in the order of the calls; rejects with `OFFLINE`, or where the server gives none out
   */
  take(count) {
    if (!this.#online) return Promise.reject(new EveryonceError('OFFLINE'));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ count, resolve, reject });
      this.#serve();
      void this.#fill();
    });
  }

  /** A token was refused that was sent at this time: those that were there by then may have run out with it. @param {number} sentAt */
  distrust(sentAt) {
    if (this.#since <= sentAt) this.#ready = [];
  }

  #serve() {
    while (this.#waiters.length > 0 && this.#waiters[0].count <= this.#ready.length) {
      const { count, resolve } = /** @type {Waiter} */ (this.#waiters.shift());
      resolve(this.#ready.splice(0, count));
    }
  }

  /** How many to ask for now. */
  #missing() {
    const waited = this.#waiters.reduce((sum, { count }) => sum + count, 0);
    const ready = this.required ? this.#wanted : 0;
    const missing = waited + ready - this.#ready.length;
    // In the background a few at a time are not worth a question.
    return waited > 0 || missing > ready / 2 ? Math.min(missing, LIMITS.tokens) : 0;
  }

  async #fill() {
    if (this.#asking || this.#timer !== null) return;
    this.#asking = true;
    try {
      for (let count = this.#missing(); this.#online && count > 0; count = this.#missing()) {
        const { tokens } = await this.host.ask({ t: 'tokens', count });
        if (tokens.length === 0) throw new EveryonceError('PROTOCOL', 'the server gave no tokens');
        if (this.#ready.length === 0) this.#since = this.host.clock.now();
        this.#ready.push(...tokens);
        this.#failures = 0;
        this.#serve();
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#asking = false;
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    if (!this.#online) return;
    if (!(/** @type {EveryonceError} */ (error).retryable)) {
      for (const { reject } of this.#waiters.splice(0)) reject(error);
      return;
    }
    const waitMs = backoff(AGAIN, this.#failures, this.host.random);
    this.#failures += 1;
    this.#timer = this.host.clock.setTimeout(() => {
      this.#timer = null;
      void this.#fill();
    }, waitMs);
  }
}
