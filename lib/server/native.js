// The one place that loads the addon, and the shape of what it exports. Everything above takes an Engine as a value, so
// that tests can pass another.

import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EveryonceError } from '../protocol/errors.js';

/**
 * @typedef {object} EngineOptions
 * @property {string | null} data directory of the embedded store; null: in memory
 * @property {import('./redis-options.js').RedisSettings | null} [redis] keep everything in Redis instead
 * @property {boolean} fsync sync each group of commits before it is acked
 * @property {boolean} [restored] begin new epochs: the store may have lost the end of its logs
 * @property {string} node name of this server, told in `welcome`
 * @property {{ frame: number, body: number, window: number, page: number, rate: number, userRate?: number,
 *   addressRate?: number, packageTimeout?: number }} limits bytes, bytes, messages, items, packets per second (thrice), ms
 * @property {number} dedupWindowMs how long an `id` without `n` is remembered
 * @property {'off' | 'accepted' | 'required'} [tokens] what ids of messages must be: any; good where they look like tokens; tokens
 * @property {number} [tokenTtlMs] how long a token is good
 * @property {string} [tokenKey] what signs them; default: a key kept in the store
 * @property {import('./options.js').Retention | null} retention null: nothing is ever removed
 * @property {boolean | string} [archive] ask by kArchive for what retention has removed; a string names the consumer group that
 *   writes the archive: before it is there, nothing is removed
 * @property {boolean} [authorize] ask by kAuthorize before what a user sends, reads or changes is done
 * @property {{ message: boolean }} events whether a record is wanted for each accepted message
 */

/**
 * The engine: everything between received frames and frames to be written. Connections are integers that the server
 * chooses. All methods return at once; answers come to the `onBatch` given to its constructor.
 *
 * @typedef {object} Engine
 * @property {(connection: number, address?: string) => void} open a socket was upgraded; connections of one address share a rate
 * @property {(bytes: Buffer, index: Uint32Array, count: number) => number} submit takes received frames, triplets of
 *   (connection, offset, length) into `bytes`; copies them; returns how many it took from the front
 * @property {(connection: number, user: string) => void} accept who a kAuthenticate record's connection is
 * @property {(question: number, allowed: boolean) => void} authorized the answer to a kAuthorize record
 * @property {(connection: number) => void} close the socket is gone, nothing is written to it any more
 * @property {(connection: number, lagging: boolean) => void} lagging its output buffer is above its bound, or below again
 * @property {(requestId: number, user: string, packet: Buffer, device?: string, forClient?: boolean) => unknown} request
 *   the application's own packet, as `user` ('' the server itself) from `device` (none: `server`), or `forClient`, one that
 *   it hands on and that is judged as a device's; one kAnswer record answers it
 * @property {(afterMs: number) => void} drain tells everybody to reconnect after so many milliseconds
 * @property {(messages: boolean) => void} setEvents whether a record is wanted for each accepted message
 * @property {(requestId: number, conv: string | null, after: string | number, limit: number) => unknown} inspect what the
 *   store holds: conversations behind a name (conv null), or one's messages above a seq; a kAnswer record
 *   {"t":"ok","found"} or {"t":"error",…}
 * @property {(requestId: number, dir: string) => unknown} checkpoint makes a copy of the store in a new directory on its
 *   own file system, marked as one; a kAnswer record
 * @property {(question: number, texts: string[] | null) => void} archived the answer to a kArchive record: for each hole the
 *   packets in its place as JSON text joined by commas, '' to leave it; null: the archive can't be read
 * @property {(requestId: number, call: Record<string, any>) => unknown} feed what a consumer group asks: `action` and what
 *   belongs to it (lib/server/feeds.js); a kAnswer record. {"event":"feed","group"} is the bell
 * @property {() => void} stop finishes what is in flight, closes the store; a kStopped record is the last
 * @property {() => string[]} warnings what is unsafe about how the store is set up, a sentence each
 * @property {() => Record<string, any>} stats counters since the start
 */

/**
 * Called once per wake of the engine. `index` holds quads of (kind, id, a, b), see `Kind`. `bytes` is the callee's to
 * read until it returns and to keep as long as it likes: the engine never writes into it again.
 *
 * @typedef {(bytes: Buffer, index: Uint32Array) => void} OnBatch
 */

/** @typedef {new (options: EngineOptions, onBatch: OnBatch) => Engine} EngineConstructor */

/**
 * A store that no server has open, for the command line. Opening takes the directory's lock; a missing store would be
 * made. Answers are JSON packets: {"t":"ok",…}, {"t":"error","code","message"}.
 *
 * @typedef {object} Store
 * @property {(conv: string | null, after: string | number, limit: number) => string} inspect as Engine's
 * @property {(dir: string) => string} checkpoint as Engine's
 * @property {() => void} close
 */

/** @typedef {new (dir: string) => Store} StoreConstructor */

/**
 * What a StoreClient is opened on: a data directory, memory of its own, or where a running engine keeps its log.
 *
 * `ofProcess`: the one that all threads of the process share.
 *
 * @typedef {{ data: string } | { memory: true, ofProcess?: boolean } | { engine: Engine }} StoreSource
 */

/**
 * One user of a store's primitives; lib/primitives/store.js names the operations. An answer that is on its way keeps the
 * event loop alive, and nothing else does.
 *
 * @typedef {object} StoreClient
 * @property {(id: number, operation: number, ...args: any[]) => boolean} submit false: the queue is full; else one answer
 *   comes
 * @property {(nowMs: number) => void} setTime the store's clock from now on, for tests; in memory only
 * @property {() => void} close lets the store go; no answer may be on its way
 * @property {() => any} stats of the store, over all its users
 */

