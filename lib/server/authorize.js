// What may a member do? The application's hook, held to an answer in time.

import { EveryonceError } from '../protocol/errors.js';
import { EDGE } from './defaults.js';

/**
 * @typedef {'send' | 'read' | 'create' | 'add' | 'remove' | 'publish'} Action
 * @typedef {{ user: string, conv: string | null, members?: string[] }} Subject `conv` null: a read of all conversations;
 *   `members`: those named, for create, add and remove
 * @typedef {(action: Action, subject: Subject) => Promise<boolean> | boolean} Authorizer only `true` allows
 */

export class Authorization {
  #hook;
  #answer;
  #fault;
  #timeoutMs;

  /**
   * @param {Authorizer} hook
   * @param {(question: number, allowed: boolean) => void} answer the engine's `authorized`
   * @param {(error: EveryonceError) => void} fault told where the hook throws or takes too long, which refuses
   * @param {number} [timeoutMs]
   */
  constructor(hook, answer, fault, timeoutMs = EDGE.authorizeTimeoutMs) {
    this.#hook = hook;
    this.#answer = answer;
    this.#fault = fault;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Asks, and answers the engine in any case.
   *
   * @param {number} question
   * @param {Subject & { action: Action }} asked
   * @returns {Promise<void>} for tests; never rejects
   */
  async ask(question, { action, ...subject }) {
    let allowed = false;
    try {
      allowed = (await this.#inTime(action, subject)) === true;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const about = { option: 'authorize', user: subject.user, conv: subject.conv ?? undefined, cause };
      this.#fault(new EveryonceError('forbidden', `authorize failed, so ${action} was refused: ${reason}`, about));
    }
    this.#answer(question, allowed);
  }

  /**
   * @param {Action} action
   * @param {Subject} subject
   * @returns {Promise<boolean>}
   */
  #inTime(action, subject) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no answer within ${this.#timeoutMs} ms`));
      const timer = setTimeout(late, this.#timeoutMs);
      // Within a promise, so that a hook that is not async and throws is one that rejects.
      new Promise((settle) => settle(this.#hook(action, subject)))
        .then((allowed) => resolve(/** @type {boolean} */ (allowed)), reject)
        .finally(() => clearTimeout(timer));
    });
  }
}
