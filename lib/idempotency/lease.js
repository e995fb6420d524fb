/** Work under a lease that is renewed while it runs, and a signal for when it is lost. */
import { EveryonceError } from '../protocol/errors.js';

/**
 * @typedef {object} Lease
 * @property {import('./claims/interface.js').Claims} claims
 * @property {string} key
 * @property {string} owner
 * @property {number} fence
 * @property {number} leaseMs
 * @property {number} sinceMs when the claim was asked for, on performance.now()'s clock: the lease holds at least from then
 * @property {number} [maxRunMs] after which the work is no longer waited for, and the lease no longer renewed
 */

/**
 * Runs the work and renews the lease at a third of its length. The wait ends early where the lease is lost (the store says so, or it
 * could not be renewed before it ran out) or the work takes too long; the work's `signal` is aborted then, and whether
 * it heeds that is its own affair: only a fence that the resource checks keeps a late one from writing.
 *
 * @template Result
 * @param {Lease} lease
 * @param {(signal: AbortSignal) => Result | Promise<Result>} work
 * @returns {Promise<{ value: Result } | { lost: EveryonceError }>} rejects with what the work throws
 */
export async function underLease(lease, work) {
  const { claims, key, owner, fence, leaseMs, maxRunMs } = lease;
  const controller = new AbortController();
  const { signal } = controller;
  const renewMs = Math.max(1, Math.floor(leaseMs / 3));
  let deadlineMs = lease.sinceMs + leaseMs;
  /** When the renewal that is under way was asked for. @type {number | undefined} */
  let askedMs;
  /** @type {NodeJS.Timeout | undefined} */
  let renewal;
  /** @type {NodeJS.Timeout | undefined} */
  let expiry;
  /** @type {NodeJS.Timeout | undefined} */
  let limit;
  let over = false;

  const stop = () => {
    over = true;
    for (const timer of [renewal, expiry, limit]) clearTimeout(timer);
  };
  /** @type {Promise<{ lost: EveryonceError }>} */
  const lost = new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve({ lost: signal.reason }), { once: true });
  });
  /** @param {string} code @param {string} message */
  const lose = (code, message) => {
    if (over) return;
    stop();
    controller.abort(new EveryonceError(code, message, { key, fence }));
  };

  const renew = async () => {
    askedMs = performance.now();
    const answer = await claims.renew({ key, owner, fence, leaseMs }).catch(() => undefined);
    if (over) return;
    if (answer?.state === 'FENCED') return lose('FENCED', 'The lease ran out, and another call has taken over.');
    if (answer?.state === 'GONE') return lose('GONE', 'The record of this call is gone from the store.');
    if (answer) {
      deadlineMs = askedMs + leaseMs;
      armExpiry(deadlineMs);
    }
    askedMs = undefined;
    // After a failure sooner again: there may be one more chance before the lease runs out.
    renewal = setTimeout(renew, answer ? renewMs : Math.ceil(renewMs / 4));
  };
  const expire = () => {
    // A process that was stopped for longer than its lease finds both timers due; the renewal just asked for may still succeed.
    const untilMs = askedMs === undefined ? deadlineMs : Math.max(deadlineMs, askedMs + renewMs);
    if (performance.now() < untilMs) return armExpiry(untilMs);
    lose('FENCED', 'The lease could not be renewed in time; another call may have taken over.');
  };
  const armExpiry = (/** @type {number} */ atMs) => {
    clearTimeout(expiry);
    expiry = setTimeout(expire, Math.max(1, Math.ceil(atMs - performance.now())));
  };

  renewal = setTimeout(renew, renewMs);
  armExpiry(deadlineMs);
  if (maxRunMs !== undefined) {
    limit = setTimeout(() => lose('TIMEOUT', `The handler did not return within ${maxRunMs} ms.`), maxRunMs);
  }
  const working = (async () => work(signal))().then((value) => ({ value }));
  try {
    return await Promise.race([working, lost]);
  } finally {
    stop();
    // Where nobody waits for the work any more, its error is nobody's.
    working.catch(() => {});
  }
}
