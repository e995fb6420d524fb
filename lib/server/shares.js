// How many of something each key has at once, up to a bound: sockets of an address, connections of a user.

export class Shares {
  /** @type {Map<string, number>} */
  #held = new Map();
  #limit;

  /** @param {number} limit 0: no limit, and nothing is counted */
  constructor(limit) {
    this.#limit = limit;
  }

  /** Keys that hold something. */
  get size() {
    return this.#held.size;
  }

  /**
   * @param {string} key
   * @returns {boolean} false: it has all it may, and nothing was taken
   */
  take(key) {
    if (this.#limit === 0) return true;
    const held = this.#held.get(key) ?? 0;
    if (held >= this.#limit) return false;
    this.#held.set(key, held + 1);
    return true;
  }

  /** @param {string} key one that was taken is over */
  give(key) {
    const held = this.#held.get(key);
    if (held === undefined) return;
    if (held === 1) this.#held.delete(key);
    else this.#held.set(key, held - 1);
  }
}
