// The clock of a reorder buffer, and one timer for its next deadline.

import { readClock } from './native.js';

/** setTimeout takes no more. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export class Deadline {
  /** @type {(() => number) | undefined} */
  #now;
  #newest = -Infinity;
  #at = Infinity;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #onDue;

  /**
   * @param {(() => number) | undefined} now the caller's clock, in ms; then the timer keeps no process alive, since that
   *   clock may stand still. Undefined: performance.now
   * @param {() => void} onDue called when the deadline may be reached
   */
  constructor(now, onDue) {
    this.#now = now;
    this.#onDue = onDue;
  }

  /** @returns {number} whole milliseconds; never less than before */
  now() {
    const time = this.#now === undefined ? Math.floor(performance.now()) : readClock(this.#now);
    this.#newest = Math.max(this.#newest, time);
    return this.#newest;
  }

  /** When the next deadline is; Infinity: there is none. */
  get at() {
    return this.#at;
  }

  /** @param {number} at ms by `now`; what lies beyond 2^53: none */
  set(at) {
    const next = at <= Number.MAX_SAFE_INTEGER ? at : Infinity;
    if (next === this.#at) return;
    this.#at = next;
    this.#arm();
  }

  close() {
    this.set(Infinity);
  }

  #arm() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#at === Infinity) return;
    // The caller's clock may call back into what this is the deadline of: look only then.
    const now = this.now();
    clearTimeout(this.#timer);
    if (this.#at === Infinity) return;
    const delay = Math.min(Math.max(this.#at - now, 1), MAX_DELAY_MS);
    this.#timer = setTimeout(() => {
      if (this.now() >= this.#at) this.#onDue();
      else this.#arm();
    }, delay);
    if (this.#now !== undefined) this.#timer.unref();
  }
}

/**
 * Calls each, and throws the first that one threw when all have been called: one bad listener costs the others nothing.
 * @param {(() => void)[]} calls
 */
export function callAll(calls) {
  let failed = false;
  let first;
  for (const call of calls) {
    try {
      call();
    } catch (error) {
      first = failed ? first : error;
      failed = true;
    }
  }
  if (failed) throw first;
}
