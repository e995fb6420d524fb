/** Virtual time: nothing happens until it is advanced, and then in order. */
export class VirtualClock {
  #now = 1_700_000_000_000;
  #timers = new Map();
  #lastId = 0;

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    this.#timers.set(++this.#lastId, { callback, at: this.#now + Math.max(0, ms), id: this.#lastId });
    return this.#lastId;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  get pending() {
    return this.#timers.size;
  }

  /** Runs all that is due within `ms`, in order, and lets promises settle in between. */
  async advance(ms) {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      let first = null;
      for (const timer of this.#timers.values()) {
        if (timer.at <= end && (!first || timer.at < first.at || (timer.at === first.at && timer.id < first.id)))
          first = timer;
      }
      if (!first) break;
      this.#timers.delete(first.id);
      this.#now = Math.max(this.#now, first.at);
      first.callback();
      await settled();
    }
    this.#now = end;
  }
}

/** Lets every promise that can settle do so. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A seeded source of chance (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
