// One interval for all deadlines of all connections. A timer per socket would cost each of them an allocation and a
// place in Node's lists for something that is nearly always postponed.

/**
 * @typedef {object} Ticked
 * @property {(nowMs: number) => number} tick looks at its deadlines; returns the milliseconds until it wants to be
 *   looked at again (rounded up to the slot), or 0 for never
 */

const SLOTS = 256;

/**
 * A timer wheel. `nowMs` is its clock as of the last slot, free to read on every frame; `clockMs()` is exact, for deadlines:
 * after a turn of the loop that took long, the other is old.
 */
export class Wheel {
  /** @type {Ticked[][]} */
  #slots = Array.from({ length: SLOTS }, () => []);
  #position = 0;
  #slotMs;
  #clock;
  /** @type {NodeJS.Timeout | undefined} */
  #interval;

  /**
   * @param {number} slotMs granularity
   * @param {() => number} [clock] milliseconds, never going back
   */
  constructor(slotMs, clock = () => performance.now()) {
    this.#slotMs = slotMs;
    this.#clock = clock;
    this.nowMs = clock();
  }

  clockMs() {
    return this.#clock();
  }

  /** Starts ticking by itself; does not keep the process alive. */
  start() {
    this.#interval ??= setInterval(() => this.advance(), this.#slotMs).unref();
  }

  /** Stops and forgets everything. */
  stop() {
    clearInterval(this.#interval);
    this.#interval = undefined;
    for (const slot of this.#slots) slot.length = 0;
  }

  /**
   * Has `item` looked at in `inMs` (rounded up to a slot). What lies further ahead than the wheel is looked at early,
   * and says again how long it wants to wait.
   *
   * @param {Ticked} item
   * @param {number} inMs
   */
  add(item, inMs) {
    const ahead = Math.min(SLOTS - 1, Math.max(1, Math.ceil(inMs / this.#slotMs)));
    this.#slots[(this.#position + ahead) % SLOTS].push(item);
  }

  /** One slot further. */
  advance() {
    this.nowMs = this.#clock();
    this.#position = (this.#position + 1) % SLOTS;
    const due = this.#slots[this.#position];
    if (due.length === 0) return;
    this.#slots[this.#position] = [];
    for (const item of due) {
      const again = item.tick(this.nowMs);
      if (again > 0) this.add(item, again);
    }
  }
}
