// createServer's options, checked one by one before anything is opened. An option that this version does not have is
// refused by name: one that is silently ignored is a promise silently broken.

import { EveryonceError } from '../protocol/errors.js';
import { byKeySet, bySecret, tokenIsUser } from './authenticate.js';
import { DEFAULTS, LIMITS, USER_RATE_FACTOR } from './defaults.js';
import { readRedis } from './redis-options.js';

/**
 * @typedef {object} Logger pino-compatible
 * @property {(about: object, message: string) => void} error
 * @property {(about: object, message: string) => void} warn
 * @property {(about: object, message: string) => void} info
 * @property {(about: object, message: string) => void} debug
 */

/**
 * @typedef {object} Archive of everyonce/idempotency
 * @property {string} [group] the consumer group that writes it: before it is there, retention removes nothing
 * @property {(server: any, fault: (error: unknown) => void) => void} attach begins to write
 * @property {(holes: [conv: string, epoch: number, from: number, to: number][]) => Promise<string[]>} fill what stands in the place of each
 *   hole, as packets in JSON text joined by commas
 */

/**
 * @typedef {object} ServerOptions
 * @property {string | null} [data] directory of the embedded store, default './data'; null is `memory: true`
 * @property {boolean} [memory] keep everything in memory only, for tests: nothing survives the process
 * @property {string | { nodes: string[], cluster?: boolean, tls?: import('./redis-tls.js').TlsOptions }} [redis] keep
 *   everything in Redis instead of `data`: one server's URL, or some nodes of a Cluster, or a primary and its replicas
 *   (docs/redis.md); rediss:// is TLS
 * @property {{ fsync?: boolean, replicas?: number, timeoutMs?: number }} [durability] fsync false: commits are not
 *   synced; acks then say `"safe":"memory"`, and a power cut may lose the last of them (a killed process does not).
 *   On Redis: `replicas` that must have a message within `timeoutMs` (1000) before it is acked
 * @property {import('./authenticate.js').Authenticator} [authenticate] who is it? throw or return null: 4401. One of
 *   authenticate, jwtSecret, jwks and insecure must be given
 * @property {Archive} [archive] `postgres({ pool })` or `sqlite({ database })`: every accepted message is kept there, too, and pages
 *   read on from it where retention has removed the log's own
 * @property {import('./authorize.js').Authorizer} [authorize] may a member do this? only `true` allows; left out: all that
 *   membership allows
 * @property {string} [jwtSecret] HS256, HS384 or HS512; at least 32 bytes; user = `sub`, `exp` required
 * @property {string} [jwks] URL of a JSON Web Key Set; RS, PS, ES, EdDSA
 * @property {boolean} [insecure] the token is the user's name; only from this machine
 * @property {string} [serviceKey] who brings it over HTTP as `Authorization: Bearer` acts for everybody
 * @property {string[]} [origins] browsers' pages that may connect, as `https://example.com`; default: the same host's
 * @property {{ frame?: number, body?: number, window?: number, page?: number, rate?: number, connections?: number,
 *   perAddress?: number, perUser?: number, userRate?: number, addressRate?: number, userConnects?: number,
 *   addressConnects?: number, buffered?: number, packageTimeout?: number }} [limits] see docs/server.md
 * @property {boolean | number} [trustProxy] how many proxies of your own stand in front (true: one): the address that the
 *   first of them saw, by X-Forwarded-For, is the one that limits count; default: none
 * @property {{ windowMs?: number, tokens?: 'off' | 'accepted' | 'required', tokenTtlMs?: number, tokenKey?: string }} [dedup]
 *   see docs/server.md, Tokens
 * @property {{ days?: number, messages?: number, untilAcked?: boolean, everyMs?: number }} [retention] what is removed;
 *   default: nothing ever. Each rule removes by itself: accepted more than `days` ago; all but the newest `messages` of a
 *   conversation; `untilAcked`: what everybody has acked (docs/server.md). `everyMs`: between two rounds
 * @property {Partial<Logger>} [logger] default: silent
 * @property {string} [node] this server's name in `welcome`; default: random
 * @property {boolean} [restored] the store may have lost the end of its logs (a file system's snapshot, a repaired disk):
 *   begin new epochs, so that clients void what is gone and offer their own again. For one start only. A copy made by
 *   `everyonce backup` says so by itself
 */

