/** The database behind the client that an application gave, and transactions on it that are run again when they must be. */
import { setTimeout as wait } from 'node:timers/promises';
import { EveryonceError } from '../../protocol/errors.js';
import { MysqlDatabase } from './mysql.js';
import { PostgresDatabase } from './postgres.js';
import { SqliteDatabase } from './sqlite.js';

/** @typedef {PostgresDatabase | MysqlDatabase | SqliteDatabase} Database */

/** How often a transaction that lost to another one is run again, and the longest wait before that. */
const RETRIES = 10;
const BACKOFF_MS = { first: 5, most: 500 };

/**
 * @param {unknown} client of `pg`, `mysql2` or `better-sqlite3`
 * @returns {Database} throws INVALID_ARGUMENT
 */
export function databaseOf(client) {
  if (SqliteDatabase.takes(client)) return new SqliteDatabase(client);
  if (MysqlDatabase.takes(client)) return new MysqlDatabase(client);
  if (PostgresDatabase.takes(client)) return new PostgresDatabase(client);
  throw new EveryonceError(
    'INVALID_ARGUMENT',
    'client must be a pool or client of pg, a pool or connection of mysql2, or a Database of better-sqlite3',
    { option: 'client' },
  );
}

/** Thrown by steps that met a state which another transaction was just changing: they are run again. */
export class Again extends Error {}

/**
 * Runs steps in a transaction. Serialization failures, deadlocks and a lock that can't be had roll it back, and the whole of it is
 * run again, a bounded number of times, with a growing random wait in between.
 *
 * @param {Database} database
 * @param {(tx: any) => import('./steps.js').Steps} steps
 * @param {{ retries?: number, isolation?: string }} [options]
 * @returns {Promise<any>} what the steps return; CONTENTION when it was in vain
 */
export function transact(database, steps, { retries, isolation } = {}) {
  return again(database, () => database.transaction(steps, { isolation }), retries);
}

/**
 * @template Result
 * @param {Database} database
 * @param {() => Result | Promise<Result>} attempt
 * @param {number} [retries]
 * @returns {Promise<Result>}
 */
export async function again(database, attempt, retries = RETRIES) {
  if (!Number.isSafeInteger(retries) || retries < 0 || retries > 1000) {
    throw new EveryonceError('INVALID_ARGUMENT', 'retries must be a whole number from 0 to 1000', {
      option: 'retries',
    });
  }
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (/** @type {any} */ error) {
      if (!(error instanceof Again) && !database.isTransient(error)) throw error;
      if (failures >= retries) {
        throw new EveryonceError('CONTENTION', undefined, {
          attempts: failures + 1,
          cause: error instanceof Again ? error.cause : error,
        });
      }
    }
    await wait(Math.random() * Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.most));
  }
}

/**
 * Runs statements that are no transaction of their own, so that they may be part of one of the application's. There an attempt
 * that fails is not made again: it is for the application to run its whole transaction again.
 *
 * @template Result
 * @param {Database} database
 * @param {() => Promise<Result>} attempt
 * @returns {Promise<Result>}
 */
export async function statements(database, attempt) {
  const once = await database.apart(() => database.isInTransaction());
  const run = () => database.apart(attempt);
  if (!once) return again(database, run);
  try {
    return await run();
  } catch (error) {
    throw error instanceof Again ? new EveryonceError('CONTENTION', undefined, { cause: error.cause }) : error;
  }
}
