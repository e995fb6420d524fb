// Which HTTP status says what an error's code says.

import { EveryonceError } from '../protocol/errors.js';

/** @type {Readonly<Record<string, number>>} */
const STATUS = Object.freeze({
  bad_request: 400,
  INVALID_ARGUMENT: 400,
  unauthenticated: 401,
  forbidden: 403,
  token_invalid: 403,
  unknown_conv: 404,
  exists: 409,
  too_large: 413,
  conflict: 422,
  rate_limited: 429,
  unsupported: 501,
  unavailable: 503,
  CLOSED: 503,
});

/** What a request is refused with. */
export class HttpError extends Error {
  /**
   * @param {number} status
   * @param {string} code of lib/protocol/codes.js, or of HTTP alone: `not_found`, `in_progress`
   * @param {string} message
   * @param {{ headers?: Record<string, string>, retryMs?: number }} [more]
   */
  constructor(status, code, message, { headers = {}, retryMs } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
    if (retryMs !== undefined)
      this.headers = { ...headers, 'Retry-After': String(Math.max(1, Math.ceil(retryMs / 1000))) };
  }
}

/**
 * @param {unknown} error of a call to the server
 * @returns {HttpError} 503 for what has no status of its own: it may have been done, and the same again tells
 */
export function httpErrorOf(error) {
  if (error instanceof HttpError) return error;
  if (!(error instanceof EveryonceError)) {
    return new HttpError(500, 'unavailable', 'the server has failed at this request', { retryMs: 1000 });
  }
  const status = STATUS[error.code] ?? 503;
  const code = error.code === 'INVALID_ARGUMENT' ? 'bad_request' : error.code === 'CLOSED' ? 'unavailable' : error.code;
  const after = Reflect.get(error, 'retryAfterMs') ?? (status === 503 ? 1000 : undefined);
  return new HttpError(status, code, error.message, { retryMs: after });
}
