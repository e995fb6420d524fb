/** Seed 003's pessimistic lock: SELECT … FOR UPDATE. */
import { EveryonceError } from '../protocol/errors.js';
import { Again, databaseOf, transact } from './sql/database.js';
import { join, name, raw, sql } from './sql/statement.js';
import { badOption, checkFunction, checkObject, checkRowKey } from './values.js';

/** @typedef {import('./sql/database.js').Database} Database */

/**
 * @typedef {object} RowLockOptions
 * @property {string | string[]} table
 * @property {string | number | bigint | Uint8Array} key the row's id; the column has a unique index
 * @property {true | Record<string, unknown> | (() => Record<string, unknown>)} [create] the other columns of the row where it is missing
 * @property {{ id?: string }} [columns] default `id`
 * @property {string} [id] the column's name, as in `columns`
 * @property {number} [retries] of a transaction that lost to another one; default 10
 * @property {'read committed' | 'repeatable read' | 'serializable'} [isolation] default: the database's own
 */

/**
 * Runs the work while it alone holds the row: read, decide and write are one transaction, and who comes meanwhile waits.
 *
 * A row that does not exist can't be locked: in PostgreSQL two callers would both go on. So without `create` a missing row is
 * NOT_FOUND; with it the row is inserted first, in the same transaction, and a second caller waits for that.
 * SQLite has one write lock for the whole database, and that is the one taken.
 *
 * The work may run more than once, each time rolled back before the next; see sqlOnce, also for `tx`.
 *
 * @param {any} client a Pool or Client of `pg`, a pool or connection of `mysql2`, or a Database of `better-sqlite3`
 * @param {RowLockOptions} options
 * @param {(row: any, tx: any) => unknown} work
 * @returns {Promise<any>} what the work returns; throws NOT_FOUND, INVALID_ARGUMENT, IN_TRANSACTION, ROLLED_BACK, CONTENTION, and what
 *   the work or the driver throws
 */
export async function withRowLock(client, options, work) {
  checkObject(options, 'options');
  checkFunction(work, 'work');
  const database = databaseOf(client);
  const table = name(options.table, 'table', { qualified: true });
  const idName = options.columns?.id ?? options.id ?? 'id';
  const id = name(idName, 'id');
  const key = checkRowKey(options.key);
  const { create } = options;
  const missing = create === undefined ? undefined : () => insertion(database, table, idName, key, create);
  const lock = raw(database.kind === 'sqlite' ? '' : ' FOR UPDATE');
  const read = sql`SELECT * FROM ${table} WHERE ${id} = ${key}${lock}`;

  // In MySQL a locking read that finds nothing locks the gap, and two callers who both insert into that gap wait for each other. So
  // there it is asked outside of the transaction whether the row is there.
  const look = sql`SELECT 1 AS found FROM ${table} WHERE ${id} = ${key}`;
  const mayGap = missing !== undefined && database.kind === 'mysql';
  const insertFirst = mayGap && (await database.apart(() => database.run(look))).rows.length === 0;

  return transact(
    database,
    function* (tx) {
      if (insertFirst) yield /** @type {() => any} */ (missing)();
      let { rows } = yield read;
      if (rows.length === 0 && missing && !insertFirst) {
        // Nothing is locked yet: the insert is what a second caller waits for.
        yield missing();
        ({ rows } = yield read);
      }
      if (rows.length === 0 && missing) throw new Again('the row was deleted as soon as it was made');
      if (rows.length === 0) throw new EveryonceError('NOT_FOUND', 'There is no row with this key to lock.', { key });
      return yield () => work(rows[0], tx);
    },
    options,
  );
}

/**
 * @param {Database} database @param {import('./sql/statement.js').Name} table @param {string} idName @param {unknown} key
 * @param {NonNullable<RowLockOptions['create']>} create
 */
function insertion(database, table, idName, key, create) {
  const given = typeof create === 'function' ? create() : create;
  const values = { ...(given === true ? {} : checkObject(given, 'create')), [idName]: key };
  const entries = Object.entries(values);
  for (const [column, value] of entries) if (value === undefined) throw badOption(`create.${column}`, 'a value');
  const columns = join(
    entries.map(([column]) => sql`${name(column, 'create')}`),
    ', ',
  );
  const row = join(
    entries.map(([, value]) => sql`${value}`),
    ', ',
  );
  const id = name(idName, 'id');
  // Where it was made meanwhile, this waits for whoever made it, and then changes nothing. In MySQL the update that changes
  // nothing takes the lock that is wanted; after a plain duplicate error two callers would hold a shared one and both want more.
  const otherwise =
    database.kind === 'mysql'
      ? sql`ON DUPLICATE KEY UPDATE ${id} = ${table}.${id}`
      : sql`ON CONFLICT (${id}) DO NOTHING`;
  return sql`INSERT INTO ${table} (${columns}) VALUES (${row}) ${otherwise}`;
}
