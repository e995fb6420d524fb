// The operations of a store, by number: each store does all of them, so that a primitive does not know on which it is.

/** What a store can be asked. The same numbers stand in src/addon/store_operations.h; a test compares them. */
export const Operation = Object.freeze({
  /** (key, owner, leaseMs, keepMs, fingerprint, maxAttempts, requireIssued) → [state, fence, attempt, retryAfterMs, text] */
  CLAIM: 0,
  /** (key, owner, fence, leaseMs) → as CLAIM */
  RENEW: 1,
  /** (key, owner, fence, result, keepMs) → as CLAIM */
  COMMIT: 2,
  /** (key, owner, fence, final, reason, keepMs) → as CLAIM */
  RELEASE: 3,
  /** (keys, owner, ttlMs) → number issued */
  ISSUE: 4,
  /** (keys, windowMs) → text of 1 (new) and 0 (duplicate) */
  CHECK: 5,
  /** (counter, count, max) → first as a bigint */
  TAKE: 6,
  /** (counter) → last as a bigint */
  LAST: 7,
  /** (owner, leaseMs, reserveMs) → [worker, fence, usedUntilMs, reservedUntilMs] */
  LEASE_WORKER: 8,
  /** (worker, owner, fence, leaseMs, reservedUntilMs) → held */
  RENEW_WORKER: 9,
  /** (worker, owner, fence, usedUntilMs) → held */
  RELEASE_WORKER: 10,
  /** (receiver, sender, msgId, body) → added */
  APPEND: 11,
  /** (receiver) → [, , sender, count, …] */
  COUNTS: 12,
  /** (receiver, sender, limit, newestFirst, next, keepMs) → [next, , msgId, sender, body, …] */
  PULL: 13,
  /** (receiver, msgIds, keepMs) → number acked */
  ACK: 14,
});
