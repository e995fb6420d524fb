// The store of a primitive in Redis: the same operations as the embedded one (../store.js), by the scripts of lua/.

import { createHash } from 'node:crypto';
import { EveryonceError } from '../../protocol/errors.js';
import { loadAddon } from '../../server/native.js';
import { MIGRATION_KEY } from './keys.js';
import { redisOperations } from './operations.js';

/**
 * @typedef {object} RedisPlace
 * @property {string[]} nodes
 * @property {boolean | undefined} cluster
 * @property {import('../../server/redis-tls.js').TlsSettings} [tls]
 */

/** By what they are connected to, so that all primitives of a thread share one. @type {Map<string, SharedClient>} */
const opened = new Map();

/** Operations under way: what Redis does in a second or so, so that the last of them is answered before its deadline. */
const MAX_UNDER_WAY = 20_000;
/** Of their keys and arguments, about: beyond it the client of a connected Redis takes nothing either. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

/** Error replies of a server that may do it later: nothing was done. */
const PASSING =
  /^(OOM|MISCONF|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN|READONLY|MASTERDOWN|UNKILLABLE|MOVED|ASK)\b/;

/**
 * @param {RedisPlace} place
 * @returns {RedisStore} nothing is connected before it is asked
 * @throws {EveryonceError} BAD_OPTION, TLS_UNAVAILABLE
 */
export function openRedisStore({ nodes, cluster, tls }) {
  const name = createHash('sha256')
    .update(JSON.stringify([nodes, cluster, tls]))
    .digest('hex');
  let shared = opened.get(name);
  if (shared === undefined) {
    const { Redis } = loadAddon();
    try {
      shared = new SharedClient(
        new Redis({ nodes, ...(cluster === undefined ? {} : { cluster }), ...(tls && { tls }) }),
      );
    } catch (cause) {
      const { code = 'BAD_OPTION', message, field = '' } = /** @type {any} */ (cause);
      const option = field.startsWith('redis.') ? `store.${field}` : 'store.redis';
      throw new EveryonceError(code, message, { cause, option });
    }
    opened.set(name, shared);
    shared.onEnd = () => opened.delete(name);
  }
  return new RedisStore(shared);
}

/**
 * One user's way to a Redis; as StoreConnection. Each operation is one script, atomic in Redis; one whose answer was lost is
 * asked for again within five seconds, and told the same. Keeps the process alive until it is closed.
 */
export class RedisStore {
  #shared;
  #underWay = 0;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** @type {() => void} */
  #whenIdle = () => {};

  /** @param {SharedClient} shared */
  constructor(shared) {
    this.#shared = shared;
    shared.users += 1;
  }

  /** What is answered survives this process; what Redis itself may lose is its own affair (docs/redis.md). */
  get isDurable() {
    return true;
  }