/**
 * `onAnswers` is called with (id, answer) pairs, one after the other in one array, in the order of the questions. An answer
 * is a value, an array of values, or { code, message, field?, about? }.
 *
 * @typedef {new (source: StoreSource, onAnswers: (answers: any[]) => void) => StoreClient} StoreClientConstructor
 */

/** What an object has that may be given as a primitive's `store`: a method that gives the StoreSource. */
export const STORE_OF = Symbol('everyonce store');

/** What a record of a batch is. The same numbers stand in src/runtime; a test compares them. */
export const Kind = Object.freeze({
  /** bytes[a, a+b) are complete WebSocket frames for connection `id` */
  WRITE: 0,
  /** close connection `id` with WebSocket close code `a` */
  CLOSE: 1,
  /** bytes[a, a+b) is {"token","device"} of connection `id`: who is it? */
  AUTHENTICATE: 2,
  /** bytes[a, a+b) answers request `id` */
  ANSWER: 3,
  /** bytes[a, a+b) is {"event",…} for the application */
  EVENT: 4,
  /** submit takes frames again */
  DRAIN: 5,
  /** the last record: the store is closed */
  STOPPED: 6,
  /** bytes[a, a+b) is {"action","user","conv","members"?} of question `id`: may the user? */
  AUTHORIZE: 7,
  /** bytes[a, a+b) is {"holes":[[conv, epoch, from, to] …]} of question `id`: what was there? */
  ARCHIVE: 8,
});

const BUILT = new URL('../../build/Release/everyonce.node', import.meta.url);

/**
 * The native client of Redis, on Node's own loop (docs/redis.md). Rejections are errors with `code`, one of REDIS_…, CLOSED:
 * REDIS_UNKNOWN and REDIS_TIMEOUT may have been done. An open client keeps the process alive.
 *
 * @typedef {object} Redis
 * @property {(command: (string | Buffer)[], key?: string, idempotent?: boolean) => Promise<any>} command to the node that
 *   serves `key`. `idempotent`: may be sent again after a lost connection. Replies: strings, numbers, null, arrays
 * @property {(script: string, keys: (string | Buffer)[], args: (string | Buffer)[]) => Promise<any>} script runs lua/SCRIPT.lua;
 *   all keys in one slot. Lost answers are asked for again
 * @property {(script: string, calls: (string | Buffer)[][]) => Promise<any[]>} scripts the same script many times in one crossing:
 *   keys, arguments, keys, arguments …, each call in a slot of its own. All answers, or the first failure when all are answered
 * @property {() => Promise<{ version: string, cluster: boolean, appendOnly: boolean, replicas: number, maxmemoryPolicy: string }>}
 *   describe connects, and tells to what
 * @property {() => Record<string, number>} stats counters since the start
 * @property {() => void} close rejects what is unanswered
 */

/** @typedef {new (options: { nodes: string[], cluster?: boolean, timeoutMs?: number,
 *   tls?: import('./redis-tls.js').TlsSettings }) => Redis} RedisConstructor */

/**
 * How much there is of what. Bytes are of the bodies of messages. `windowOver`: ids of sends without `n` that stay behind,
 * since they are older than the window.
 *
 * @typedef {Record<'conversations' | 'messages' | 'bytes' | 'members' | 'senders' | 'acked' | 'read' | 'devices' | 'window' |
 *   'windowOver' | 'tokens' | 'groups' | 'letters' | 'claims' | 'counters' | 'workers' | 'waiting', number>} MigrationCounts
 */

/**
 * `keys` of about `ofKeys` were looked at in this step. `resumed`: it goes on with one that was broken off.
 *
 * @typedef {{ step: 'looking' | 'writing' | 'reading' | 'done', resumed: boolean, keys: number, ofKeys: number,
 *   counts: MigrationCounts }} MigrationProgress
 */

/**
 * Moves a store that no server has open to a Redis that holds none, for the command line. Opening takes the directory's
 * lock; the store is not changed.
 *
 * @typedef {object} Migration
 * @property {() => Promise<MigrationCounts>} run once: writes all of it and reads it back. Rejections are errors with `code`:
 *   MIGRATION_REFUSED, MIGRATION_FAILED, REDIS_…, STORE_CORRUPT, CLOSED
 * @property {() => MigrationProgress} progress
 * @property {() => void} close breaks off what is under way, and lets the store go
 */

/**
 * @typedef {new (options: { data: string, nodes: string[], cluster?: boolean, replicas?: number, replicaTimeoutMs: number,
 *   dedupWindowMs: number }) => Migration} MigrationConstructor
 */

/** @typedef {{ Engine: EngineConstructor, Redis: RedisConstructor, Store: StoreConstructor,
 *   StoreClient: StoreClientConstructor, Migration: MigrationConstructor }} Addon */

/** @type {Addon | undefined} */
let loaded;

/**
 * The addon, loaded on first use so that a program that only wants the client needs none.
 *
 * @returns {Addon}
 * @throws {EveryonceError} ADDON_MISSING where it is not built, or built for another Node
 */
export function loadAddon() {
  if (loaded) return loaded;
  const path = fileURLToPath(BUILT);
  if (!existsSync(path)) {
    throw new EveryonceError('ADDON_MISSING', `the native addon is not built (${path}): run \`npm run setup\``);
  }
  try {
    loaded = createRequire(import.meta.url)(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new EveryonceError('ADDON_MISSING', `the native addon can't be loaded: ${reason}: run \`npm run setup\``);
  }
  return /** @type {Addon} */ (loaded);
}
