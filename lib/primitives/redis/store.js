// The store of a primitive in Redis: the same operations as the embedded one (../store.js), by the scripts of lua/.

import { EveryonceError } from '../../protocol/errors.js';
import { loadAddon } from '../../server/native.js';
import { redisOperations } from './operations.js';

/** @typedef {{ nodes: string[], cluster: boolean | undefined }} RedisPlace */

/** By what they are connected to, so that all primitives of a thread share one client. @type {Map<string, RedisStore>} */
const opened = new Map();

/** Operations under way: what Redis does in a second or so, so that the last of them is answered before its deadline. */
const MAX_UNDER_WAY = 20_000;

/** Error replies of a server that may do it later: nothing was done. */
const PASSING =
  /^(OOM|MISCONF|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN|READONLY|MASTERDOWN|UNKILLABLE|MOVED|ASK)\b/;

/**
 * @param {RedisPlace} place
 * @returns {RedisStore} the one that is open, or a new one; nothing is connected before it is asked
 * @throws {EveryonceError} BAD_OPTION, TLS_UNAVAILABLE
 */
export function openRedisStore({ nodes, cluster }) {
  const name = JSON.stringify([nodes, cluster]);
  const known = opened.get(name);
  if (known?.join()) return known;
  const { Redis } = loadAddon();
  let client;
  try {
    client = new Redis(cluster === undefined ? { nodes } : { nodes, cluster });
  } catch (cause) {
    const { code = 'BAD_OPTION', message } = /** @type {any} */ (cause);
    throw new EveryonceError(code, message, { cause, option: 'store.redis' });
  }
  const store = new RedisStore(client, { forget: () => opened.delete(name) });
  opened.set(name, store);
  return store;
}

/**
 * As StoreConnection. Each operation is one script, atomic in Redis; one whose answer was lost is asked for again within
 * five seconds, and told the same. Keeps the process alive until it is closed.
 */
export class RedisStore {
  #client;
  #operations;
  #forget;
  #most;
  #users = 1;
  #underWay = 0;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** @type {() => void} */
  #whenIdle = () => {};
  #counts = { operations: 0, groups: 0, failures: 0, refused: 0 };

  /**
   * @param {import('../../server/native.js').Redis} client closed with this
   * @param {{ forget?: () => void, most?: number }} [options] `forget` is called when it closes; `most` operations under way
   */
  constructor(client, { forget = () => {}, most = MAX_UNDER_WAY } = {}) {
    this.#client = client;
    this.#forget = forget;
    this.#most = most;
    this.#operations = redisOperations({
      run: (name, keys, args) => this.#counted(1, client.script(name, keys, args)),
      runAll: (name, calls) => this.#counted(calls.length / 2, client.scripts(name, calls)),
    });
  }

  /** Another user of the same; false where it is closed. Each closes for itself. */
  join() {
    if (this.#closing) return false;
    this.#users += 1;
    return true;
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
   *   REDIS_AUTH, REDIS_WRONG_SERVER, REDIS_PROTOCOL, REDIS_REFUSED: of what is behind the address
   */
  async run(operation, ...args) {
    if (this.#closing) throw new EveryonceError('CLOSED', 'the store is closed');
    if (this.#underWay >= this.#most) throw this.#full();
    this.#underWay += 1;
    this.#counts.operations += 1;
    try {
      return await this.#operations[operation](...args);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenIdle();
    }
  }

  /** As of StoreConnection; `redis`: of the client. `groups`: scripts run. */
  stats() {
    const filter = { filterLookups: 0, filterSaved: 0, filterFalsePositives: 0, filterBytes: 0, filterWarm: false };
    const { evals, redirects, retries, topologies } = this.#client.stats();
    const redis = { evals, redirects, retries, topologies };
    return { ...this.#counts, expired: 0, queued: this.#underWay, durable: true, ...filter, redis };
  }

  /** Answers what is under way, then ends the connections; the last user's call does so. @returns {Promise<void>} */
  async close() {
    if (this.#users > 1) {
      this.#users -= 1;
      return;
    }
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close() {
    this.#forget();
    if (this.#underWay > 0) await new Promise((resolve) => (this.#whenIdle = () => resolve(undefined)));
    this.#client.close();
  }

  /** @template T @param {number} scripts @param {Promise<T>} answer */
  #counted(scripts, answer) {
    this.#counts.groups += scripts;
    return answer;
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
