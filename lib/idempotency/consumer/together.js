/** `once` for several messages that one call of a handler is given. */

/** What a handler threw, kept apart from what came of the claims: `once` is to free the key, whatever it was. */
export class HandlerFailed extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super('the handler failed', { cause });
  }
}

/**
 * @typedef {import('../once.js').Attempt} OnceAttempt
 * @typedef {import('./options.js').FeedMessage} FeedMessage
 * @typedef {{ key: string, run: (attempt: OnceAttempt) => Promise<unknown> }} Call what `once` is made for here
 * @typedef {{ message: FeedMessage, attempt: OnceAttempt }} Claimed
 */

/**
 * Claims every message, runs `work` with those that had not been handled before, and commits all of them or frees all.
 *
 * @param {(call: Call) => Promise<unknown>} handle made by `once`, with the key and the run of a Call
 * @param {{ key: string, message: FeedMessage }[]} messages of different keys
 * @param {(claimed: Claimed[]) => Promise<unknown>} work is given them ascending by seq; what it gives is not kept
 * @returns {Promise<number>} how many were given to `work`; throws HandlerFailed of what `work` throws, or what `once` throws of
 *   any of them, when all are settled
 */
export async function together(handle, messages, work) {
  /** @type {Claimed[]} */
  const claimed = [];
  /** @type {unknown[]} */
  const errors = [];
  /** @type {() => void} */
  let begin = () => {};
  const begun = new Promise((resolve) => (begin = () => resolve(undefined)));
  /** @type {Promise<undefined> | undefined} */
  let shared;
  const calls = messages.map(({ key, message }) => {
    /** @type {() => void} */
    let acquired = () => {};
    const decided = new Promise((resolve) => (acquired = () => resolve(undefined)));
    const settled = handle({
      key,
      run: async (attempt) => {
        claimed.push({ message, attempt });
        acquired();
        await begun;
        // The first to get here runs it for all.
        shared ??= errors.length > 0 ? Promise.reject(errors[0]) : runAll(work, claimed);
        return shared;
      },
    }).catch((error) => void errors.push(error));
    return { settled, decided: Promise.race([decided, settled]) };
  });
  await Promise.all(calls.map(({ decided }) => decided));
  begin();
  await Promise.all(calls.map(({ settled }) => settled));
  if (errors.length > 0) throw errors[0];
  return claimed.length;
}

/** @param {(claimed: Claimed[]) => Promise<unknown>} work @param {Claimed[]} claimed */
async function runAll(work, claimed) {
  claimed.sort((a, b) => a.message.seq - b.message.seq);
  try {
    await work(claimed);
  } catch (cause) {
    throw new HandlerFailed(cause);
  }
  return undefined;
}
