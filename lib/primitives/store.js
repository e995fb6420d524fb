// The store of a primitive: what `store` names, opened or joined, and its operations as promises. Everything that a
// primitive asks is decided on the store's own thread, in groups, and durable before it is answered; or in Redis (redis/).

import { EveryonceError } from '../protocol/errors.js';
import { STORE_OF, loadAddon } from '../server/native.js';
import { readRedis } from '../server/redis-options.js';
import { checkOptions, refused } from './check.js';
import { openRedisStore } from './redis/store.js';
import { Operation } from './store-operations.js';

export { Operation };

/**
 * Where a primitive keeps what it must not forget. A data directory is opened once in a process and shared by all that
 * name it, a server among them; the last to close closes it. `{ memory: true }`: the same object is the same store, and
 * what it holds goes with the last that uses it. `redis`: one URL, or `nodes` of a Cluster or of a primary and its
 * replicas, as for createServer; all that name the same share a connection, which keeps the process alive until it is closed.
 *
 * @typedef {{ data: string } | { memory: true } | { redis: string | { nodes: string[], cluster?: boolean,
 *   tls?: import('../server/redis-tls.js').TlsOptions } } |
 *   import('../server/server.js').Server} StoreOption
 */

/**
 * @typedef {object} Store what openStore gives
 * @property {boolean} isDurable
 * @property {(operation: number, ...args: any[]) => Promise<any>} run
 * @property {() => any} stats
 * @property {() => Promise<void>} close
 */

/** @type {WeakMap<object, StoreConnection>} */
const inMemory = new WeakMap();

/**
 * @param {unknown} store
 * @param {{ now?: () => number, ofProcess?: boolean }} [options] `now`: the store's clock in Unix milliseconds, for tests;
 *   in memory only. `ofProcess`: `{ memory: true }` is the one of the process, over all its threads
 * @returns {Store}
 * @throws {EveryonceError} BAD_OPTION; STORE_LOCKED (another process has it), STORE_UNWRITABLE, STORE_VERSION,
 *   STORE_CORRUPT (`data`); TLS_UNAVAILABLE (`redis`); CLOSED (the server is); ADDON_MISSING
 */
export function openStore(store, options = {}) {
  const given = checkOptions(store, 'store');
  if (given.memory === true && options.ofProcess) return new StoreConnection({ memory: true, ofProcess: true });
  const known = inMemory.get(given);
  if (known?.join()) return new StoreUser(known);
  const source = sourceOf(given);
  if ('redis' in source) {
    if (options.now !== undefined) throw refused('now', 'left out: the clock is that of Redis', 'BAD_OPTION');
    return openRedisStore(source.redis);
  }
  const connection = new StoreConnection(source, options);
  if (given.memory !== true) return connection;
  inMemory.set(given, connection);
  return new StoreUser(connection);
}

/**
 * @param {Record<string, any>} store
 * @returns {import('../server/native.js').StoreSource | { redis: import('./redis/store.js').RedisPlace }}
 */
function sourceOf(store) {
  const ofServer = Reflect.get(store, STORE_OF);
  if (typeof ofServer === 'function') return ofServer.call(store);
  const names = ['data', 'memory', 'redis'].filter((name) => store[name] !== undefined);
  const wanted = '{ data: directory }, { redis: URL }, { memory: true } or a server made by createServer';
  if (names.length !== 1) throw refused('store', wanted, 'BAD_OPTION');
  if (names[0] === 'redis') {
    checkOptions(store, 'store', ['redis']); // `cluster` beside it would be passed over unseen
    return { redis: placeOf(store.redis) };
  }
  if (names[0] === 'memory') {
    if (store.memory !== true) throw refused('store.memory', 'true', 'BAD_OPTION');
    return { memory: true };
  }
  const { data } = store;
  if (typeof data !== 'string' || data === '' || data.includes('\0')) {
    throw refused('store.data', "a directory's path", 'BAD_OPTION');
  }
  return { data };
}

/** @param {unknown} redis @returns {import('./redis/store.js').RedisPlace} */
function placeOf(redis) {
  try {
    const { nodes, cluster, tls } = /** @type {any} */ (readRedis(redis, undefined));
    return { nodes, cluster, tls };
  } catch (/** @type {any} */ error) {
    throw new EveryonceError('BAD_OPTION', `store.${error.message}`, { option: `store.${error.option}` });
  }
}

/** One of several users of a connection: it closes for itself alone, however often. @implements {Store} */
class StoreUser {
  #connection;
  /** @type {Promise<void> | undefined} */
  #closing;

