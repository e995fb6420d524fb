import { checkInteger, checkOptions, refused } from './check.js';
import { DISPOSE, primitives, typed } from './native.js';

/** @typedef {import('./native.js').Key} Key */
/** @typedef {import('./native.js').Keys} Keys */

/** What `from` hands to a constructor. */
export class Restored {
  /** @param {import('./native.js').NativeBloom} native */
  constructor(native) {
    this.native = native;
  }
}

/**
 * @param {unknown} errorRate
 * @returns {number}
 */
export function checkErrorRate(errorRate) {
  const rate = Number(errorRate);
  if (typeof errorRate === 'number' && rate >= 1e-7 && rate <= 0.5) return rate;
  throw refused('errorRate', 'a number from 1e-7 to 0.5', 'BAD_OPTION');
}

/**
 * @param {unknown} bytes
 * @returns {Uint8Array}
 */
export function checkBytes(bytes) {
  if (bytes instanceof Uint8Array) return bytes;
  throw refused('buffer', 'a Buffer or Uint8Array');
}

/**
 * @typedef {object} BloomStats
 * @property {number} items adds that were new to the filter: at most the number of different keys
 * @property {number} capacity
 * @property {number} errorRate as it was asked for, kept up to `capacity` items
 * @property {number} estimatedErrorRate as the filter is filled now; past its capacity it rises, to 1 in the end
 * @property {number} bytes of memory
 */

/**
 * Which keys were seen, in a few bits each: `has` says false for what was surely never added, and true for all that was,
 * and, once in 1 / `errorRate` questions at capacity, for what was not. So a *true* is to be looked up where it matters; a
 * *false* needs no look-up.
 *
 * A split-block filter (Putze, Sanders, Singler; the blocks of Apache Parquet): one cache line a key, O(1). Bits a key: 6.0
 * at 0.1, 10.5 at 0.01, 16.9 at 0.001, 26.4 at 0.0001; sized by the exact formula, all at once, up to 1 GiB. Keys are hashed by XXH3
 * under a random seed of the filter's own, which `serialize` keeps. Keys are never copied, and nothing of a Buffer is used
 * after the call. Past `capacity` nothing fails and no key is denied, only `estimatedErrorRate` rises: twice the keys at
 * 0.01 give some 0.15.
 */
export class BloomFilter {
  /** @type {import('./native.js').NativeBloom} */
  #native;

  /**
   * @param {{ capacity: number, errorRate: number }} options `capacity`: different keys; `errorRate`: 1e-7 to 0.5
   * @throws {import('../protocol/errors.js').EveryonceError} BAD_OPTION naming `option`; ADDON_MISSING
   */
  constructor(options) {
    if (options instanceof Restored) {
      this.#native = options.native;
      return;
    }
    const given = checkOptions(options, 'options', ['capacity', 'errorRate']);
    const capacity = checkInteger(given.capacity, 'capacity', { least: 1, code: 'BAD_OPTION' });
    const errorRate = checkErrorRate(given.errorRate);
    try {
      this.#native = new (primitives().BloomFilter)(capacity, errorRate);
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

  /** @param {Key} key @returns {boolean} false: it was surely never added. Errors as of `add` */
  has(key) {
    try {
      return this.#native.has(key);
    } catch (error) {
      throw typed(error);
    }
  }

  /** @param {Key} key @returns {boolean} true: it was surely not there, and is now. Errors as of `add` */
  addIfAbsent(key) {
    try {
      return this.#native.add(key);
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * `addIfAbsent` of many, in order: a key that comes twice is new once.
   *
   * @param {Keys} keys an array; or one Uint8Array that holds them all, with `offsets`
   * @param {Uint32Array} [offsets] one more than there are keys: key i is the bytes from offsets[i] up to offsets[i + 1]
   * @returns {Uint8Array} 1 where a key was new, 0 where it was (perhaps) there
   * @throws {import('../protocol/errors.js').EveryonceError} INVALID_ARGUMENT: then none was added; CLOSED
   */
  addBatch(keys, offsets) {
    try {
      return this.#native.addBatch(keys, offsets);
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
      return this.#native.hasBatch(keys, offsets);
    } catch (error) {
      throw typed(error);
    }
  }

  /** @returns {Buffer} all of it, with a version and a checksum; 64 bytes more than `stats().bytes` */
  serialize() {
    try {
      return this.#native.serialize();
    } catch (error) {
      throw typed(error);
    }
  }

  /**
   * @param {Uint8Array} buffer what `serialize` gave; it is copied
   * @returns {BloomFilter}
   * @throws {import('../protocol/errors.js').EveryonceError} BAD_FILTER: foreign, cut, damaged, or of a newer version
   */
  static from(buffer) {
    checkBytes(buffer);
    try {
      return new BloomFilter(/** @type {any} */ (new Restored(new (primitives().BloomFilter)(buffer))));
    } catch (error) {
      throw typed(error);
    }
  }

  /** @returns {BloomStats} looks at a sample of at most 65,536 blocks */
  stats() {
    try {
      return this.#native.stats();
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
}
