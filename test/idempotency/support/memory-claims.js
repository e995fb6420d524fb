/** The claim machine in a Map, for tests that need no other process: no fingerprints, no expiry but the lease's. */

/** @typedef {{ state: 'I' | 'C' | 'D' | 'F', owner: string, fence: number, attempt: number, untilMs: number, result?: string, reason?: string }} Record */

export class MemoryClaims {
  /** @type {Map<string, Record>} */
  records = new Map();
  #fence = 0;

  /** @param {import('../../../lib/idempotency/claims/interface.js').ClaimRequest} request */
  async claim({ key, owner, leaseMs, maxAttempts = Infinity }) {
    const now = Date.now();
    const known = this.records.get(key);
    if (known?.state === 'D') return { state: /** @type {const} */ ('DONE'), result: known.result };
    if (known?.state === 'F') return { state: /** @type {const} */ ('FAILED'), reason: known.reason };
    if (known?.state === 'C' && known.untilMs > now) {
      return { state: /** @type {const} */ ('BUSY'), retryAfterMs: known.untilMs - now };
    }
    const attempt = (known?.attempt ?? 0) + 1;
    if (attempt > maxAttempts) return { state: /** @type {const} */ ('EXHAUSTED') };
    const fence = ++this.#fence;
    this.records.set(key, { state: 'C', owner, fence, attempt, untilMs: now + leaseMs });
    return {
      state: known?.state === 'C' ? /** @type {const} */ ('TAKEOVER') : /** @type {const} */ ('ACQUIRED'),
      fence,
      attempt,
    };
  }

  /** @param {{ key: string, owner: string, fence: number, leaseMs: number }} held */
  async renew({ key, fence, leaseMs }) {
    const known = this.#mine(key, fence);
    if (!known) return { state: /** @type {const} */ ('FENCED') };
    known.untilMs = Date.now() + leaseMs;
    return { state: /** @type {const} */ ('RENEWED') };
  }

  /** @param {{ key: string, fence: number, result?: string }} held */
  async commit({ key, fence, result }) {
    const known = this.#mine(key, fence);
    if (!known) return { state: /** @type {const} */ ('FENCED') };
    Object.assign(known, { state: 'D', result });
    return { state: /** @type {const} */ ('COMMITTED') };
  }

  /** @param {{ key: string, fence: number, mode: 'retry' | 'fail', reason?: string }} held */
  async release({ key, fence, mode, reason }) {
    const known = this.#mine(key, fence);
    if (!known) return { state: /** @type {const} */ ('FENCED') };
    Object.assign(known, { state: mode === 'fail' ? 'F' : 'I', reason });
    return { state: /** @type {const} */ ('RELEASED') };
  }

  async issue() {
    throw new Error('not here');
  }

  async close() {}

  /** @param {string} key @param {number} fence */
  #mine(key, fence) {
    const known = this.records.get(key);
    return known?.state === 'C' && known.fence === fence ? known : undefined;
  }
}
