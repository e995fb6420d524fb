/** Asking a claim store again when its answer was lost: every act of it may be repeated. */
import { setTimeout as wait } from 'node:timers/promises';

const TRIES = 3;
const PAUSE_MS = 50;

/**
 * @template Answer
 * @param {() => Promise<Answer>} act with the same owner and fence each time, so that a repeat is known as one
 * @returns {Promise<Answer>}
 */
export async function asking(act) {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (/** @type {any} */ error) {
      if (error?.retryable !== true || tries >= TRIES) throw error;
    }
    await wait(PAUSE_MS * tries * (0.5 + Math.random()));
  }
}
