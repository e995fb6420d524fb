/** `once` for several messages that one call of a handler is given. */
import { EveryonceError } from '../../protocol/errors.js';

/** What a handler threw, kept apart from what came of the claims: `once` is to free the key, whatever it was. */
export class HandlerFailed extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super('the handler failed', { cause });
  }
}

/**
 * @typedef {import('../once.js').Attempt} OnceAttempt
 * @typedef {{ key: string, run: (attempt: OnceAttempt) => Promise<unknown> }} Call what `once` is made for here
 * @typedef {{ message: import('./options.js').FeedMessage, attempt: OnceAttempt }} Claimed
 */

/**
 * Claims every message, runs `work` with those that had not been handled before, and commits all of them or frees all.
 *
 * @param {(call: Call) => Promise<unknown>} handle made by `once` with the key and the run of a Call
 * @param {{ key: string, message: import('./options.js').FeedMessage }[]} messages of different keys
 * @param {(claimed: Claimed[]) => Promise<unknown>} work
 * @returns {Promise<number>} how many were given to `work`; throws what `work` throws as HandlerFailed, or what `once` throws of
 *   any of them, having waited for all
 */
export async function together(handle, messages, work) {
  /** @type {Claimed[]} */
  const claimed = [];
  /** @type {(value: PromiseLike<undefined> | undefined) => void} */
  let settle = () => {};
  /** @type {Promise<undefined>} */
  const worked = new Promise((resolve) => (settle = resolve));
  /** @type {Promise<unknown>[]} */
  const calls = [];
  const decided = messages.map(({ key, message }) => {
    const { promise, resolve } = Promise.withResolvers?.() ?? withResolvers();
    const run = (/** @type {OnceAttempt} */ attempt) => {
      claimed.push({ message, attempt });
      resolve(undefined);
      return worked;
    };
    const call = handle({ key, run });
    calls.push(call);
    return Promise.race([promise, call.catch(() => {})]);
  });
  await Promise.all(decided);
  const count = claimed.length;
  const refused = await firstRejection(calls, count);
  if (refused) settle(Promise.reject(refused));
  else if (count > 0) settle(run(work, claimed));
  const outcomes = await Promise.allSettled(calls);
  if (refused) throw refused;
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  return count;
}

/** @param {(claimed: Claimed[]) => Promise<unknown>} work @param {Claimed[]} claimed */
async function run(work, claimed) {
  claimed.sort((a, b) => a.message.seq - b.message.seq);
  try {
    await work(claimed);
  } catch (cause) {
    throw new HandlerFailed(cause);
  }
  return undefined;
}

/**
 * Of calls that were all decided, what the first of those that were refused says; those that wait for the work are pending.
 *
 * @param {Promise<unknown>[]} calls
 * @param {number} pending
 */
async function firstRejection(calls, pending) {
  if (pending === calls.length) return undefined;
  const nothing = {};
  for (const call of calls) {
    const told = await Promise.race([call.then(() => nothing, (error) => ({ error })), Promise.resolve(nothing)]);
    if ('error' in told) return told.error instanceof Error ? told.error : new EveryonceError('STORE_FAILED');
  }
  return undefined;
}

/** @returns {{ promise: Promise<any>, resolve: (value: any) => void }} */
function withResolvers() {
  /** @type {(value: any) => void} */
  let resolve = () => {};
  const promise = new Promise((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
