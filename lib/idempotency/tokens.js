/** Seed 000's ids that are fetched first and used once; here with a claim in between, so that a handler that fails loses nothing. */
import { randomBytes, randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { asking } from './claims/asking.js';
import { openClaimStore } from './claims/open.js';
import { MAX_TIMER_MS, badOption, checkKey, checkObject, checkWhole, decodeResult, encodeResult } from './values.js';

const MAX_ISSUED = 1000;

/**
 * @typedef {object} TokenClaim
 * @property {string} id
 * @property {import('./claims/interface.js').ClaimState} state ACQUIRED or TAKEOVER: work, then commit or release. DONE: `result` is what
 *   came of it. BUSY: ask again after `retryAfterMs`. UNKNOWN: not issued, or expired. FAILED: for good, `reason` says why
 * @property {string} owner of this claim alone
 * @property {number} [fence]
 * @property {number} [attempt]
 * @property {number} [retryAfterMs]
 * @property {any} [result]
 * @property {string} [reason]
 */

/**
 * @param {{ store: import('./claims/open.js').ClaimStore, ttlMs?: number, keepMs?: number }} options `ttlMs` for which an unused token
 *   lives, default 1 hour; `keepMs` for which the result of a used one is kept, default 7 days
 */
export function tokens(options) {
  const { ttlMs = 3_600_000, keepMs = 7 * 86_400_000 } = checkObject(options, 'options');
  checkWhole(ttlMs, 'ttlMs', { most: 10 * 366 * 86_400_000 });
  checkWhole(keepMs, 'keepMs', { most: 10 * 366 * 86_400_000 });
  const { claims, close } = openClaimStore(options.store);
  /** @param {string} id */
  const recordOf = (id) => `token:${checkKey(id, 'id')}`;

  return {
    /**
     * @param {string} owner for whom they are; kept with them
     * @param {number} [n] 1 to 1000
     * @returns {Promise<string[]>} ids of 22 characters, also valid as message ids
     */
    async issue(owner, n = 1) {
      checkKey(owner, 'owner');
      checkWhole(n, 'n', { most: MAX_ISSUED });
      const ids = Array.from({ length: n }, () => randomBytes(16).toString('base64url'));
      await asking(() => claims.issue({ keys: ids.map(recordOf), ttlMs, owner }));
      return ids;
    },

    /**
     * @param {string} id
     * @param {number} [leaseMs] after which another one may claim it; default 30 000
     * @returns {Promise<TokenClaim>}
     */
    async claim(id, leaseMs = 30_000) {
      checkWhole(leaseMs, 'leaseMs', { least: 10, most: MAX_TIMER_MS });
      const owner = randomUUID();
      const key = recordOf(id);
      const answer = await asking(() => claims.claim({ key, owner, leaseMs, keepMs, requireIssued: true }));
      // An answer was lost on its way, and the owner is nobody else.
      if (answer.state === 'HELD') answer.state = answer.attempt === 1 ? 'ACQUIRED' : 'TAKEOVER';
      return { id, owner, ...answer, ...('result' in answer && { result: decodeResult(answer.result) }) };
    },

    /**
     * The token is used up.
     * @param {TokenClaim} claim
     * @param {unknown} [result] for who claims it again
     * @returns {Promise<any>} the result as it is kept; throws FENCED, GONE, BAD_RESULT, STORE_FAILED
     */
    async commit(claim, result) {
      const held = heldBy(claim);
      const text = encodeResult(result);
      const answer = await asking(() => claims.commit({ ...held, result: text, keepMs }));
      if (answer.state === 'COMMITTED') return decodeResult(text);
      if (answer.state === 'ALREADY') return decodeResult(answer.result);
      throw new EveryonceError(answer.state, undefined, { id: claim.id });
    },

    /**
     * The token is free again; with a reason it has failed for good.
     * @param {TokenClaim} claim
     * @param {string} [reason]
     * @returns {Promise<void>} throws FENCED, GONE, STORE_FAILED
     */
    async release(claim, reason) {
      const held = heldBy(claim);
      const mode = reason === undefined ? 'retry' : 'fail';
      const { state } = await asking(() => claims.release({ ...held, mode, reason, keepMs: reason ? keepMs : ttlMs }));
      if (state !== 'RELEASED') throw new EveryonceError(state, undefined, { id: claim.id });
    },

    close,
  };

  /** @param {TokenClaim} claim */
  function heldBy(claim) {
    const { id, owner, fence } = checkObject(claim, 'claim');
    if (typeof owner !== 'string' || typeof fence !== 'number') throw badOption('claim', 'what claim() returned');
    return { key: recordOf(id), owner, fence };
  }
}