/**
 * @typedef {object} Settings what remains of ServerOptions: complete and checked
 * @property {string | null} data
 * @property {import('./redis-options.js').RedisSettings | null} redis
 * @property {boolean} fsync
 * @property {boolean} restored
 * @property {string} node
 * @property {{ frame: number, body: number, window: number, page: number, rate: number, connections: number,
 *   perAddress: number, perUser: number, userRate: number, addressRate: number, userConnects: number,
 *   addressConnects: number, buffered: number, packageTimeout: number }} limits
 * @property {number} trustProxy proxies in front
 * @property {number} dedupWindowMs
 * @property {'off' | 'accepted' | 'required'} tokens
 * @property {number} tokenTtlMs
 * @property {string | undefined} tokenKey
 * @property {Retention | null} retention null: nothing is ever removed
 * @property {import('./authenticate.js').Authenticator} authenticate
 * @property {import('./authorize.js').Authorizer | undefined} authorize
 * @property {Archive | undefined} archive
 * @property {boolean} loopbackOnly
 * @property {string | undefined} serviceKey
 * @property {ReadonlySet<string> | null} origins
 * @property {Logger} logger
 */

/**
 * @typedef {object} Retention
 * @property {number} maxAgeMs 0: no such rule
 * @property {number} messages kept of a conversation; 0: no such rule
 * @property {boolean} untilAcked
 * @property {number} everyMs
 */

const KNOWN = new Set([
  ...['data', 'memory', 'redis', 'durability', 'authenticate', 'authorize', 'jwtSecret', 'jwks', 'insecure'],
  ...['serviceKey', 'origins', 'limits', 'dedup', 'retention', 'logger', 'node', 'restored', 'trustProxy', 'archive'],
]);

const MIN_SECRET_BYTES = 32;
const MIN_KEY_CHARACTERS = 8;
const DAY_MS = 86_400_000;
const MIN_DAYS = 0.01;
const MAX_DAYS = 36_500;

/**
 * @param {ServerOptions} [options]
 * @returns {Settings}
 * @throws {EveryonceError} BAD_OPTION or UNSUPPORTED; `option` names the option, as `limits.frame`
 */
export function readOptions(options = {}) {
  need(isPlain(options), 'options', options, 'an object');
  for (const name of Object.keys(options)) {
    if (Reflect.get(options, name) === undefined) continue;
    need(KNOWN.has(name), name, undefined, `left out: there is no such option`);
  }
  const redis = readRedis(options.redis, options.durability);
  if (redis !== null) needAlone(options);
  return {
    data: redis === null ? readData(options) : null,
    redis,
    fsync: readDurability(options.durability, redis !== null),
    restored: readRestored(options),
    node: readNode(options.node),
    limits: readLimits(options.limits),
    trustProxy: readTrustProxy(options.trustProxy),
    ...readDedup(options.dedup),
    retention: readRetention(options.retention),
    ...readAuthentication(options),
    authorize: readAuthorize(options.authorize),
    archive: readArchive(options.archive),
    serviceKey: readServiceKey(options.serviceKey),
    origins: readOrigins(options.origins),
    logger: readLogger(options.logger),
  };
}

/**
 * @param {string} option
 * @param {string} [what]
 */
export function unsupported(option, what = 'is not in this version') {
  throw new EveryonceError('UNSUPPORTED', `${option} ${what}`, { option });
}

/**
 * @param {boolean} good
 * @param {string} option
 * @param {unknown} value
 * @param {string} wanted
 */
export function need(good, option, value, wanted) {
  if (good) return;
  const shown = typeof value === 'number' || typeof value === 'boolean' ? `, not ${value}` : '';
  const kind = shown || value === undefined ? shown : `, not ${value === null ? 'null' : describe(value)}`;
  throw new EveryonceError('BAD_OPTION', `${option} must be ${wanted}${kind}`, { option });
}

