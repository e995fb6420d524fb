// Whether the server takes messages: asked of the store itself, by way of the engine.

import { EDGE } from './defaults.js';

/** @typedef {'ok' | 'closing' | 'unavailable'} Health */

export class Readiness {
  #requests;
  #timeoutMs;
  /** @type {Promise<Health> | undefined} */
  #asking;

  /**
   * @param {import('./requests.js').Requests} requests
   * @param {number} [timeoutMs]
   */
  constructor(requests, timeoutMs = EDGE.healthTimeoutMs) {
    this.#requests = requests;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * However many ask at once, the store is asked once.
   *
   * @returns {Promise<Health>} never rejects
   */
  async check() {
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @type {Promise<Health>} */
    const late = new Promise((resolve) => (timer = setTimeout(resolve, this.#timeoutMs, 'unavailable').unref()));
    const health = await Promise.race([this.#asking, late]);
    clearTimeout(timer);
    return health;
  }

  /**
   * Waits behind the commit that is under way, so a stuck disk is seen. A store that a failed write has closed answers
   * `unavailable`, and only a commit opens it again: one that changes nothing is tried, so that a server without traffic
   * comes back, too.
   *
   * @returns {Promise<Health>}
   */
  async #ask() {
    try {
      await this.#requests.call('', { t: 'counts' }, {});
      return 'ok';
    } catch {
      try {
        await this.#requests.call('', { t: 'leave', conv: 'g:healthz' }, {});
        return 'ok';
      } catch (error) {
        return Reflect.get(/** @type {object} */ (error), 'code') === 'unknown_conv' ? 'ok' : 'unavailable';
      }
    }
  }
}
