/** How a message, or a batch of one conversation's, comes to its effect: claimed, handled, committed; or failed, and why. */
import { setMaxListeners } from 'node:events';
import { EveryonceError } from '../../protocol/errors.js';
import { once } from '../once.js';
import { checkKey } from '../values.js';
import { HandlerFailed, together } from './together.js';

/**
 * @typedef {import('./options.js').FeedMessage} FeedMessage
 * @typedef {object} Listeners
 * @property {(error: unknown, message: FeedMessage, attempt: number) => void} failed
 * @property {(message: FeedMessage, error: unknown) => void} parked
 * @property {(error: unknown) => void} fault of the store
 *
 * @typedef {object} Outcome
 * @property {'handled' | 'failed' | 'undecided'} state `undecided`: nothing is known, or another member works on it; it does not count
 * @property {unknown} [error]
 * @property {number} attempt the highest; 0: the handler was not called
 * @property {boolean} [isFinal] not to be tried again
 */

/** What stands for attempts that are used up: the last one ended without an answer, with its process. */
class Exhausted extends Error {}

/** Attempts are counted by the claims, and judged here: a parked message can be tried again by hand. */
const NO_LIMIT = 1_000_000;
const MAX_COUNTED = 100_000;

/** @typedef {((call: import('./together.js').Call) => Promise<unknown>) & { close: () => Promise<void> }} Handle */

/** @param {import('./options.js').Rules} rules @returns {Handle} */
function claimed({ store, group, leaseMs, keepMs, maxRunMs }) {
  // Whoever died is waited for: of a batch, what was claimed already would else have been tried in vain.
  const limits = { leaseMs, waitMs: 2 * leaseMs, keepMs, maxRunMs, maxAttempts: NO_LIMIT };
  const key = (/** @type {import('./together.js').Call} */ call) => call.key;
  return once({ store, scope: `consumer.${group}`, key, ...limits }, (call, attempt) => call.run(attempt));
}

/**
 * For handlers that bear repeats: attempts are counted, and nothing is kept.
 *
 * @param {number} maxRunMs
 * @returns {Handle}
 */
function unclaimed(maxRunMs) {
  /** Of what has failed and has not succeeded since, bounded by the conversations in hand. @type {Map<string, number>} */
  const attempts = new Map();
  const handle = async (/** @type {import('./together.js').Call} */ { key, run }) => {
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, attempt);
    const limit = new AbortController();
    const late = () => limit.abort(new EveryonceError('TIMEOUT', `The handler did not return within ${maxRunMs} ms.`));
    const timer = setTimeout(late, maxRunMs);
    try {
      await unless(limit.signal, run({ attempt, fence: 0, signal: limit.signal, key }));
      attempts.delete(key);
    } finally {
      clearTimeout(timer);
      if (attempts.size > MAX_COUNTED) attempts.clear();
    }
  };
  return Object.assign(handle, { close: async () => {} });
}

export class Handling {
  #rules;
  #handle;
  #listeners;
  #abandoned = new AbortController();
  #counts;

  /**
   * @param {import('./options.js').Rules} rules
   * @param {AbortSignal} stopping
   * @param {Listeners} listeners
   */
  constructor(rules, stopping, listeners) {
    this.#rules = rules;
    this.#listeners = listeners;
    this.stopping = stopping;
    // As many listeners as handlers that run.
    setMaxListeners(0, this.#abandoned.signal);
    this.#counts = rules.feeds.counts(rules.group);
    this.#handle = rules.idempotent ? unclaimed(rules.maxRunMs) : claimed(rules);
  }

  get listeners() {
    return this.#listeners;
  }

  get counts() {
    return this.#counts;
  }

  /**
   * What `once` is to know a message by.
   *
   * @param {FeedMessage} message
   * @returns {{ key: string } | { error: unknown }} where bizId throws, or gives what is no key
   */
  keyOf(message) {
    const { bizId } = this.#rules;
    if (!bizId) return { key: `m:${message.conv}:${message.epoch}:${message.seq}` };
    try {
      return { key: checkKey(`b:${checkKey(bizId(message), 'bizId')}`, 'bizId') };
    } catch (error) {
      return { error };
    }
  }

  /**
   * One attempt.
   *
   * @param {{ key: string, message: FeedMessage }[]} messages one, or a batch, of different keys
   * @param {AbortSignal} lost aborted when the conversation is another member's
   * @param {{ limited: boolean }} how not `limited`: by hand, however often it was tried
   * @returns {Promise<Outcome>}
   */
  async attempt(messages, lost, { limited }) {
    let attempt = 0;
    try {
      const count = await together(this.#handle, messages, async (claimed) => {
        attempt = Math.max(...claimed.map((one) => one.attempt.attempt));
        if (limited && this.#rules.deadLetter && attempt > this.#rules.maxAttempts)
          throw new Exhausted('the last attempt ended with its process');
        await this.#call(claimed, attempt, lost);
      });
      this.#counts.handled += count;
      this.#counts.repeated += messages.length - count;
      return { state: 'handled', attempt };
    } catch (/** @type {any} */ error) {
      return this.#judge(error, attempt, messages[0].message);
    }
  }

  /** @param {unknown} error @param {number} attempt @param {FeedMessage} message @returns {Outcome} */
  #judge(error, attempt, message) {
    if (error instanceof HandlerFailed || /** @type {any} */ (error)?.code === 'TIMEOUT') {
      const cause = /** @type {any} */ (error instanceof HandlerFailed ? error.cause : error);
      if (cause instanceof Exhausted) return { state: 'failed', error: cause, attempt: attempt - 1, isFinal: true };
      if (this.#abandoned.signal.aborted) return { state: 'undecided', error: cause, attempt };
      this.#counts.failed += 1;
      this.#listeners.failed(cause, message, attempt);
      return { state: 'failed', error: cause, attempt, isFinal: cause?.final === true };
    }
    return { state: 'undecided', error, attempt };
  }

  /** @param {import('./together.js').Claimed[]} claimed @param {number} attempt @param {AbortSignal} lost */
  async #call(claimed, attempt, lost) {
    const signal = AbortSignal.any([...claimed.map((one) => one.attempt.signal), lost, this.#abandoned.signal]);
    const fences = claimed.map((one) => one.attempt.fence);
    const told = { attempt, fence: fences[0], fences, signal };
    const { handler, batch } = this.#rules;
    const given = batch === 1 ? claimed[0].message : claimed.map((one) => one.message);
    const work = (async () => handler(given, told))();
    // A handler that heeds no signal is not waited for when stop() gives up.
    await unless(this.#abandoned.signal, work);
  }

  /** Handlers that still run are told, and waited for no longer. */
  abandon() {
    this.#abandoned.abort();
  }

  async close() {
    await this.#handle.close();
  }
}

/**
 * @param {AbortSignal} signal long-lived: nothing is left on it
 * @param {Promise<unknown>} work whose error is nobody's once the signal is aborted
 */
async function unless(signal, work) {
  work.catch(() => {});
  signal.throwIfAborted();
  /** @type {() => void} */
  let abort = () => {};
  const aborted = new Promise((_resolve, reject) => (abort = () => reject(signal.reason)));
  signal.addEventListener('abort', abort);
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** What is kept of an error, for a person. @param {any} error */
export function textOf(error) {
  const name = error?.code ?? error?.name;
  const message = String(error?.message ?? error);
  return (name === undefined || name === 'Error' ? message : `${name}: ${message}`).slice(0, 1000);
}
