// Who is it? One of four ways, chosen by createServer's options, behind one function.

import { EveryonceError } from '../protocol/errors.js';

/**
 * @typedef {{ request: import('node:http').IncomingMessage, token: string | null, device: string }} Credentials
 * @typedef {{ user: string, expiresAt?: number }} Identity `expiresAt`, milliseconds since 1970: the connection is closed
 *   with 4401 then
 * @typedef {(credentials: Credentials) => Promise<Identity | null | undefined> | Identity | null | undefined} Authenticator
 */

const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'];
const KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** @type {Authenticator} */
export function tokenIsUser({ token }) {
  return token === null ? null : { user: token };
}

/**
 * JSON Web Tokens signed with a shared secret.
 *
 * @param {string} secret
 * @returns {Authenticator}
 */
export function bySecret(secret) {
  const key = new TextEncoder().encode(secret);
  return async ({ token }) => {
    const { jwtVerify } = await import('jose');
    const required = withToken(token);
    return identityOf((await jwtVerify(required, key, { algorithms: SECRET_ALGORITHMS, requiredClaims })).payload);
  };
}

/**
 * JSON Web Tokens signed by whoever publishes his keys at `url`. The keys are fetched when first needed, kept, and fetched
 * again for a key id that is not among them, at most every 30 s.
 *
 * @param {string} url
 * @returns {Authenticator}
 */
export function byKeySet(url) {
  /** @type {import('jose').JWTVerifyGetKey | undefined} */
  let keys;
  return async ({ token }) => {
    const { createRemoteJWKSet, jwtVerify } = await import('jose');
    const required = withToken(token);
    keys ??= createRemoteJWKSet(new URL(url));
    return identityOf((await jwtVerify(required, keys, { algorithms: KEY_ALGORITHMS, requiredClaims })).payload);
  };
}

const requiredClaims = ['sub', 'exp'];

/** @param {string | null} token */
function withToken(token) {
  if (token === null) throw new EveryonceError('unauthenticated');
  return token;
}

/**
 * @param {import('jose').JWTPayload} payload
 * @returns {Identity}
 */
function identityOf({ sub, exp }) {
  return { user: String(sub), expiresAt: Number(exp) * 1000 };
}
