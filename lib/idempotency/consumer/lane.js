/** One conversation while a consumer has its lease: its messages, one after the other. */
import { pause } from '../once.js';
import { textOf } from './handling.js';

/** After an answer that says nothing: the store failed, or another process works on the message. */
const UNDECIDED_PAUSE_MS = { first: 50, most: 2_000 };

/** @typedef {import('./options.js').FeedMessage} FeedMessage */

export class Lane {
  #slice;
  #rules;
  #slots;
  #handling;
  #lost = new AbortController();
  /** All up to it is handled or parked. */
  #passed = 0;
  #noted = 0;
  /** @type {() => void} */
  #whenEnded = () => {};
  /** @type {Promise<void>} */
  ended = new Promise((resolve) => (this.#whenEnded = resolve));

  /**
   * @param {import('../../server/feeds.js').Slice} slice
   * @param {import('./options.js').Rules} rules
   * @param {import('./slots.js').Slots} slots
   * @param {import('./handling.js').Handling} handling
   */
  constructor(slice, rules, slots, handling) {
    this.#slice = slice;
    this.#rules = rules;
    this.#slots = slots;
    this.#handling = handling;
  }

  get lease() {
    return this.#slice.lease;
  }

  /** The lease has run out, and the conversation may be another member's. */
  lose() {
    this.#lost.abort();
  }

  /** Stores how far it is. */
  async note() {
    if (this.#passed === this.#noted) return;
    const seq = this.#passed;
    await this.#ack(seq, false);
    this.#noted = seq;
  }

  /**
   * Handles what it has until that is done, the lease is lost, or all is to stop; then gives the lease back. Does not reject.
   *
   * @param {AbortSignal} stopping
   */
  async run(stopping) {
    await this.#slots.take();
    try {
      let left = this.#slice.messages;
      while (left.length > 0 && !stopping.aborted && !this.#lost.signal.aborted) {
        const batch = this.#nextOf(left);
        if (!(await this.#settle(batch, stopping))) break;
        this.#passed = batch[batch.length - 1].seq;
        left = left.slice(batch.length);
      }
    } finally {
      this.#slots.give();
    }
    if (!this.#lost.signal.aborted)
      await this.#ack(this.#passed, true).catch((error) => this.#handling.listeners.fault(error));
    this.#whenEnded();
  }

  /** As many as one call takes; of those with the same bizId only one. @param {FeedMessage[]} left */
  #nextOf(left) {
    const keys = new Set();
    const batch = [];
    for (const message of left.slice(0, this.#rules.batch)) {
      const told = this.#handling.keyOf(message);
      const key = 'key' in told ? told.key : undefined;
      if (batch.length > 0 && (key === undefined || keys.has(key))) break;
      batch.push(message);
      keys.add(key);
      if (key === undefined) break;
    }
    return batch;
  }

  /**
   * Until they are handled or given up.
   *
   * @param {FeedMessage[]} batch
   * @param {AbortSignal} stopping
   * @returns {Promise<boolean>} false: neither, for all is to stop or the lease is lost
   */
  async #settle(batch, stopping) {
    const named = [];
    for (const message of batch) {
      const told = this.#handling.keyOf(message);
      if ('error' in told) return this.#giveUp(message, { error: told.error, attempt: 0 }, stopping);
      named.push({ key: told.key, message });
    }
    let undecided = 0;
    for (let failures = 1; ;) {
      const outcome = await this.#handling.attempt(named, this.#lost.signal, { limited: true });
      if (outcome.state === 'handled') return true;
      if (stopping.aborted || this.#lost.signal.aborted) return false;
      // One by one from here on, so that one bad message is found, and parked alone.
      if (batch.length > 1) return this.#settleEach(batch, stopping);
      const message = batch[0];
      if (outcome.state === 'failed') {
        const isOver = outcome.isFinal || outcome.attempt >= this.#rules.maxAttempts;
        if (isOver && this.#rules.deadLetter) return this.#giveUp(message, outcome, stopping);
        const { minBackoffMs, maxBackoffMs } = this.#rules;
        await this.#wait(Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(failures - 1, 30)), stopping);
        failures += 1;
      } else {
        this.#tell(outcome.error);
        await this.#wait(Math.min(UNDECIDED_PAUSE_MS.most, UNDECIDED_PAUSE_MS.first * 2 ** undecided), stopping);
        undecided = Math.min(undecided + 1, 10);
      }
      if (stopping.aborted || this.#lost.signal.aborted) return false;
    }
  }

  /** @param {FeedMessage[]} batch @param {AbortSignal} stopping */
  async #settleEach(batch, stopping) {
    for (const message of batch) {
      if (!(await this.#settle([message], stopping))) return false;
      this.#passed = message.seq;
    }
    return true;
  }

  /**
   * Parks the message; where the store can not, it is tried until it can.
   *
   * @param {FeedMessage} message
   * @param {{ error?: unknown, attempt: number }} outcome
   * @param {AbortSignal} stopping
   */
  async #giveUp(message, { error, attempt }, stopping) {
    const { feeds, group } = this.#rules;
    for (let tries = 0; ; tries = Math.min(tries + 1, 10)) {
      if (stopping.aborted || this.#lost.signal.aborted) return false;
      try {
        await feeds.park(group, { lease: this.lease, seq: message.seq, attempts: attempt, error: textOf(error) });
        break;
      } catch (cause) {
        this.#tell(cause);
      }
      await this.#wait(Math.min(UNDECIDED_PAUSE_MS.most, UNDECIDED_PAUSE_MS.first * 2 ** tries), stopping);
    }
    this.#handling.counts.parked += 1;
    this.#handling.listeners.parked(message, error);
    return true;
  }

  /** What says that another works on it is how members share; all else is told. @param {any} error */
  #tell(error) {
    if (error?.code === 'conflict') this.lose();
    else if (error?.code !== 'BUSY' && error?.code !== 'FENCED') this.#handling.listeners.fault(error);
  }

  /** Between half of it and all, without a slot: others may work meanwhile. @param {number} ms @param {AbortSignal} stopping */
  async #wait(ms, stopping) {
    this.#slots.give();
    await pause(ms * (0.5 + Math.random() / 2), undefined, AbortSignal.any([stopping, this.#lost.signal]));
    await this.#slots.take();
  }

  /** @param {number} seq @param {boolean} release */
  async #ack(seq, release) {
    const { feeds, group } = this.#rules;
    await feeds.ack(group, { lease: this.lease, seq, release }).catch((error) => {
      if (error?.code !== 'conflict') throw error;
      this.lose();
    });
  }
}
