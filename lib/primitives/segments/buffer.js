// Leaf's double buffer as a state machine: two segments, one in use and one ahead, and how large to ask for the next. It
// loads nothing and waits for nothing; the time is passed in (semantics b, segment mode).

/** Beyond a step of this many ids, a faster use does not ask for more at once. */
export const MAX_STEP = 1_000_000;
const QUICK_MS = 15 * 60_000;
/** Ids have to be below this: eight bytes with a sign. */
const MAX_ID = 2n ** 63n - 1n;

/** Half-open: base … base + size - 1. @typedef {{ base: bigint, size: number, used: number }} Segment */

export class SegmentBuffer {
  #least;
  #step;
  /** @type {Segment | undefined} */
  #current;
  /** @type {Segment | undefined} */
  #next;
  #loads = 0;
  #loadedAtMs = 0;
  #lastEnd = 0n;

  /** @param {number} step ids to ask for at least, 1 to MAX_STEP */
  constructor(step) {
    this.#least = step;
    this.#step = step;
  }

  /** Ids that can be taken at once. */
  get available() {
    const current = this.#current ? this.#current.size - this.#current.used : 0;
    return current + (this.#next ? this.#next.size : 0);
  }

  /** Whether the next segment should be on its way: a tenth of this one is used, or there is none. */
  get wantsLoad() {
    if (this.#next) return false;
    return !this.#current || this.#current.size - this.#current.used < 0.9 * this.#current.size;
  }

  /** The size to ask for. */
  get step() {
    return this.#step;
  }

  /**
   * Takes in the segment that was asked for with `step` ids, which begins at `first`, and adapts the next step to how long
   * this one lasted: the double where it went within a quarter of an hour, the half (not below the first step) after half an
   * hour.
   *
   * @param {bigint} first
   * @param {number} step what was asked for, so that nobody's change of it in between counts
   * @param {number} nowMs monotonic
   * @throws {RangeError} it can't be: it begins before the end of another, or ends beyond 2^63
   */
  add(first, step, nowMs) {
    if (first < this.#lastEnd) throw new RangeError(`the segment begins at ${first}, below what was given before`);
    if (first + BigInt(step) - 1n > MAX_ID) throw new RangeError(`the segment from ${first} ends beyond 2^63 - 1`);
    const segment = { base: first, size: step, used: 0 };
    this.#lastEnd = first + BigInt(step);
    if (this.#current && this.#current.used < this.#current.size) this.#next = segment;
    else this.#current = segment;
    this.#loads += 1;
    if (this.#loads > 2) this.#step = nextStep(this.#step, this.#least, nowMs - this.#loadedAtMs);
    this.#loadedAtMs = nowMs;
  }

  /**
   * @returns {string | undefined} the next id; undefined: none is there
   */
  takeOne() {
    const current = this.#use();
    if (!current) return undefined;
    const offset = current.used++;
    const { base } = current;
    const isSafe = base <= 9_007_199_253_740_991n; // a step below 2^53
    return isSafe ? String(Number(base) + offset) : String(base + BigInt(offset));
  }

  /**
   * @param {BigUint64Array} ids
   * @param {number} from
   * @returns {number} how many ids were written from `from` on
   */
  fill(ids, from) {
    let at = from;
    for (let current = this.#use(); current && at < ids.length; current = this.#use()) {
      const count = Math.min(ids.length - at, current.size - current.used);
      let id = current.base + BigInt(current.used);
      for (const end = at + count; at < end; at++) ids[at] = id++;
      current.used += count;
    }
    return at - from;
  }

  /** The segment in use, the next one where that is used up. */
  #use() {
    if (this.#current && this.#current.used === this.#current.size) {
      this.#current = this.#next;
      this.#next = undefined;
    }
    return this.#current;
  }
}

/**
 * @param {number} step
 * @param {number} least
 * @param {number} lastedMs
 */
function nextStep(step, least, lastedMs) {
  if (lastedMs < QUICK_MS) return step * 2 <= MAX_STEP ? step * 2 : step;
  if (lastedMs < 2 * QUICK_MS) return step;
  return Math.floor(step / 2) >= least ? Math.floor(step / 2) : step;
}