  /**
   * @param {number} operation see Operation
   * @param {...unknown} args
   * @returns {Promise<any>} when Redis has it
   * @throws {EveryonceError} OVERLOADED: nothing was done; UNAVAILABLE: the same again tells whether it was done; CLOSED;
   *   MIGRATION_UNFINISHED: there is half of a store; REDIS_AUTH, REDIS_TLS, REDIS_WRONG_SERVER, REDIS_PROTOCOL, REDIS_REFUSED: of what is behind the address
   */
  async run(operation, ...args) {
    if (this.#closing) throw new EveryonceError('CLOSED', 'the store is closed');
    this.#underWay += 1;
    try {
      return await this.#shared.run(operation, args);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenIdle();
    }
  }

  /** As of StoreConnection, over all users of the same place; `redis`: of the client. `groups`: scripts run. */
  stats() {
    return this.#shared.stats();
  }

  /** Answers what is under way, then lets it go; the last user's call ends the connections. @returns {Promise<void>} */
  async close() {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close() {
    if (this.#underWay > 0) await new Promise((resolve) => (this.#whenIdle = () => resolve(undefined)));
    this.#shared.users -= 1;
    if (this.#shared.users === 0) this.#shared.end();
  }
}

/** The client that all users of a place share. */
export class SharedClient {
  users = 0;
  /** Called when it ends. */
  onEnd = () => {};
  #client;
  #operations;
  #most;
  #underWay = 0;
  #characters = 0;
  #counts = { operations: 0, groups: 0, failures: 0, refused: 0 };
  /** Nothing is being moved here, or was only in part; asked once, before the first operation. */
  #isWhole = false;
  /** @type {Promise<void> | undefined} */
  #asking;

  /**
   * @param {import('../../server/native.js').Redis} client closed with this
   * @param {{ most?: number }} [options] operations under way
   */
  constructor(client, { most = MAX_UNDER_WAY } = {}) {
    this.#client = client;
    this.#most = most;
    this.#operations = redisOperations({
      run: (name, keys, args) => this.#send([keys, args], () => client.script(name, keys, args)),
      runAll: (name, calls) => this.#send(calls, () => client.scripts(name, calls)),
    });
  }

  /** @param {number} operation @param {unknown[]} args @returns {Promise<any>} */
  async run(operation, args) {
    if (this.#underWay >= this.#most) throw this.#full();
    this.#underWay += 1;
    this.#counts.operations += 1;
    try {
      return await this.#operations[operation](...args);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#underWay -= 1;
    }
  }

  stats() {
    const filter = { filterLookups: 0, filterSaved: 0, filterFalsePositives: 0, filterBytes: 0, filterWarm: false };
    const { evals, redirects, retries, topologies } = this.#client.stats();
    const redis = { evals, redirects, retries, topologies };
    return { ...this.#counts, expired: 0, queued: this.#underWay, durable: true, ...filter, redis };
  }

  end() {
    this.onEnd();
    this.#client.close();
  }

  /** @template T @param {string[][]} calls keys, arguments, keys … @param {() => Promise<T>} act @returns {Promise<T>} */
  async #send(calls, act) {
    let characters = 0;
    for (const texts of calls) for (const text of texts) characters += text.length;
    if (this.#characters + characters > MAX_CHARACTERS) throw this.#full();
    this.#counts.groups += calls.length / 2;
    this.#characters += characters;
    try {
      if (!this.#isWhole) await (this.#asking ??= this.#needWhole());
      return await act();
    } finally {
      this.#characters -= characters;
    }
  }

  /** Half of a store would be taken for all of it: numbers would come again, claims be free that are held. */
  async #needWhole() {
    try {
      const state = await this.#client.command(['HGET', MIGRATION_KEY, 'state'], MIGRATION_KEY, true);
      if (state === 'moving') {
        const wanted = 'run the same `everyonce migrate` again to its end, or remove the keys eo:*';
        const message = `a store is being moved to this Redis, or that was broken off: ${wanted}`;
        throw new EveryonceError('MIGRATION_UNFINISHED', message, { option: 'store.redis' });
      }
      this.#isWhole = true;
    } finally {
      this.#asking = undefined;
    }
  }

  /** @param {unknown} [cause] */
  #full(cause) {
    this.#counts.refused += 1;
    return new EveryonceError('OVERLOADED', 'more waits for Redis than may; nothing was done', { cause });
  }

  /** @param {any} cause @returns {unknown} */
  #failed(cause) {
    const { code, message } = cause;
    if (cause instanceof EveryonceError || typeof code !== 'string') return cause;
    if (code === 'REDIS_BUSY') return this.#full(cause);
    this.#counts.failures += 1;
    const isPassing = ['REDIS_UNREACHABLE', 'REDIS_UNKNOWN', 'REDIS_TIMEOUT'].includes(code);
    if (isPassing || (code === 'REDIS_REFUSED' && PASSING.test(message))) {
      return new EveryonceError('UNAVAILABLE', `Redis could not be asked: ${message}`, { cause });
    }
    return new EveryonceError(code, message, { cause, option: 'store.redis' });
  }
}
