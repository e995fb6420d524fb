// Asks the application who somebody is, and holds it to its word.

import { EveryonceError } from '../protocol/errors.js';
import { isUser } from '../protocol/identifiers.js';
import { needsToken } from './origin.js';

/**
 * @typedef {object} Asked
 * @property {import('node:http').IncomingMessage} request the upgrade, or the request that is to be answered
 * @property {string | null} token
 * @property {string} device `server` where it is no device
 */

/**
 * @param {import('./authenticate.js').Authenticator} authenticate
 * @param {Asked} asked
 * @param {(error: EveryonceError) => void} fault told where the hook answers what it must not
 * @returns {Promise<import('./authenticate.js').Identity>}
 * @throws {EveryonceError} unauthenticated, BAD_USER; or what the hook throws
 */
export async function identify(authenticate, { request, token, device }, fault) {
  if (token === null && needsToken(request.headers)) {
    throw new EveryonceError('unauthenticated', 'a cookie without an Origin is not enough: bring a token');
  }
  const identity = await authenticate({ request, token, device });
  if (identity === null || identity === undefined) throw new EveryonceError('unauthenticated');
  /** @param {string} message */
  const bad = (message) => {
    const error = new EveryonceError('BAD_USER', message, { option: 'authenticate' });
    fault(error);
    throw error;
  };
  if (!isUser(identity.user)) {
    bad('authenticate must return { user }, 1 to 64 of A-Z a-z 0-9 _ . @ - and not `system`, or null');
  }
  if (identity.expiresAt !== undefined && !Number.isFinite(identity.expiresAt)) {
    bad("authenticate's expiresAt must be milliseconds since 1970");
  }
  return identity;
}
