// --redis and what belongs to it, as createServer's `redis`.

import { readFileSync } from 'node:fs';
import { EveryonceError } from '../protocol/errors.js';

/** For parseArgs. */
export const TLS_FLAGS = /** @type {const} */ ({
  'redis-ca': { type: 'string' },
  'redis-cert': { type: 'string' },
  'redis-key': { type: 'string' },
  'redis-key-passphrase': { type: 'string' },
  'redis-servername': { type: 'string' },
});
export const REDIS_FLAGS = /** @type {const} */ ({ redis: { type: 'string' }, ...TLS_FLAGS });

/** createServer's options by the flag that sets them. */
export const REDIS_FLAG_OF = /** @type {const} */ ([
  ['redis.nodes', '--redis'],
  ['redis.tls', '--redis-ca, --redis-cert, --redis-key, --redis-key-passphrase or --redis-servername'],
  ['redis.tls.ca', '--redis-ca'],
  ['redis.tls.cert', '--redis-cert'],
  ['redis.tls.key', '--redis-key'],
  ['redis.tls.passphrase', '--redis-key-passphrase'],
  ['redis.tls.servername', '--redis-servername'],
]);

/** By flag, the name among createServer's `redis.tls`. */
const TLS_NAMES = /** @type {const} */ ([
  ['redis-ca', 'ca'],
  ['redis-cert', 'cert'],
  ['redis-key', 'key'],
  ['redis-key-passphrase', 'passphrase'],
  ['redis-servername', 'servername'],
]);

/**
 * @param {Record<string, string | boolean | undefined>} flags
 * @returns {{ nodes: string[], tls?: import('../server/redis-tls.js').TlsOptions } | undefined} undefined: not on Redis
 * @throws {EveryonceError} BAD_OPTION: a file that can't be read, or a flag that stands alone
 */
export function readRedisFlags(flags) {
  const { redis } = flags;
  const tls = {};
  for (const [flag, name] of TLS_NAMES) {
    const value = flags[flag];
    if (value === undefined) continue;
    if (redis === undefined) bad(flag, 'left out without --redis');
    Object.assign(tls, { [name]: name === 'servername' ? value : readFile(flag, String(value)) });
  }
  // In a file, since all users of a machine see the arguments of its programs.
  const { passphrase } = /** @type {{ passphrase?: Buffer }} */ (tls);
  if (passphrase) Object.assign(tls, { passphrase: String(passphrase).replace(/\r?\n$/, '') });
  if (redis === undefined) return undefined;
  const nodes = String(redis)
    .split(',')
    .map((url) => url.trim());
  return Object.keys(tls).length > 0 ? { nodes, tls } : { nodes };
}

/** @param {string} flag @param {string} path @returns {Buffer} */
function readFile(flag, path) {
  try {
    return readFileSync(path);
  } catch (cause) {
    return bad(flag, `a file that can be read (${/** @type {NodeJS.ErrnoException} */ (cause).code})`);
  }
}

/** @param {string} name @param {string} wanted @returns {never} */
function bad(name, wanted) {
  throw new EveryonceError('BAD_OPTION', `--${name} must be ${wanted}`, { option: name });
}
