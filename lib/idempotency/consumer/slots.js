/** A bounded number of things at once, first come first served. */
export class Slots {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];
  #whenFree;

  /**
   * @param {number} count
   * @param {() => void} whenFree called when one is given back that nobody waits for
   */
  constructor(count, whenFree) {
    this.#free = count;
    this.#whenFree = whenFree;
  }

  /** How many could be taken now without waiting, or keeping one who waits from theirs. */
  get free() {
    return this.#waiting.length > 0 ? 0 : this.#free;
  }

  /** @returns {Promise<void>} when there is one */
  async take() {
    if (this.free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(() => resolve(undefined)));
  }

  /** Gives one back. */
  give() {
    const next = this.#waiting.shift();
    if (next) return next();
    this.#free += 1;
    this.#whenFree();
  }
}