/** @param {unknown} value never its content: it may be a secret */
function describe(value) {
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isPlain(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param {string} option
 * @param {unknown} group
 * @param {readonly string[]} names
 */
function needGroup(option, group, names) {
  need(isPlain(group), option, group, `an object of ${names.join(', ')}`);
  for (const name of Object.keys(/** @type {object} */ (group))) {
    need(names.includes(name), `${option}.${name}`, undefined, `left out: ${option} has ${names.join(', ')}`);
  }
}

/** @param {ServerOptions} options */
function readData({ data, memory = false }) {
  need(typeof memory === 'boolean', 'memory', memory, 'true or false');
  if (data === null) return null;
  if (memory) {
    need(data === undefined, 'data', data, 'left out where memory is true');
    return null;
  }
  if (data === undefined) return DEFAULTS.data;
  need(typeof data === 'string' && data !== '' && !data.includes('\0'), 'data', data, 'the path of a directory');
  return data;
}

/** What belongs to the embedded store. @param {ServerOptions} options */
function needAlone({ data, memory, restored }) {
  const embedded = { data, memory, restored };
  for (const [name, value] of Object.entries(embedded))
    need(value === undefined, name, undefined, 'left out with redis');
}

/** @param {ServerOptions['durability']} durability @param {boolean} onRedis */
function readDurability(durability = {}, onRedis = false) {
  needGroup('durability', durability, onRedis ? ['replicas', 'timeoutMs'] : ['fsync']);
  const { fsync = DEFAULTS.fsync } = durability;
  need(typeof fsync === 'boolean', 'durability.fsync', fsync, 'true or false');
  return fsync;
}

/** @param {ServerOptions} options */
function readRestored({ restored = false, data, memory }) {
  need(typeof restored === 'boolean', 'restored', restored, 'true or false');
  need(!restored || (data !== null && !memory), 'restored', undefined, 'left out in memory: nothing was there before');
  return restored;
}

/** @param {string | undefined} node */
function readNode(node = crypto.randomUUID().slice(0, 8)) {
  need(typeof node === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(node), 'node', node, '1 to 64 of A-Z a-z 0-9 _ . -');
  return node;
}

/** @param {ServerOptions['limits']} limits */
function readLimits(limits = {}) {
  needGroup('limits', limits, Object.keys(LIMITS));
  const read = /** @type {Settings['limits']} */ ({});
  for (const [name, { value: byDefault, min, max, unit }] of Object.entries(LIMITS)) {
    const value = /** @type {Record<string, number | undefined>} */ (limits)[name] ?? byDefault;
    const good = Number.isSafeInteger(value) && value >= min && value <= max;
    need(good, `limits.${name}`, value, `an integer from ${min} to ${max} (${unit})`);
    /** @type {Record<string, number>} */ (read)[name] = value;
  }
  if (limits.userRate === undefined) read.userRate = Math.min(LIMITS.userRate.max, read.rate * USER_RATE_FACTOR);
  need(read.body < read.frame, 'limits.body', read.body, `less than limits.frame (${read.frame}), which carries it`);
  return read;
}

/** @param {ServerOptions['trustProxy']} trust */
function readTrustProxy(trust = 0) {
  const proxies = typeof trust === 'boolean' ? Number(trust) : trust;
  const good = Number.isSafeInteger(proxies) && proxies >= 0 && proxies <= 16;
  need(good, 'trustProxy', trust, 'true, false, or how many proxies stand in front, 0 to 16');
  return proxies;
}

/** @param {ServerOptions['dedup']} dedup */
function readDedup(dedup = {}) {
  needGroup('dedup', dedup, ['windowMs', 'tokens', 'tokenTtlMs', 'tokenKey']);
  const { windowMs = DEFAULTS.dedupWindowMs, tokens = 'off', tokenTtlMs = DEFAULTS.tokenTtlMs, tokenKey } = dedup;
  const good = Number.isSafeInteger(windowMs) && windowMs >= 1000 && windowMs <= 31_536_000_000;
  need(good, 'dedup.windowMs', windowMs, 'an integer from 1000 (a second) to 31536000000 (a year), in milliseconds');
  need(['off', 'accepted', 'required'].includes(tokens), 'dedup.tokens', tokens, "'off', 'accepted' or 'required'");
  const goodTtl = Number.isSafeInteger(tokenTtlMs) && tokenTtlMs >= 1000 && tokenTtlMs <= 31_536_000_000;
  need(goodTtl, 'dedup.tokenTtlMs', tokenTtlMs, 'an integer from 1000 (a second) to 31536000000 (a year), in milliseconds'); // prettier-ignore
  const goodKey = tokenKey === undefined || (typeof tokenKey === 'string' && Buffer.byteLength(tokenKey) >= MIN_SECRET_BYTES); // prettier-ignore
  need(goodKey, 'dedup.tokenKey', tokenKey, `a string of at least ${MIN_SECRET_BYTES} bytes`);
  return { dedupWindowMs: windowMs, tokens, tokenTtlMs, tokenKey };
}

/**
 * @param {ServerOptions['retention']} retention
 * @returns {Retention | null}
 */
function readRetention(retention) {
  if (retention === undefined) return null;
  needGroup('retention', retention, ['days', 'messages', 'untilAcked', 'everyMs']);
  const { days, messages, untilAcked = false, everyMs = DEFAULTS.retentionEveryMs } = retention;
  const goodDays = days === undefined || (typeof days === 'number' && days >= MIN_DAYS && days <= MAX_DAYS);
  need(goodDays, 'retention.days', days, `a number from ${MIN_DAYS} (15 minutes) to ${MAX_DAYS}, in days`);
  const goodMessages = messages === undefined || (Number.isSafeInteger(messages) && messages >= 1);
  need(goodMessages, 'retention.messages', messages, 'a whole number from 1, of each conversation');
  need(typeof untilAcked === 'boolean', 'retention.untilAcked', untilAcked, 'true or false');
  const goodEvery = Number.isSafeInteger(everyMs) && everyMs >= 100 && everyMs <= 86_400_000;
  need(goodEvery, 'retention.everyMs', everyMs, 'an integer from 100 to 86400000 (a day), in milliseconds');
  if (days === undefined && messages === undefined && !untilAcked) {
    need(Object.keys(retention).length === 0, 'retention', undefined, 'given a rule: days, messages or untilAcked');
    return null;
  }
  const maxAgeMs = days === undefined ? 0 : Math.round(days * DAY_MS);
  return { maxAgeMs, messages: messages ?? 0, untilAcked, everyMs };
}

/**
 * @param {ServerOptions} options
 * @returns {{ authenticate: import('./authenticate.js').Authenticator, loopbackOnly: boolean }}
 */
function readAuthentication({ authenticate, jwtSecret, jwks, insecure }) {
  need(insecure === undefined || typeof insecure === 'boolean', 'insecure', insecure, 'true or false');
  const given = [authenticate, jwtSecret, jwks, insecure || undefined].filter((way) => way !== undefined);
  const ways = 'exactly one of authenticate, jwtSecret, jwks and insecure: true';
  need(given.length === 1, 'authenticate', undefined, `given, ${ways}`);
  if (authenticate !== undefined) {
    need(typeof authenticate === 'function', 'authenticate', authenticate, 'a function');
    return { authenticate, loopbackOnly: false };
  }
  if (jwtSecret !== undefined) {
    const good = typeof jwtSecret === 'string' && Buffer.byteLength(jwtSecret) >= MIN_SECRET_BYTES;
    need(good, 'jwtSecret', jwtSecret, `a string of at least ${MIN_SECRET_BYTES} bytes`);
    return { authenticate: bySecret(jwtSecret), loopbackOnly: false };
  }
  if (jwks !== undefined) {
    const good = typeof jwks === 'string' && URL.canParse(jwks) && /^https?:$/.test(new URL(jwks).protocol);
    need(good, 'jwks', jwks, 'an http or https URL');
    return { authenticate: byKeySet(jwks), loopbackOnly: false };
  }
  return { authenticate: tokenIsUser, loopbackOnly: true };
}

/** @param {string | undefined} key */
function readServiceKey(key) {
  const good =
    key === undefined || (typeof key === 'string' && key.length >= MIN_KEY_CHARACTERS && /^[!-~]+$/.test(key));
  need(good, 'serviceKey', key, `at least ${MIN_KEY_CHARACTERS} printable ASCII characters without spaces`);
  return key;
}

/** @param {ServerOptions['archive']} archive */
function readArchive(archive) {
  const good =
    archive === undefined ||
    ['attach', 'fill'].every((name) => typeof Reflect.get(Object(archive), name) === 'function');
  need(good, 'archive', archive, 'made by postgres({ pool }) or sqlite({ database })');
  return archive;
}

/** @param {ServerOptions['authorize']} authorize */
function readAuthorize(authorize) {
  need(authorize === undefined || typeof authorize === 'function', 'authorize', authorize, 'a function');
  return authorize;
}

/** @param {string[] | undefined} origins */
function readOrigins(origins) {
  if (origins === undefined) return null;
  need(Array.isArray(origins), 'origins', origins, 'an array of origins');
  for (const origin of origins) {
    const good = typeof origin === 'string' && URL.canParse(origin) && new URL(origin).origin === origin;
    need(good, 'origins', undefined, `an array of origins as browsers send them, like https://example.com`);
  }
  return new Set(origins);
}

const silent = () => {};

/** @param {ServerOptions['logger']} logger */
function readLogger(logger = {}) {
  need(typeof logger === 'object' && logger !== null, 'logger', logger, 'a pino-compatible logger');
  const read = /** @type {Logger} */ ({});
  for (const level of /** @type {(keyof Logger)[]} */ (['error', 'warn', 'info', 'debug'])) {
    const method = logger[level];
    need(method === undefined || typeof method === 'function', `logger.${level}`, method, 'a function');
    read[level] = method ? method.bind(logger) : silent;
  }
  return read;
}
