// Who holds which worker number of a Snowflake: a lease in the store, with a fence, and time reserved ahead (semantics b).

import { randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { checkMs, checkOptions } from './check.js';
import { checkNow } from './native.js';
import { Snowflake, monotonicMs, setBounds, whenClosed } from './snowflake.js';
import { Operation, openStore } from './store.js';

/** Time is reserved so far ahead of the ids, and again so often: a restart has to wait for what is left of it at most. */
const RESERVE_MS = 3000;
const RENEW_MS = 1000;
/** Of the lease, so much is not used: a pause between the last look at the clock and the id's way out. */
const MARGIN = 0.2;

/**
 * @typedef {object} LeaseOptions
 * @property {import('./store.js').StoreOption} store in memory: that of the process, since worker numbers are for
 *   processes; it keeps apart the threads of one, and nothing more
 * @property {number} [leaseMs] default 30 000, at least 3000: for so long a dead process keeps its number, and a living one
 *   can do without the store
 * @property {number} [epoch] these as for `new Snowflake`
 * @property {number} [maxBackwardMs]
 * @property {number} [maxAheadMs] default 1000, at most 1500
 * @property {() => number} [now]
 * @property {() => number} [monotonicNow]
 */

const OPTIONS = ['store', 'leaseMs', 'epoch', 'maxBackwardMs', 'maxAheadMs', 'now', 'monotonicNow'];

/**
 * @param {LeaseOptions} options
 * @returns {Promise<Snowflake>}
 */
export async function leaseSnowflake(options) {
  const { store, leaseMs = 30_000, maxAheadMs = 1000, ...rest } = checkOptions(options, 'options', OPTIONS);
  checkMs(leaseMs, 'leaseMs', { least: 3000, code: 'BAD_OPTION' });
  if (!(maxAheadMs <= RESERVE_MS / 2)) {
    throw new EveryonceError('BAD_OPTION', `maxAheadMs must be at most ${RESERVE_MS / 2}`, { option: 'maxAheadMs' });
  }
  checkNow(rest.now);
  checkNow(rest.monotonicNow);
  const connection = openStore(store, { ofProcess: true });
  const lease = new WorkerLease(connection, { leaseMs, now: rest.now, monotonicNow: rest.monotonicNow });
  try {
    const snowflake = await lease.open({ ...rest, maxAheadMs });
    lease.start();
    return snowflake;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** One grant and its renewals. `start` renews by a timer; tests do so by hand. */
export class WorkerLease {
  #owner = randomUUID();
  #store;
  #leaseMs;
  #now;
  #monotonicNow;
  /** @type {Snowflake | undefined} */
  #snowflake;
  #worker = 0;
  #fence = 0;
  #reservedUntilMs = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #isLost = false;
  /** @type {Promise<boolean> | undefined} */
  #renewing;

  /**
   * @param {import('./store.js').Store} store closed with the generator
   * @param {{ leaseMs: number, now?: () => number, monotonicNow?: () => number }} options
   */
  constructor(store, { leaseMs, now = Date.now, monotonicNow = monotonicMs }) {
    this.#store = store;
    this.#leaseMs = leaseMs;
    this.#now = now;
    this.#monotonicNow = monotonicNow;
  }

  /** @param {Record<string, any>} options of the generator */
  async open(options) {
    // From before the question: the store's lease can't have begun earlier.
    const askedMs = this.#monotonicNow();
    const grant = await this.#store.run(Operation.LEASE_WORKER, this.#owner, this.#leaseMs, RESERVE_MS);
    const [worker, fence, usedUntilMs, reservedUntilMs] = grant;
    this.#worker = worker;
    this.#fence = fence;
    this.#reservedUntilMs = reservedUntilMs;
    this.#snowflake = new Snowflake({ ...options, worker, usedUntilMs });
    this.#bound(askedMs);
    whenClosed(this.#snowflake, (lastMs) => this.#close(lastMs));
    return this.#snowflake;
  }

  /** Renews until the generator is closed or the lease is lost. Keeps no process alive. */
  start() {
    this.#timer = setInterval(() => void this.renew().catch(() => {}), RENEW_MS);
    this.#timer.unref();
  }

  /**
   * @returns {Promise<boolean>} false: the number has gone to another, and the generator gives out nothing more
   * @throws {EveryonceError} UNAVAILABLE, OVERLOADED: what was granted stands, the next renewal tries again
   */
  renew() {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renew() {
    if (this.#isLost || !this.#snowflake) return false;
    const askedMs = this.#monotonicNow();
    const wantedMs = Math.max(this.#now(), this.#snowflake.stats().lastMs) + RESERVE_MS;
    const args = [this.#worker, this.#owner, this.#fence, this.#leaseMs, wantedMs];
    const isHeld = await this.#store.run(Operation.RENEW_WORKER, ...args);
    if (!this.#snowflake) return false; // closed meanwhile
    if (isHeld) {
      this.#reservedUntilMs = Math.max(this.#reservedUntilMs, wantedMs);
      this.#bound(askedMs);
    } else {
      this.#isLost = true;
      clearInterval(this.#timer);
      setBounds(this.#snowflake, { reservedUntilMs: 0, deadlineMs: 0 });
    }
    return isHeld;
  }

  /** @param {number} askedMs */
  #bound(askedMs) {
    const deadlineMs = askedMs + Math.floor(this.#leaseMs * (1 - MARGIN));
    setBounds(/** @type {Snowflake} */ (this.#snowflake), { reservedUntilMs: this.#reservedUntilMs, deadlineMs });
  }

  /** @param {number} lastMs */
  async #close(lastMs) {
    clearInterval(this.#timer);
    this.#snowflake = undefined;
    try {
      // Where that fails, the number is free when its lease has run out.
      const args = [this.#worker, this.#owner, this.#fence, lastMs];
      if (!this.#isLost) await this.#store.run(Operation.RELEASE_WORKER, ...args).catch(() => {});
    } finally {
      await this.#store.close();
    }
  }
}
