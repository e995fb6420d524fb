/** One transaction at a time on one connection, and none inside another. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EveryonceError } from '../../protocol/errors.js';

/** The end of the last transaction that asked for a connection. @type {WeakMap<object, Promise<unknown>>} */
const queues = new WeakMap();

/** @typedef {{ connection: object, open: boolean }} Turn */

/** The turns that the running code is inside of, or was begun in. @type {AsyncLocalStorage<readonly Turn[]>} */
const turns = new AsyncLocalStorage();

/** @param {object} connection */
const isInside = (connection) => (turns.getStore() ?? []).some((turn) => turn.open && turn.connection === connection);

/** @returns {EveryonceError} */
export const inTransaction = () =>
  new EveryonceError('IN_TRANSACTION', 'The connection is inside a transaction already; give a pool, or begin none.');

/**
 * @template Result
 * @param {object} connection
 * @param {() => Result | Promise<Result>} task
 * @returns {Promise<Result>} IN_TRANSACTION where the caller is itself inside a transaction of this connection: waiting for
 *   it would be waiting for ever
 */
export async function inTurn(connection, task) {
  if (isInside(connection)) throw inTransaction();
  const before = queues.get(connection);
  const mine = { connection, open: true };
  const enter = () => turns.run([...(turns.getStore() ?? []), mine], task);
  const turn = before === undefined ? Promise.resolve(enter()) : before.then(enter);
  const settled = turn.then(
    () => {},
    () => {},
  );
  queues.set(connection, settled);
  try {
    return await turn;
  } finally {
    // What was begun inside and goes on afterwards is outside.
    mine.open = false;
    // The last one leaves nothing behind, so that the next begins at once.
    if (queues.get(connection) === settled) queues.delete(connection);
  }
}

/**
 * For single statements: in a turn of their own, or at once where the caller is inside the connection's transaction and means to be.
 *
 * @template Result
 * @param {object} connection
 * @param {() => Result | Promise<Result>} task
 * @returns {Promise<Result>}
 */
export async function inTurnOrInside(connection, task) {
  return isInside(connection) ? task() : inTurn(connection, task);
}
