import { describeCode } from './codes.js';

/**
 * The one error class of everyonce.
 *
 * `code` is from codes.js, `retryable` says whether the same call may succeed later, and what the error concerns
 * (`id`, `conv`, `option`, `field`, `retryAfterMs` …) stands beside them.
 */
export class EveryonceError extends Error {
  /**
   * @param {string} code
   * @param {string} [message] more than the table's sentence says; default: that sentence
   * @param {Record<string, unknown> & { cause?: unknown, retryable?: boolean }} [about]
   */
  constructor(code, message, about = {}) {
    const described = describeCode(code);
    const { cause, ...concerns } = about;
    super(message ?? described.sentence, cause === undefined ? undefined : { cause });
    this.name = 'EveryonceError';
    /** @type {string} */
    this.code = code;
    /** @type {boolean} */
    this.retryable = described.retryable;
    /** @type {string | undefined} */
    this.id = undefined;
    /** @type {string | undefined} */
    this.conv = undefined;
    /** @type {string | undefined} */
    this.option = undefined;
    /** @type {string | undefined} */
    this.field = undefined;
    Object.assign(this, concerns);
  }
}

/**
 * The error that a `nack` or `error` packet means.
 * @param {Record<string, any>} packet
 * @param {Record<string, unknown>} [about]
 * @returns {EveryonceError}
 */
export function errorOf(packet, about = {}) {
  const code = typeof packet.code === 'string' ? packet.code : 'PROTOCOL';
  const retryAfterMs = typeof packet.retry === 'number' ? { retryAfterMs: packet.retry, retryable: true } : {};
  return new EveryonceError(code, typeof packet.message === 'string' ? packet.message : undefined, {
    ...about,
    ...retryAfterMs,
  });
}
