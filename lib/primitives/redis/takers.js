// Numbers of counters that many callers of this process want at once: one call per counter is under way, and what is asked for
// meanwhile goes into the next one together. So a call's answer that was lost can be asked for again: Redis remembers the
// last one of each process (lua/take.lua).

/** @typedef {{ count: number, most: number, resolve: (first: bigint) => void, reject: (error: unknown) => void }} Taker */

/** What one call takes at most. */
const MAX_TAKEN = 2 ** 40;

export class Takers {
  #ask;
  /** Those that wait behind the call that is under way, by counter. @type {Map<string, Taker[]>} */
  #waiting = new Map();

  /**
   * @param {(counter: string, count: number, most: number) => Promise<bigint>} ask takes `count` numbers, gives the first
   */
  constructor(ask) {
    this.#ask = ask;
  }

  /**
   * @param {string} counter
   * @param {number} count
   * @param {number} most the last number that may be given
   * @returns {Promise<bigint>} the first of `count` numbers
   */
  take(counter, count, most) {
    return new Promise((resolve, reject) => {
      const taker = { count, most, resolve, reject };
      const waiting = this.#waiting.get(counter);
      if (waiting) {
        waiting.push(taker);
      } else {
        this.#waiting.set(counter, []);
        void this.#serve(counter, [taker]);
      }
    });
  }

  /** @param {string} counter @param {Taker[]} takers */
  async #serve(counter, takers) {
    for (let some = takers; some.length > 0; some = this.#next(counter)) {
      const total = some.reduce((sum, { count }) => sum + count, 0);
      try {
        let first = await this.#ask(counter, total, some[0].most);
        for (const { count, resolve } of some) {
          resolve(first);
          first += BigInt(count);
        }
      } catch (/** @type {any} */ error) {
        // There may be enough left for some of them, but not for all.
        const single = some.length > 1 && error?.code === 'INVALID_ARGUMENT';
        if (single) for (const one of some) await this.#serveOne(counter, one);
        else for (const { reject } of some) reject(error);
      }
    }
    this.#waiting.delete(counter);
  }

  /** @param {string} counter @param {Taker} taker */
  async #serveOne(counter, { count, most, resolve, reject }) {
    await this.#ask(counter, count, most).then(resolve, reject);
  }

  /** Those that go into the next call together. @param {string} counter */
  #next(counter) {
    const waiting = this.#waiting.get(counter) ?? [];
    let total = 0;
    let many = 0;
    while (many < waiting.length && waiting[many].most === waiting[0].most) {
      total += waiting[many].count;
      if (many > 0 && total > MAX_TAKEN) break;
      many += 1;
    }
    return waiting.splice(0, many);
  }
}
