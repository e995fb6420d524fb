// The token of the first article made safe: issued, claimed under a lease, committed with its result, released when the work
// failed. A worker that dies loses the lease, and the next delivery claims the token with a higher fence.
import { tokens } from '../../../lib/idempotency/index.js'; // in your project: 'everyonce/idempotency'

/** @param {{ redisUrl: string, leaseMs: number }} places */
export function rightTokens({ redisUrl, leaseMs }) {
  const t = tokens({ store: { redis: redisUrl } });
  return {
    /** @param {string} owner @param {number} count @returns {Promise<string[]>} they expire by themselves */
    issue: (owner, count) => t.issue(owner, count),

    /**
     * @param {string} id
     * @param {(fence: number) => Promise<unknown>} effect compares the fence where it writes, or hits a unique key there: a
     *   worker that slept through its lease may still be at it
     * @returns {Promise<unknown>} what came of it, for every repeat the same
     * @throws BUSY (`retryAfterMs`): another one works on it, so the message has to come again
     */
    async handle(id, effect) {
      const claim = await t.claim(id, leaseMs);
      if (claim.state === 'DONE') return claim.result;
      if (claim.state !== 'ACQUIRED' && claim.state !== 'TAKEOVER') {
        throw Object.assign(new Error(claim.state), { code: claim.state, retryAfterMs: claim.retryAfterMs });
      }
      try {
        return await t.commit(claim, await effect(Number(claim.fence)));
      } catch (error) {
        // Free at once. Where this can't be said any more, the lease runs out by itself.
        await t.release(claim).catch(() => {});
        throw error;
      }
    },

    close: () => t.close(),
  };
}
