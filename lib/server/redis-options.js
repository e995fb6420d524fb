// createServer's `redis` and what of `durability` belongs to it.

import { EveryonceError } from '../protocol/errors.js';
import { isTls, readTls } from './redis-tls.js';

/**
 * @typedef {object} RedisSettings
 * @property {string[]} nodes URLs to begin at; who serves what is asked there
 * @property {boolean | undefined} cluster what it must be; undefined: either
 * @property {import('./redis-tls.js').TlsSettings} [tls] where the URLs are rediss://
 * @property {number} replicas that must have a message before it is acked
 * @property {number} replicaTimeoutMs after which it is not
 */

const MAX_NODES = 100;
const MAX_REPLICAS = 10;
const DEFAULT_REPLICA_TIMEOUT_MS = 1000;

/** @param {boolean} good @param {string} option @param {string} wanted */
function need(good, option, wanted) {
  if (!good) throw new EveryonceError('BAD_OPTION', `${option} must be ${wanted}`, { option });
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isPlain = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The URLs themselves are read by the native client, which says what is wrong with one without showing its password.
 *
 * @param {unknown} redis a URL; or { nodes: URLs, cluster?, tls? }
 * @param {unknown} durability { replicas?, timeoutMs? }
 * @returns {RedisSettings | null} null: not on Redis
 * @throws {EveryonceError} BAD_OPTION
 */
export function readRedis(redis, durability) {
  if (redis === undefined) return null;
  const given = typeof redis === 'string' ? { nodes: [redis], cluster: false } : redis;
  need(isPlain(given), 'redis', 'a URL like redis://127.0.0.1:6379, or { nodes: [URL, …] }');
  const { nodes, cluster, tls, ...rest } = /** @type {Record<string, unknown>} */ (given);
  need(Object.keys(rest).length === 0, `redis.${Object.keys(rest)[0]}`, 'left out: redis has nodes, cluster, tls');
  const good = Array.isArray(nodes) && nodes.length > 0 && nodes.length <= MAX_NODES;
  need(good, 'redis.nodes', `an array of 1 to ${MAX_NODES} URLs`);
  for (const node of /** @type {unknown[]} */ (nodes)) {
    need(typeof node === 'string' && /^rediss?:\/\//.test(node), 'redis', 'a URL like redis://127.0.0.1:6379');
  }
  const secured = /** @type {string[]} */ (nodes).filter(isTls).length;
  need(secured === 0 || secured === /** @type {string[]} */ (nodes).length, 'redis.nodes', 'all rediss://, or none');
  need(tls === undefined || secured > 0, 'redis.tls', 'left out where the URLs are redis://: TLS is rediss://');
  need(cluster === undefined || typeof cluster === 'boolean', 'redis.cluster', 'true or false');
  const { replicas = 0, timeoutMs = DEFAULT_REPLICA_TIMEOUT_MS } = isPlain(durability) ? durability : {};
  const count = /** @type {number} */ (replicas);
  const limit = /** @type {number} */ (timeoutMs);
  need(
    Number.isSafeInteger(count) && count >= 0 && count <= MAX_REPLICAS,
    'durability.replicas',
    `an integer from 0 to ${MAX_REPLICAS}`,
  );
  const inTime = Number.isSafeInteger(limit) && limit >= 1 && limit <= 60_000;
  need(inTime, 'durability.timeoutMs', 'an integer from 1 to 60000, in milliseconds');
  return {
    nodes: /** @type {string[]} */ (nodes),
    cluster: /** @type {boolean | undefined} */ (cluster),
    ...(secured > 0 ? { tls: readTls(tls) } : {}),
    replicas: count,
    replicaTimeoutMs: limit,
  };
}
