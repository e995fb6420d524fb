/** A bounded number of things at once, first come first served. */
export class Slots {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
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
    if (next) next();
    else this.#free += 1;
  }
}
