/** Seed 003's distributed lock, with a lease and a fencing token. */
import { randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { asking } from './claims/asking.js';
import { openClaimStore } from './claims/open.js';
import { underLease } from './lease.js';
import { pause } from './once.js';
import { MAX_TIMER_MS, checkFunction, checkKey, checkObject, checkWhole } from './values.js';

const POLL_MS = { first: 20, most: 500 };
/** A name that nobody locks for as long is forgotten; its fence still rises. */
const KEEP_MS = 86_400_000;

/**
 * A lock by name over all processes of a store.
 *
 * A lock alone promises little: its holder may be stopped for longer than the lease and write when it wakes, while another one holds the
 * lock. Hand `fence` to what is written, and let that refuse a lower one (`… SET fence = $f WHERE id = $1 AND fence <= $f`). A lock says
 * nothing about repeats either: the next holder does the work again. For that there are once and sqlOnce.
 */
export class Lock {
  /** @type {ReturnType<typeof openClaimStore>} */
  #store;
  #closing = new AbortController();

  /**
   * @param {{ store: import('./claims/open.js').ClaimStore, name: string, leaseMs?: number, waitMs?: number }} options
   *   `name` of 1 to 512 bytes; `leaseMs` after which a holder that has died is passed over, default 30 000; `waitMs` for
   *   the lock, default 30 000
   */
  constructor(options) {
    const { store, name, leaseMs = 30_000, waitMs = 30_000 } = checkObject(options, 'options');
    this.name = checkKey(name, 'name');
    this.leaseMs = checkWhole(leaseMs, 'leaseMs', { least: 10, most: MAX_TIMER_MS });
    this.waitMs = checkWhole(waitMs, 'waitMs', { least: 0, most: MAX_TIMER_MS });
    this.#store = openClaimStore(store);
  }

  /**
   * Runs the work while the lock is held, and renews the lease meanwhile.
   *
   * @template Result
   * @param {(held: { fence: number, signal: AbortSignal }) => Result | Promise<Result>} work `signal` is aborted when the lease is lost
   * @returns {Promise<Result>} throws what the work throws; BUSY (with `retryAfterMs`) when it is not had within waitMs; FENCED or
   *   GONE when it was lost before the work ended; STORE_FAILED, CLOSED
   */
  async with(work) {
    checkFunction(work, 'work');
    const { claims } = this.#store;
    const { leaseMs } = this;
    const key = `lock:${this.name}`;
    const { owner, fence, sinceMs } = await this.#acquire(key);
    const release = () =>
      asking(() => claims.release({ key, owner, fence, mode: 'retry', keepMs: KEEP_MS })).catch(() => {});
    let outcome;
    try {
      outcome = await underLease({ claims, key, owner, fence, leaseMs, sinceMs }, (signal) => work({ fence, signal }));
    } catch (error) {
      await release();
      throw error;
    }
    if ('lost' in outcome) throw outcome.lost;
    await release();
    return outcome.value;
  }

  /** Ends what waits for the lock with CLOSED; who holds it goes on. */
  async close() {
    this.#closing.abort();
    await this.#store.close();
  }

  /** @param {string} key */
  async #acquire(key) {
    const untilMs = performance.now() + this.waitMs;
    for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.most)) {
      if (this.#closing.signal.aborted) throw new EveryonceError('CLOSED');
      const owner = randomUUID();
      const sinceMs = performance.now();
      const answer = await asking(() =>
        this.#store.claims.claim({ key, owner, leaseMs: this.leaseMs, keepMs: KEEP_MS }),
      );
      if (answer.state !== 'BUSY') return { owner, fence: Number(answer.fence), sinceMs };
      const retryAfterMs = Math.max(1, answer.retryAfterMs ?? 1);
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw new EveryonceError('BUSY', undefined, { name: this.name, retryAfterMs });
      await pause(Math.min(leftMs, retryAfterMs, pollMs * (0.5 + Math.random())), undefined, this.#closing.signal);
    }
  }
}
