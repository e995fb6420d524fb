// The claim machine of semantics a-2 on an embedded store, a store in memory, or a server's: who may have the effect of a
// key, so that it happens once however often the key is delivered. `once`, Dedup, Lock and tokens stand on it.

import { checkInteger, checkMs, checkOptions, checkText, refused } from './check.js';
import { ASYNC_DISPOSE } from './native.js';
import { Operation, openStore } from './store.js';

/** The longest result or reason, in bytes of its text. */
export const MAX_RESULT_BYTES = 1024 * 1024;
const MAX_OWNER_BYTES = 256;
const MAX_ISSUED = 10_000;

/** @typedef {'ACQUIRED' | 'TAKEOVER' | 'HELD' | 'BUSY' | 'DONE' | 'FAILED' | 'EXHAUSTED' | 'MISMATCH' | 'UNKNOWN'} ClaimState */
/** @typedef {{ state: ClaimState, fence?: number, attempt?: number, retryAfterMs?: number, result?: string, reason?: string }} ClaimAnswer */

/**
 * @param {import('./store.js').StoreOption} store
 * @param {{ now?: () => number, kind?: 'c' | 'd' }} [options] `now`: the store's clock, for tests, in memory only; `kind`:
 *   'd' are Dedup's keys, apart from all others
 * @returns {Claims}
 * @throws {EveryonceError} see openStore
 */
export function openClaims(store, { now, kind = 'c' } = {}) {
  return new Claims(openStore(store, { now }), kind);
}

/**
 * Each act is atomic and durable before its promise resolves. Any may be repeated when its answer was lost (OVERLOADED:
 * nothing was done; UNAVAILABLE: the same again tells). O(log n) in the keys stored; about 100 bytes a key beside its texts.
 */
export class Claims {
  #store;
  #kind;

  /**
   * @param {import('./store.js').Store} store closed with this
   * @param {'c' | 'd'} kind
   */
  constructor(store, kind) {
    this.#store = store;
    this.#kind = kind;
  }

  /**
   * @param {object} request
   * @param {string} request.key 1 to 1024 bytes
   * @param {string} request.owner unique per attempt, not per process
   * @param {number} request.leaseMs until another may take over
   * @param {number} request.keepMs for which an unfinished claim outlives its lease, so that attempts stay counted
   * @param {string} [request.fingerprint] of what is done: another one under the same key is a MISMATCH
   * @param {number} [request.maxAttempts] default: no limit
   * @param {boolean} [request.requireIssued] UNKNOWN where the key was not issued
   * @returns {Promise<ClaimAnswer>} `fence` is higher with every attempt
   */
  async claim(request) {
    const { fingerprint = '', maxAttempts = 0, requireIssued = false } = checkOptions(request, 'request');
    const [state, fence, attempt, retryAfterMs, text] = await this.#store.run(
      Operation.CLAIM,
      this.#key(request.key),
      checkText(request.owner, 'owner', { most: MAX_OWNER_BYTES }),
      checkMs(request.leaseMs, 'leaseMs'),
      checkMs(request.keepMs, 'keepMs', { least: 0 }),
      checkText(fingerprint, 'fingerprint', { empty: true }),
      checkInteger(maxAttempts, 'maxAttempts', { most: 0xffffffff }),
      requireIssued === true,
    );
    /** @type {ClaimAnswer} */
    const answer = { state };
    if (fence !== 0) answer.fence = fence;
    if (attempt !== 0) answer.attempt = attempt;
    if (state === 'BUSY') answer.retryAfterMs = retryAfterMs;
    if (state === 'DONE' && text !== '') answer.result = text;
    if ((state === 'FAILED' || state === 'EXHAUSTED') && text !== '') answer.reason = text;
    return answer;
  }

  /**
   * @param {{ key: string, owner: string, fence: number, leaseMs: number }} request
   * @returns {Promise<{ state: 'RENEWED' | 'FENCED' | 'GONE' }>}
   */
  async renew(request) {
    const held = this.#held(request);
    const [state] = await this.#store.run(Operation.RENEW, ...held, checkMs(request.leaseMs, 'leaseMs'));
    return { state };
  }

  /**
   * @param {{ key: string, owner: string, fence: number, result?: string, keepMs: number }} request `result`: JSON text, at
   *   most 1 MiB; none: there is no result
   * @returns {Promise<{ state: 'COMMITTED' | 'ALREADY' | 'FENCED' | 'GONE', fence?: number, result?: string }>} ALREADY and
   *   FENCED with the result that counts, where there is one
   */
  async commit(request) {
    const held = this.#held(request);
    const result = checkText(request.result ?? '', 'result', { most: MAX_RESULT_BYTES, empty: true });
    const keepMs = checkMs(request.keepMs, 'keepMs');
    const [state, fence, , , text] = await this.#store.run(Operation.COMMIT, ...held, result, keepMs);
    /** @type {{ state: 'COMMITTED' | 'ALREADY' | 'FENCED' | 'GONE', fence?: number, result?: string }} */
    const answer = { state };
    if (fence !== 0) answer.fence = fence;
    if (text !== '') answer.result = text;
    return answer;
  }

  /**
   * @param {{ key: string, owner: string, fence: number, mode: 'retry' | 'fail', reason?: string, keepMs?: number }} request
   *   `fail`: later claims are told FAILED with the reason, for keepMs (default: 7 days)
   * @returns {Promise<{ state: 'RELEASED' | 'FENCED' | 'GONE' }>}
   */
  async release(request) {
    const held = this.#held(request);
    const { mode, reason = '', keepMs = 7 * 86_400_000 } = request;
    if (mode !== 'retry' && mode !== 'fail') throw refused('mode', "'retry' or 'fail'");
    const why = checkText(reason, 'reason', { most: MAX_RESULT_BYTES, empty: true });
    const [state] = await this.#store.run(Operation.RELEASE, ...held, mode === 'fail', why, checkMs(keepMs, 'keepMs'));
    return { state };
  }

  /**
   * Makes keys known, for `requireIssued`. A key that is known already stays as it is.
   *
   * @param {{ keys: string[], ttlMs: number, owner?: string }} request at most 10,000 keys; `owner`: whom they are for
   * @returns {Promise<{ issued: number }>}
   */
  async issue(request) {
    const { keys, ttlMs, owner = '' } = checkOptions(request, 'request');
    if (!Array.isArray(keys) || keys.length > MAX_ISSUED)
      throw refused('keys', `an array of at most ${MAX_ISSUED} keys`);
    const named = keys.map((key) => this.#key(key));
    const whose = checkText(owner, 'owner', { most: MAX_OWNER_BYTES, empty: true });
    return { issued: await this.#store.run(Operation.ISSUE, named, whose, checkMs(ttlMs, 'ttlMs')) };
  }

  stats() {
    return this.#store.stats();
  }

  /** Answers what is under way, then lets the store go. */
  async close() {
    await this.#store.close();
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }

  /** @param {unknown} key */
  #key(key) {
    return this.#kind + checkText(key, 'key');
  }

  /** @param {{ key: string, owner: string, fence: number }} request @returns {[string, string, number]} */
  #held(request) {
    const { key, owner, fence } = checkOptions(request, 'request');
    return [this.#key(key), checkText(owner, 'owner', { most: MAX_OWNER_BYTES }), checkInteger(fence, 'fence')];
  }
}
