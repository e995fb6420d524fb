/** Seed 003's state machine: an event moves a row on if its state allows, and again is no event. */
import { EveryonceError } from '../protocol/errors.js';
import { Again, databaseOf, statements } from './sql/database.js';
import { join, name, raw, sql } from './sql/statement.js';
import { badOption, checkObject, checkRowKey } from './values.js';

/** @typedef {Record<string, Record<string, string>>} Moves state → event → next state */

/**
 * @typedef {object} TransitionOptions
 * @property {string | string[]} table
 * @property {string | number | bigint | Uint8Array} key the row's id
 * @property {string} event
 * @property {Moves} moves
 * @property {string} [initial] the state of a new row; default: all states that no move leads to
 * @property {Record<string, unknown>} [set] other columns to change with it
 * @property {{ id?: string, state?: string }} [columns] default `id`, `state`
 * @property {string} [id] the column's name, as in `columns`
 * @property {string} [state] the column's name, as in `columns`
 */

/**
 * Moves a row on by an event. The same event again changes nothing and says so (`repeated`), also when the row has moved on since; an
 * event that the state does not allow is refused. It may be given a client inside a transaction of the application's, so that what
 * follows from the move is stored with it: do that only where `repeated` is false.
 *
 * The row has no memory but its state, so a repeat is known by that: either the state is one to which the event leads, or it is
 * one that no row can reach without the event. Where another way leads to the state as well (an order cancelled
 * before or after it was paid), the event is refused rather than called done.
 *
 * @param {any} client a Pool or Client of `pg`, a pool or connection of `mysql2`, or a Database of `better-sqlite3`
 * @param {TransitionOptions} options
 * @returns {Promise<{ from: string, to: string, repeated: boolean }>} of a repeat, the move that it repeats; throws IMPOSSIBLE (with
 *   `state`), NOT_FOUND, INVALID_ARGUMENT, CONTENTION, and what the driver throws
 */
export async function transition(client, options) {
  checkObject(options, 'options');
  const { event, columns = {}, set = {} } = options;
  const database = databaseOf(client);
  const table = name(options.table, 'table', { qualified: true });
  const id = name(columns.id ?? options.id ?? 'id', 'id');
  const stateName = columns.state ?? options.state ?? 'state';
  const state = name(stateName, 'state');
  const key = checkRowKey(options.key);
  const moves = checkMoves(options.moves);
  if (typeof event !== 'string' || event === '') throw badOption('event', 'the name of an event');
  if (!moves.some((move) => move.event === event)) throw badOption('event', 'one that moves names');
  const others = Object.entries(checkObject(set, 'set')).map(([column, value]) => {
    if (column === stateName) throw badOption('set', `without ${column}: it is set by this function`);
    return sql`${name(column, 'set')} = ${value}`;
  });
  // A locking read sees what is stored now, where a plain one inside a transaction may see what was.
  const lock = raw(database.kind === 'sqlite' ? '' : ' FOR UPDATE');

  const attempt = async () => {
    const { rows } = await database.run(sql`SELECT ${state} AS state FROM ${table} WHERE ${id} = ${key}${lock}`);
    if (rows.length === 0) throw new EveryonceError('NOT_FOUND', 'There is no row with this key.', { key });
    const from = String(rows[0].state);
    const move = moves.find((one) => one.from === from && one.event === event);
    if (!move) {
      const repeated = repeatedMove(moves, event, from, options.initial);
      if (repeated) return { ...repeated, repeated: true };
      throw new EveryonceError('IMPOSSIBLE', `${event} is not possible in the state ${from}.`, {
        key,
        event,
        state: from,
      });
    }
    const sets = join([sql`${state} = ${move.to}`, ...others], ', ');
    const { count } = await database.run(sql`UPDATE ${table} SET ${sets} WHERE ${id} = ${key} AND ${state} = ${from}`);
    if (count === 0) throw new Again('another event came first');
    return { from, to: move.to, repeated: false };
  };
  return statements(database, attempt);
}

/** @typedef {{ from: string, event: string, to: string }} Move */

/** @param {unknown} moves @returns {Move[]} */
function checkMoves(moves) {
  const list = Object.entries(checkObject(moves, 'moves')).flatMap(([from, events]) =>
    Object.entries(checkObject(events, `moves.${from}`)).map(([event, to]) => {
      if (typeof to !== 'string' || to === '') throw badOption(`moves.${from}.${event}`, 'the name of a state');
      return { from, event, to };
    }),
  );
  if (list.length === 0) throw badOption('moves', '{ state: { event: next state } } with at least one move');
  return list;
}

/**
 * @param {Move[]} moves @param {string} event @param {string} state where the row is
 * @param {string} [initial]
 * @returns {{ from: string, to: string } | undefined} the move that has been made before, if one surely has
 */
export function repeatedMove(moves, event, state, initial) {
  const ours = moves.filter((move) => move.event === event);
  const direct = ours.find((move) => move.to === state);
  if (direct) return { from: direct.from, to: direct.to };
  const targets = new Set(moves.filter((move) => move.from !== move.to).map((move) => move.to));
  const sources = [...new Set(moves.map((move) => move.from))].filter((one) => !targets.has(one));
  const starts = initial === undefined ? sources : [initial];
  if (
    starts.length === 0 ||
    reach(
      moves.filter((move) => move.event !== event),
      starts,
    ).has(state)
  )
    return undefined;
  const passed = ours.find((move) => reach(moves, [move.to]).has(state));
  return passed && { from: passed.from, to: passed.to };
}

/** @param {Move[]} moves @param {string[]} starts @returns {Set<string>} the states that can be reached, with the starts */
function reach(moves, starts) {
  const reached = new Set(starts);
  // A set that grows while it is walked is walked to its end.
  for (const state of reached) for (const move of moves) if (move.from === state) reached.add(move.to);
  return reached;
}
