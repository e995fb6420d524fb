import { checkInteger, checkMs, checkOptions } from './check.js';
import { Restored, checkBytes, checkErrorRate } from './bloom-filter.js';
import { DISPOSE, checkNow, primitives, readClock, typed } from './native.js';

/** @typedef {import('./native.js').Key} Key */
/** @typedef {import('./native.js').Keys} Keys */

const OPTIONS = ['capacity', 'errorRate', 'windowMs', 'slices', 'maxBytes', 'now'];
/** @type {'BAD_OPTION'} */
const code = 'BAD_OPTION';

/**
 * @typedef {object} RotatingBloomOptions
 * @property {number} capacity different keys within one window
 * @property {number} errorRate 1e-7 to 0.5, of all generations together
 * @property {number} windowMs how long a key is remembered at least
 * @property {number} [slices] 1 to 64, default 4: generations a window is cut into. A key is remembered for up to windowMs +
 *   windowMs / slices; memory is that of slices + 1 generations of capacity / slices keys
 * @property {number} [maxBytes] bound of memory; default four times what `capacity` needs
 * @property {() => number} [now] milliseconds, for tests; default: a clock that only rises
 */

/**
 * @typedef {object} RotatingBloomStats
 * @property {number} items in all generations; a key that was added again later counts again
 * @property {number} capacity
 * @property {number} errorRate as it was asked for
 * @property {number} estimatedErrorRate as the generations are filled now
 * @property {number} bytes of memory
 * @property {number} maxBytes
 * @property {number} generations
 * @property {number} windowMs
 * @property {number} slices
 * @property {boolean} saturated more came than `maxBytes` has room for: the newest generation is overfilled, false positives
 *   rise, and the window is kept. Go to the exact store for everything until it is false again
 */

/**
 * A Bloom filter that forgets: what was added within `windowMs` is never denied, older keys go generation by generation.
 * Under flood more generations come, up to `maxBytes`; then it says `saturated`. The window is never shortened.
 *
 * O(generations) a key, slices + 1 when it is quiet. Bits a key: as BloomFilter's at errorRate / (slices + 1), times
 * (slices + 1) / slices. Adding makes a key young again, also where it was there before.
 */
export class RotatingBloom {
  /** @type {import('./native.js').NativeBloom} */
  #native;
  /** @type {(() => number) | undefined} */
  #now;

  /**
   * @param {RotatingBloomOptions} options
   * @throws {import('../protocol/errors.js').EveryonceError} BAD_OPTION naming `option`; ADDON_MISSING
   */
  constructor(options) {
    if (options instanceof Restored) {
      this.#native = options.native;
      this.#now = /** @type {any} */ (options).now;
      return;
    }
    const given = checkOptions(options, 'options', OPTIONS);
    const capacity = checkInteger(given.capacity, 'capacity', { least: 1, code });
    const errorRate = checkErrorRate(given.errorRate);
    const windowMs = checkMs(given.windowMs, 'windowMs', { code });
    const slices = checkInteger(given.slices ?? 4, 'slices', { least: 1, most: 64, code });
    const maxBytes = given.maxBytes === undefined ? 0 : checkInteger(given.maxBytes, 'maxBytes', { least: 1, code });
    this.#now = checkNow(given.now);
    try {
      this.#native = new (primitives().RotatingBloom)(capacity, errorRate, windowMs, slices, maxBytes);
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {Key} key a string (its UTF-8) or a Uint8Array
   * @throws {import('../protocol/errors.js').EveryonceError} INVALID_ARGUMENT; CLOSED
   */
  add(key) {
    this.addIfAbsent(key);
  }

  /** @param {Key} key @returns {boolean} false: it was surely not added within the window. Errors as of `add` */
  has(key) {
    try {
      return this.#native.has(key, this.#time());
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {Key} key
   * @returns {boolean} true: it was surely not there. It is remembered from now on in any case. Errors as of `add`
   */
  addIfAbsent(key) {
    try {
      return this.#native.add(key, this.#time());
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {Keys} keys an array; or one Uint8Array that holds them all, with `offsets`
   * @param {Uint32Array} [offsets] one more than there are keys: key i is the bytes from offsets[i] up to offsets[i + 1]
   * @returns {Uint8Array} 1 where a key was new, 0 where it was (perhaps) there
   * @throws {import('../protocol/errors.js').EveryonceError} INVALID_ARGUMENT: then none was added; CLOSED
   */
  addBatch(keys, offsets) {
    try {
      return this.#native.addBatch(keys, offsets, this.#time());
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {Keys} keys as of `addBatch`
   * @param {Uint32Array} [offsets]
   * @returns {Uint8Array} 1 where a key is (perhaps) there, 0 where it surely is not
   */
  hasBatch(keys, offsets) {
    try {
      return this.#native.hasBatch(keys, offsets, this.#time());
    } catch (error) {
      throw typed(error);
    }
  }

  /** @returns {Buffer} all of it, with a version and a checksum, and the ages of what it holds */
  serialize() {
    try {
      return this.#native.serialize();
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * Time between `serialize` and `from` does not count: keys are remembered longer rather than shorter.
   *
   * @param {Uint8Array} buffer what `serialize` gave; it is copied
   * @param {{ now?: () => number }} [options]
   * @returns {RotatingBloom}
   * @throws {import('../protocol/errors.js').EveryonceError} BAD_FILTER: foreign, cut, damaged, or of a newer version
   */
  static from(buffer, { now } = {}) {
    checkBytes(buffer);
    const clock = checkNow(now);
    try {
      const native = new (primitives().RotatingBloom)(buffer, clock === undefined ? undefined : readClock(clock));
      return new RotatingBloom(/** @type {any} */ (Object.assign(new Restored(native), { now: clock })));
    } catch (error) {
      throw typed(error);
    }
  }

  /** @returns {RotatingBloomStats} */
  stats() {
    try {
      return this.#native.stats(this.#time());
    } catch (error) {
      throw typed(error);
    }
  }

  /** Gives the memory back; every later call throws CLOSED. */
  close() {
    this.#native.close();
  }

  [DISPOSE]() {
    this.close();
  }

  #time() {
    return this.#now === undefined ? undefined : readClock(this.#now);
  }
}
