/**
 * The claim machine: one record per key that says who works on it, under a lease, and what came of it. Every store does each of these
 * acts atomically and by its own clock; test/lib/primitives/claim-conformance.js is the law in code.
 *
 * | state | claim, when | becomes | answer |
 * | --- | --- | --- | --- |
 * | none | `requireIssued` | none | UNKNOWN |
 * | none, issued | attempts left | claimed, a higher fence | ACQUIRED |
 * | any with a fingerprint | another fingerprint | same | MISMATCH |
 * | claimed | lease holds, same owner | same | HELD: the answer was lost |
 * | claimed | lease holds, another owner | same | BUSY |
 * | claimed | lease ran out, attempts left | claimed, a higher fence | TAKEOVER: the one before may have done half |
 * | claimed, issued | no attempt left | failed | EXHAUSTED |
 * | done | | same | DONE with the result |
 * | failed | | same | FAILED with the reason, `exhausted` after EXHAUSTED |
 *
 * `owner` is unique per attempt, not per process. The fence of a key rises with every attempt and outlives the record.
 */

/** @typedef {'ACQUIRED' | 'TAKEOVER' | 'HELD' | 'BUSY' | 'DONE' | 'FAILED' | 'EXHAUSTED' | 'MISMATCH' | 'UNKNOWN'} ClaimState */

/**
 * @typedef {object} ClaimRequest
 * @property {string} key
 * @property {string} owner
 * @property {number} leaseMs
 * @property {number} keepMs for which an unfinished record outlives its lease, so that attempts stay counted
 * @property {string} [fingerprint]
 * @property {number} [maxAttempts] default: no limit
 * @property {boolean} [requireIssued]
 */

/**
 * @typedef {object} ClaimAnswer
 * @property {ClaimState} state
 * @property {number} [fence]
 * @property {number} [attempt] from 1
 * @property {number} [retryAfterMs] BUSY: until the lease runs out
 * @property {string} [result] DONE: JSON text, undefined for no result
 * @property {string} [reason] FAILED
 */

/**
 * @typedef {object} Claims
 * @property {(request: ClaimRequest) => Promise<ClaimAnswer>} claim
 * @property {(request: { key: string, owner: string, fence: number, leaseMs: number }) =>
 *   Promise<{ state: 'RENEWED' | 'FENCED' | 'GONE' }>} renew
 * @property {(request: { key: string, owner: string, fence: number, result?: string, keepMs: number }) =>
 *   Promise<{ state: 'COMMITTED' | 'ALREADY' | 'FENCED' | 'GONE', fence?: number, result?: string }>} commit
 * @property {(request: { key: string, owner: string, fence: number, mode: 'retry' | 'fail', reason?: string, keepMs?: number }) =>
 *   Promise<{ state: 'RELEASED' | 'FENCED' | 'GONE' }>} release
 * @property {(request: { keys: string[], ttlMs: number, owner?: string }) => Promise<unknown>} issue
 * @property {() => Promise<void>} close
 */
export {};
