/** Seed 003's optimistic lock: a version column, compared and raised in the statement that changes the row. */
import { EveryonceError } from '../protocol/errors.js';
import { databaseOf, statements } from './sql/database.js';
import { join, name, raw, sql } from './sql/statement.js';
import { badOption, checkKey, checkObject, checkRowKey } from './values.js';

/** @typedef {number | bigint | string} Version whole; a string of digits is what `pg` gives for a bigint */

/**
 * @typedef {object} CompareAndSetOptions
 * @property {string | string[]} table
 * @property {string | number | bigint | Uint8Array} key the row's id
 * @property {Version} version that was read
 * @property {string} [op] an id of this change, the same in every repeat of it; needs the column `op`
 * @property {{ id?: string, version?: string, op?: string }} [columns] default `id`, `version`, `op`
 * @property {string} [id] the column's name, as in `columns`
 */

/**
 * Changes a row if nobody else has changed it since it was read. One statement: it may be given a client inside a transaction of the
 * application's.
 *
 * Without `op` a caller whose answer was lost can't tell its own change from another's: both are STALE. With it, the row keeps the
 * id of its last change, and a repeat of that change returns the version that it made. A repeat that comes after
 * somebody else's later change is STALE even then; where that matters, use sqlOnce, which keeps every key.
 *
 * @param {any} client a Pool or Client of `pg`, a pool or connection of `mysql2`, or a Database of `better-sqlite3`
 * @param {CompareAndSetOptions} options
 * @param {Record<string, unknown>} changes column → value
 * @returns {Promise<Version>} the new version, in the type of the given one; throws STALE with `current`, NOT_FOUND,
 *   INVALID_ARGUMENT, and what the driver throws
 */
export async function compareAndSet(client, options, changes) {
  checkObject(options, 'options');
  const { columns = {}, op, version } = options;
  checkObject(columns, 'columns');
  const database = databaseOf(client);
  const table = name(options.table, 'table', { qualified: true });
  const names = { id: columns.id ?? options.id ?? 'id', version: columns.version ?? 'version', op: columns.op ?? 'op' };
  const id = name(names.id, 'id');
  const versionColumn = name(names.version, 'columns.version');
  const opColumn = name(names.op, 'columns.op');
  const key = checkRowKey(options.key);
  const next = versionAfter(version);
  if (op !== undefined) checkKey(op, 'op');

  const sets = Object.entries(checkObject(changes, 'changes')).map(([column, value]) => {
    if (Object.values(names).includes(column))
      throw badOption('changes', `without ${column}: it is set by this function`);
    if (value === undefined) throw badOption(`changes.${column}`, 'a value; null for none');
    return sql`${name(column, 'changes')} = ${value}`;
  });
  sets.push(sql`${versionColumn} = ${versionColumn} + 1`);
  if (op !== undefined) sets.push(sql`${opColumn} = ${op}`);

  const change = sql`UPDATE ${table} SET ${join(sets, ', ')} WHERE ${id} = ${key} AND ${versionColumn} = ${version}`;
  // A locking read sees what is stored now, where a plain one inside a transaction may see what was.
  const lock = raw(database.kind === 'sqlite' ? '' : ' FOR UPDATE');
  const seenOp = op === undefined ? raw('NULL') : sql`${opColumn}`;
  const look = sql`SELECT ${versionColumn} AS version, ${seenOp} AS op FROM ${table} WHERE ${id} = ${key}${lock}`;
  const attempt = async () => {
    if ((await database.run(change)).count > 0) return next;
    const { rows } = await database.run(look);
    if (rows.length === 0) throw new EveryonceError('NOT_FOUND', 'There is no row with this key.', { key });
    const current = sameType(rows[0].version, version);
    // Nobody has changed it since: this is a repeat, and its first answer was lost.
    if (op !== undefined && rows[0].op !== null && String(rows[0].op) === op) return current;
    throw new EveryonceError('STALE', undefined, { key, current });
  };
  return statements(database, attempt);
}

/** @param {unknown} version @returns {Version} */
function versionAfter(version) {
  if (typeof version === 'bigint') return version + 1n;
  if (Number.isSafeInteger(version)) return Number(version) + 1;
  if (typeof version === 'string' && /^-?\d{1,19}$/.test(version)) return String(BigInt(version) + 1n);
  throw badOption('version', 'a whole number, a bigint or a string of digits');
}

/** @param {any} found @param {unknown} like @returns {Version} */
function sameType(found, like) {
  if (typeof like === 'bigint') return BigInt(found);
  return typeof like === 'string' ? String(found) : Number(found);
}
