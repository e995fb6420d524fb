/** Consumer's options: checked before anything is opened. */
import { readRedis } from '../../server/redis-options.js';
import { feedsOfRedis } from './alone.js';
import { MAX_TIMER_MS, badOption, checkFunction, checkObject, checkWhole } from '../values.js';

/**
 * @typedef {object} Attempt what a handler is told beside the message
 * @property {number} attempt from 1; of a batch the highest
 * @property {number} fence higher with every attempt on the message: to be compared where the effect is stored
 * @property {number[]} fences of each message of a batch
 * @property {AbortSignal} signal aborted when the message is another's (a lease is lost), when the handler takes too long, and
 *   when stop() waits no longer
 */

/**
 * @typedef {import('../../server/feeds.js').FeedMessage} FeedMessage
 * @typedef {(message: any, attempt: Attempt) => unknown} Handler given one message, or with `batch` above 1 an array of one
 *   conversation's, ascending by seq
 */

/**
 * @typedef {object} ConsumerOptions
 * @property {any} [server] of createServer
 * @property {string | { nodes: string[], cluster?: boolean }} [redis] in its place, where the process has no server: the servers' Redis
 * @property {string} group 1 to 48 of A-Z a-z 0-9 _ . -
 * @property {Handler} handler
 * @property {'start' | 'now'} [from] where a new group begins; default 'start'
 * @property {number} [batch] messages of one call, default 1, at most 1000
 * @property {number} [concurrency] conversations at once, default 16
 * @property {number} [maxAttempts] default 8
 * @property {boolean} [deadLetter] default true: a message whose attempts are used up is parked, and its conversation goes on without it.
 *   False: it is tried for ever, and its conversation waits
 * @property {(message: FeedMessage) => string | number | bigint} [bizId] of the business object: of all messages that have the same one, one
 *   is handled. Default: each message by (conv, epoch, seq)
 * @property {import('../claims/open.js').ClaimStore} [store] where it is kept what was handled; default: the server's own
 * @property {boolean} [idempotent] the handler bears repeats by itself (a unique key): nothing is kept of what was handled, which saves two
 *   writes a message. `fence` is 0 then, and attempts are counted in this process only
 * @property {boolean} [rawBodies] bodies as JSON text, byte for byte as they were accepted
 * @property {number} [leaseMs] after which what a consumer that died held is taken over, default 30 000
 * @property {number} [keepMs] how long it is kept that a message was handled; default 1 day; with bizId 7 days, longer than a repeat can come
 * @property {number} [minBackoffMs] after a failure, doubling; default 200
 * @property {number} [maxBackoffMs] default 30 000
 * @property {number} [maxRunMs] how long a handler may take; default 5 minutes
 */

const KNOWN = [
  ...[
    'server',
    'redis',
    'group',
    'handler',
    'from',
    'batch',
    'concurrency',
    'maxAttempts',
    'deadLetter',
    'bizId',
    'idempotent',
    'rawBodies',
    'store',
  ],
  ...['leaseMs', 'keepMs', 'minBackoffMs', 'maxBackoffMs', 'maxRunMs'],
];

/** @param {any} server @returns {import('../../server/feeds.js').Feeds} */
export function feedsOf(server) {
  const feeds = checkObject(server, 'server').feeds;
  if (typeof feeds?.take !== 'function') throw badOption('server', 'a server made by createServer');
  return feeds;
}

/** @param {unknown} redis */
function checkRedis(redis) {
  readRedis(redis, undefined);
  return redis;
}

/** @param {unknown} group @returns {string} */
export function checkGroup(group) {
  if (typeof group === 'string' && /^[A-Za-z0-9_.-]{1,48}$/.test(group)) return group;
  throw badOption('group', '1 to 48 of A-Z a-z 0-9 _ . -');
}

/**
 * @param {ConsumerOptions} options
 * @throws {EveryonceError} INVALID_ARGUMENT, BAD_OPTION (`redis`); `option` names it
 */
export function readOptions(options) {
  checkObject(options, 'options');
  for (const name of Object.keys(options)) {
    if (Reflect.get(options, name) === undefined) continue;
    if (!KNOWN.includes(name)) throw badOption(name, `left out: there are ${KNOWN.join(', ')}`);
  }
  const { server, redis, group, handler, from = 'start', deadLetter = true, bizId, store } = options;
  const { batch = 1, concurrency = 16, maxAttempts = 8, leaseMs = 30_000 } = options;
  const { keepMs = (bizId === undefined ? 1 : 7) * 86_400_000 } = options;
  const { minBackoffMs = 200, maxBackoffMs = 30_000, maxRunMs = 300_000 } = options;
  if (from !== 'start' && from !== 'now') throw badOption('from', "'start' or 'now'");
  if (typeof deadLetter !== 'boolean') throw badOption('deadLetter', 'true or false');
  const { idempotent = false, rawBodies = false } = options;
  if (typeof idempotent !== 'boolean') throw badOption('idempotent', 'true or false');
  if (typeof rawBodies !== 'boolean') throw badOption('rawBodies', 'true or false');
  if (idempotent && bizId !== undefined) throw badOption('bizId', 'left out where the handler is idempotent');
  if (bizId !== undefined) checkFunction(bizId, 'bizId');
  checkWhole(minBackoffMs, 'minBackoffMs', { most: MAX_TIMER_MS });
  if (redis !== undefined && server !== undefined) throw badOption('redis', 'left out where there is a server');
  const log = redis === undefined ? { feeds: feedsOf(server), close: async () => {} } : feedsOfRedis(checkRedis(redis));
  return {
    feeds: log.feeds,
    closeLog: log.close,
    store: store ?? (redis === undefined ? server : { redis }),
    group: checkGroup(group),
    handler: /** @type {Handler} */ (checkFunction(handler, 'handler')),
    from,
    deadLetter,
    bizId,
    idempotent,
    rawBodies,
    batch: checkWhole(batch, 'batch', { most: 1000 }),
    concurrency: checkWhole(concurrency, 'concurrency', { most: 1000 }),
    maxAttempts: checkWhole(maxAttempts, 'maxAttempts', { most: 100_000 }),
    leaseMs: checkWhole(leaseMs, 'leaseMs', { least: 100, most: 86_400_000 }),
    keepMs: checkWhole(keepMs, 'keepMs', { most: 10 * 366 * 86_400_000 }),
    minBackoffMs,
    maxBackoffMs: checkWhole(maxBackoffMs, 'maxBackoffMs', { least: minBackoffMs, most: MAX_TIMER_MS }),
    maxRunMs: checkWhole(maxRunMs, 'maxRunMs', { most: MAX_TIMER_MS }),
  };
}

/** @typedef {ReturnType<typeof readOptions>} Rules */
