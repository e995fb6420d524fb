import { randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { checkMs, checkOptions, checkText, refused } from './check.js';
import { ASYNC_DISPOSE } from './native.js';
import { Claims } from './claims.js';
import { Operation, openStore } from './store.js';

/** The most keys of one checkBatch. */
const MAX_BATCH = 10_000;
const MAX_KEY_BYTES = 1000;

/** @typedef {{ state: import('./claims.js').ClaimState, key: string, owner: string, fence?: number, attempt?: number,
 *   retryAfterMs?: number, result?: unknown, reason?: string }} DedupClaim */

/**
 * Tells what is new from what was there before, within a window, over all that share the store and through crashes.
 *
 * `check` remembers at once: right where the effect is in the same step, or may be lost with the process. Where it may not,
 * claim → effect → commit: a crash in between frees the key when the lease has run out. Use one of the two for a key.
 *
 * O(log n) in the keys of the window, about 80 bytes each; keys checked at once share one synced write.
 */
export class Dedup {
  #store;
  #claims;
  #windowMs;
  #prefix;
  #counts = { checked: 0, fresh: 0, duplicates: 0 };

  /**
   * @param {object} options
   * @param {import('./store.js').StoreOption} options.store
   * @param {number} options.windowMs how long a key is remembered, from when it was first checked or committed; longer than
   *   a repeat can come
   * @param {string} [options.name] keeps keys apart from those of another Dedup on the same store; at most 20 bytes
   * @param {() => number} [options.now] the store's clock, for tests; in memory only
   * @throws {EveryonceError} see openStore
   */
  constructor(options) {
    const { store, windowMs, name = '', now } = checkOptions(options, 'options', ['store', 'windowMs', 'name', 'now']);
    this.#windowMs = checkMs(windowMs, 'windowMs', { code: 'BAD_OPTION' });
    checkText(name, 'name', { most: 20, empty: true, code: 'BAD_OPTION' });
    if (name.includes('\0')) throw refused('name', 'without a zero character', 'BAD_OPTION');
    this.#prefix = `${name}\0`;
    this.#store = openStore(store, { now });
    this.#claims = new Claims(this.#store, 'd');
  }

  /**
   * @param {string} key 1 to 1000 bytes
   * @returns {Promise<'new' | 'duplicate'>} when it is durable. After OVERLOADED nothing was done; after UNAVAILABLE it may
   *   be remembered: the same again may say `duplicate` of what nobody has done
   */
  async check(key) {
    const [fresh] = await this.#check([key]);
    return fresh ? 'new' : 'duplicate';
  }

  /**
   * @param {string[]} keys at most 10,000; of equal ones the first is new
   * @returns {Promise<Uint8Array>} 1: new, 0: duplicate; all or none are remembered
   */
  async checkBatch(keys) {
    if (!Array.isArray(keys) || keys.length > MAX_BATCH) throw refused('keys', `an array of at most ${MAX_BATCH} keys`);
    return keys.length === 0 ? new Uint8Array() : this.#check(keys);
  }

  /** @param {string[]} keys */
  async #check(keys) {
    const named = keys.map((key) => this.#named(key));
    const text = await this.#store.run(Operation.CHECK, named, this.#windowMs);
    const fresh = Uint8Array.from(text, Number);
    const count = fresh.reduce((sum, one) => sum + one, 0);
    this.#counts.checked += keys.length;
    this.#counts.fresh += count;
    this.#counts.duplicates += keys.length - count;
    return fresh;
  }

  /**
   * Takes the key for so long; ACQUIRED or TAKEOVER: go on, then commit. DONE brings the committed `result`; BUSY
   * `retryAfterMs`.
   *
   * @param {string} key
   * @param {number} leaseMs longer than the effect takes
   * @returns {Promise<DedupClaim>} to be given to commit or release
   */
  async claim(key, leaseMs) {
    const owner = randomUUID();
    const answer = await this.#claims.claim({ key: this.#named(key), owner, leaseMs, keepMs: this.#windowMs });
    const { result, ...rest } = answer;
    // The first answer was lost on its way, and the owner is nobody else.
    if (rest.state === 'HELD') rest.state = rest.attempt === 1 ? 'ACQUIRED' : 'TAKEOVER';
    return { ...rest, key, owner, ...(result === undefined ? {} : { result: JSON.parse(result) }) };
  }

  /**
   * @param {DedupClaim} claim
   * @param {unknown} [result] what JSON keeps, at most 1 MiB
   * @returns {Promise<{ state: 'COMMITTED' | 'ALREADY' | 'FENCED' | 'GONE', fence?: number, result?: unknown }>}
   */
  async commit(claim, result) {
    const held = this.#held(claim);
    let text;
    try {
      text = JSON.stringify(result);
    } catch (cause) {
      throw new EveryonceError('INVALID_ARGUMENT', 'result must be something that JSON keeps', {
        option: 'result',
        cause,
      });
    }
    const answer = await this.#claims.commit({ ...held, result: text, keepMs: this.#windowMs });
    return answer.result === undefined ? answer : { ...answer, result: JSON.parse(answer.result) };
  }

  /**
   * Frees the key at once for the next claim.
   *
   * @param {DedupClaim} claim
   * @returns {Promise<{ state: 'RELEASED' | 'FENCED' | 'GONE' }>}
   */
  async release(claim) {
    return this.#claims.release({ ...this.#held(claim), mode: 'retry', keepMs: this.#windowMs });
  }

  /**
   * What this object was asked, and its store's counters. `filter`: of all Dedup on the store; `lookups` keys asked for,
   * `saved` of them not looked up since they are surely new, `falsePositives` looked up in vain, `warm` once it was rebuilt
   * from what is stored (before, everything is looked up).
   */
  stats() {
    const store = this.#store.stats();
    const { filterLookups: lookups, filterSaved: saved, filterFalsePositives: falsePositives } = store;
    const filter = { lookups, saved, falsePositives, bytes: store.filterBytes, warm: store.filterWarm };
    return { ...this.#counts, filter, store };
  }

  /** Answers what is under way, then lets the store go. */
  async close() {
    await this.#store.close();
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }

  /** @param {unknown} key */
  #named(key) {
    return this.#prefix + checkText(key, 'key', { most: MAX_KEY_BYTES });
  }

  /** @param {DedupClaim} claim */
  #held(claim) {
    const given = claim;
    if (typeof given !== 'object' || given === null || typeof given.owner !== 'string' || given.fence === undefined) {
      throw refused('claim', 'what claim() gave');
    }
    return { key: this.#named(given.key), owner: given.owner, fence: given.fence };
  }
}
