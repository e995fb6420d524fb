/**
 * When to send again, and how much: the measured round trip, and the server's rate. Pure: time is given.
 */

/** No wait for an ack is longer than this, ms. */
const LONGEST_WAIT_MS = 60_000;

/** The measured time from a send to its ack, smoothed as TCP does (RFC 6298). */
export class RoundTrip {
  #smoothed = 0;
  #variation = 0;

  /** @param {number} ms of a message that was transmitted once: a repeated one can not tell which is answered */
  measured(ms) {
    if (!(ms >= 0)) return;
    if (this.#smoothed === 0) {
      this.#smoothed = ms;
      this.#variation = ms / 2;
      return;
    }
    this.#variation += (Math.abs(this.#smoothed - ms) - this.#variation) / 4;
    this.#smoothed += (ms - this.#smoothed) / 8;
  }

  /**
   * How long to wait for an ack: at least `atLeastMs`, doubled for each try before.
   * @param {number} atLeastMs
   * @param {number} tries
   * @param {import('./clock.js').Random} random
   * @returns {number} ms
   */
  waitMs(atLeastMs, tries, random) {
    const base = Math.max(atLeastMs, this.#smoothed + 4 * this.#variation) * 2 ** tries;
    return Math.min(LONGEST_WAIT_MS, base) * (1 + random() / 4);
  }
}

/**
 * Keeps below `limits.rate` packets a second, averaged over 10 s, so that a long queue does not end in refusals: a
 * bucket of one second's packets that fills at nine tenths of the rate can't exceed it in any 10 s.
 */
export class RateBucket {
  #perSecond = 0;
  #tokens = 0;
  #at = 0;

  /** @param {number} perSecond 0: no limit @param {number} now ms */
  reset(perSecond, now) {
    this.#perSecond = perSecond > 0 ? perSecond : 0;
    this.#tokens = this.#perSecond;
    this.#at = now;
  }

  /**
   * @param {number} now ms
   * @returns {number} 0 where a packet may go; else after how many ms to ask again
   */
  take(now) {
    if (this.#perSecond === 0) return 0;
    const perMs = (this.#perSecond * 0.9) / 1000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + Math.max(0, now - this.#at) * perMs);
    this.#at = now;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return Math.ceil((1 - this.#tokens) / perMs);
  }

  /** How many packets may go within `ms`. @param {number} ms */
  within(ms) {
    return this.#perSecond === 0 ? Infinity : Math.floor(this.#perSecond * (1 + (0.9 * ms) / 1000));
  }

  /** A packet that can not wait goes anyway, and what may wait pays for it. */
  spend() {
    if (this.#perSecond > 0) this.#tokens -= 1;
  }
}