  /** @param {StoreConnection} connection joined for this */
  constructor(connection) {
    this.#connection = connection;
  }

  get isDurable() {
    return this.#connection.isDurable;
  }

  /** @param {number} operation @param {...unknown} args @returns {Promise<any>} as of StoreConnection */
  async run(operation, ...args) {
    if (this.#closing) throw new EveryonceError('CLOSED', 'the store is closed');
    return this.#connection.run(operation, ...args);
  }

  stats() {
    return this.#connection.stats();
  }

  async close() {
    this.#closing ??= this.#connection.close();
    await this.#closing;
  }
}

/** A way to a store. Answers come in the order of the questions. */
export class StoreConnection {
  #client;
  #now;
  #users = 1;
  #lastId = 0;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  /** @type {Promise<void> | undefined} */
  #closing;
  /** @type {() => void} */
  #whenIdle = () => {};
  #lastStats;

  /**
   * @param {import('../server/native.js').StoreSource} source
   * @param {{ now?: () => number }} options
   * @param {import('../server/native.js').StoreClientConstructor} [StoreClient] another one for tests
   */
  constructor(source, { now } = {}, StoreClient = loadAddon().StoreClient) {
    try {
      this.#client = new StoreClient(source, (answers) => this.#answered(answers));
    } catch (cause) {
      const { code = 'STORE_CORRUPT', message } = /** @type {NodeJS.ErrnoException} */ (cause);
      throw new EveryonceError(code.toUpperCase(), message, { cause, option: 'store' });
    }
    this.#now = now;
    this.#lastStats = this.#client.stats();
  }

  /** Another user of the same; false where it is closed. Each closes for itself. */
  join() {
    if (this.#closing) return false;
    this.#users += 1;
    return true;
  }

  /** Whether what is answered survives the process. */
  get isDurable() {
    return this.#lastStats.durable;
  }

  /**
   * @param {number} operation see Operation
   * @param {...unknown} args
   * @returns {Promise<any>} when it is durable
   * @throws {EveryonceError} OVERLOADED: the queue is full, nothing was done; UNAVAILABLE: the store failed, and the same
   *   again tells whether it was done; CLOSED
   */
  run(operation, ...args) {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw new EveryonceError('CLOSED', 'the store is closed');
      if (this.#now) this.#client.setTime(this.#now());
      do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
      while (this.#waiting.has(this.#lastId));
      if (!this.#client.submit(this.#lastId, operation, ...args)) {
        throw new EveryonceError('OVERLOADED', 'more operations are under way than the store takes; nothing was done');
      }
      this.#waiting.set(this.#lastId, { resolve, reject });
    });
  }

  /** @returns {{ operations: number, groups: number, failures: number, refused: number, expired: number, queued: number,
   *   durable: boolean, filterLookups: number, filterSaved: number, filterFalsePositives: number, filterBytes: number,
   *   filterWarm: boolean }} of the store, over all its users in this process */
  stats() {
    if (!this.#closing) this.#lastStats = this.#client.stats();
    return { ...this.#lastStats };
  }

  /**
   * Answers what is under way, then lets the store go. Calling again does nothing more; the last user's call closes it.
   *
   * @returns {Promise<void>}
   */
  async close() {
    if (this.#users > 1) {
      this.#users -= 1;
      return;
    }
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close() {
    this.#lastStats = this.#client.stats();
    if (this.#waiting.size > 0) await new Promise((resolve) => (this.#whenIdle = () => resolve(undefined)));
    this.#client.close();
  }

  /** @param {any[]} answers id, answer, id, answer … */
  #answered(answers) {
    for (let i = 0; i < answers.length; i += 2) {
      const waiting = this.#waiting.get(answers[i]);
      this.#waiting.delete(answers[i]);
      const answer = answers[i + 1];
      if (answer?.code !== undefined && typeof answer === 'object') waiting?.reject(errorOf(answer));
      else waiting?.resolve(answer);
    }
    if (this.#waiting.size === 0) this.#whenIdle();
  }
}

/** @param {{ code: string, message: string, field?: string, about?: any }} answer */
function errorOf({ code, message, field, about }) {
  if (code === 'bad_request') return new EveryonceError('INVALID_ARGUMENT', message, { option: field });
  if (code === 'too_large') return new EveryonceError('INVALID_ARGUMENT', message);
  const retry = code === 'OVERLOADED' && about !== undefined ? { retryAfterMs: about } : {};
  return new EveryonceError(code.toUpperCase(), message, retry);
}
