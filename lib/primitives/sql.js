// What the primitives need of a database that the application brings: a pool, plain statements, errors in our words.

import { EveryonceError } from '../protocol/errors.js';
import { refused } from './check.js';

/**
 * @param {unknown} name of a table, perhaps with a schema in front
 * @param {string} option
 * @returns {string} safe to stand in a statement
 */
export function checkTable(name, option) {
  const plain = typeof name === 'string' && /^([A-Za-z_][A-Za-z0-9_]{0,47}\.)?[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(name);
  if (!plain) throw refused(option, 'a plain name of letters, digits and _, perhaps with a schema', 'BAD_OPTION');
  return /** @type {string} */ (name);
}

/**
 * Runs `act`; where a table is missing, makes it and runs `act` again.
 *
 * @template T
 * @param {() => Promise<T>} act
 * @param {(error: any) => boolean} isMissing
 * @param {() => Promise<unknown>} migrate
 * @returns {Promise<T>}
 * @throws {EveryonceError} UNAVAILABLE, with the database's error as its cause: the same again tells whether it was done
 */
export async function withTable(act, isMissing, migrate) {
  try {
    try {
      return await act();
    } catch (error) {
      if (!isMissing(error)) throw error;
      await migrate();
      return await act();
    }
  } catch (/** @type {any} */ cause) {
    if (cause instanceof EveryonceError) throw cause;
    throw new EveryonceError('UNAVAILABLE', `the database could not be asked: ${cause?.message}`, { cause });
  }
}

/** PostgreSQL's undefined_table. @param {any} error */
export const isMissingInPostgres = (error) => error?.code === '42P01';

/** MySQL's ER_NO_SUCH_TABLE. @param {any} error */
export const isMissingInMysql = (error) => error?.errno === 1146;

/**
 * @param {any} pool
 * @param {string} option
 * @param {string} wanted
 */
export function checkPool(pool, option, wanted) {
  if (typeof pool?.query !== 'function') throw refused(option, wanted, 'BAD_OPTION');
  return pool;
}

/**
 * Runs the statements that make a table, in one transaction behind the lock that all of our migrations take: two sessions that
 * run CREATE TABLE IF NOT EXISTS of one name at once may both find nothing, and one fails on the catalogue's unique index.
 *
 * @param {any} pool a Pool or Client of `pg`
 * @param {string[]} statements without parameters
 */
export async function migrateInPostgres(pool, statements) {
  // In one simple query: one implicit transaction, on one connection.
  await pool.query(["SELECT pg_advisory_xact_lock(hashtext('everyonce migrate'))", ...statements].join(';\n'));
}
