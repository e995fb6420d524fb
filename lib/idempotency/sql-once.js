/** Seed 003's first way, the unique index: the key and the work in one transaction. */
import { EveryonceError } from '../protocol/errors.js';
import { Again, databaseOf, statements, transact } from './sql/database.js';
import { name, raw, sql } from './sql/statement.js';
import {
  badOption,
  checkFunction,
  checkKey,
  checkObject,
  decodeResult,
  encodeResult,
  fingerprintOf,
} from './values.js';

/** @typedef {import('./sql/database.js').Database} Database */
/** @typedef {import('./sql/statement.js').Name} Name */
/** @typedef {{ key: Name, fingerprint: Name, result: Name, at: Name }} Columns */

/**
 * @typedef {object} SqlOnceOptions
 * @property {string | number | bigint} key of the message or business object; 1 to 512 bytes
 * @property {string | string[]} [table] default `everyonce_once`, made by `sqlOnce.migrate`; `schema.table` or its parts
 * @property {{ key?: string, fingerprint?: string, result?: string, at?: string }} [columns] where they have other names
 * @property {string} [result] the column's name, as in `columns`
 * @property {string} [at] the column's name, as in `columns`
 * @property {string | Uint8Array} [fingerprint] the payload's bytes: the same key with others throws MISMATCH
 * @property {number} [retries] of a transaction that lost to another one; default 10
 * @property {'read committed' | 'repeatable read' | 'serializable'} [isolation] default: the database's own
 */

const TABLE = 'everyonce_once';

/**
 * Does the work once for each key, however often and wherever it is called: the key, the work and its result are one
 * transaction, so after a crash there is all of it or nothing. Later calls return the first one's result. A call that meets another
 * one still at work waits for it in the database. Where the work throws, all is rolled back and the error is passed on: the
 * next call works again.
 *
 * The work may run more than once, each time rolled back before the next: serialization failures and deadlocks are tried again. So
 * what it does outside of the database is not covered. It uses `tx` for its statements and begins, commits and rolls
 * back nothing itself. With better-sqlite3 `tx` is the Database; other code that uses the same Database while an *asynchronous*
 * work waits writes into its transaction, so give such work a connection of its own.
 *
 * @param {any} client a Pool or Client of `pg`, a pool or connection of `mysql2`, or a Database of `better-sqlite3`
 * @param {SqlOnceOptions} options
 * @param {(tx: any) => unknown} work returns what JSON can hold, up to 1 MiB
 * @returns {Promise<{ result: any, repeated: boolean }>} throws INVALID_ARGUMENT, IN_TRANSACTION (the connection has an open one),
 *   MISMATCH, BAD_RESULT (rolled back), ROLLED_BACK (the work caught an SQL error and went on), CONTENTION; and what the work
 *   or the driver throws. A connection that is lost while it commits leaves open whether it did: the same call again tells.
 */
export async function sqlOnce(client, options, work) {
  const database = databaseOf(client);
  const { table, columns } = tableOf(options);
  const key = checkKey(options.key);
  const fingerprint = fingerprintOf(options.fingerprint);
  checkFunction(work, 'work');
  const asked = { database, table, columns, key, fingerprint };
  return transact(database, (tx) => steps(asked, work, tx), options);
}

/**
 * @param {{ database: Database, table: Name, columns: Columns, key: string, fingerprint?: string }} asked
 * @param {(tx: any) => unknown} work
 * @param {any} tx
 * @returns {import('./sql/steps.js').Steps}
 */
function* steps(asked, work, tx) {
  const { table, columns, key } = asked;
  const refused = yield* take(asked);
  if (refused) {
    // In a statement of its own: the one that met the conflict may not see the row that it waited for.
    return { result: yield* readFirst(asked, refused), repeated: true };
  }
  const text = encodeResult(yield () => work(tx));
  const { count } = yield sql`UPDATE ${table} SET ${columns.result} = ${text ?? null} WHERE ${columns.key} = ${key}`;
  if (count !== 1) throw new EveryonceError('ROLLED_BACK', 'The work ended the transaction that it was given.');
  return { result: decodeResult(text), repeated: false };
}

/**
 * Puts the key in. A concurrent call with the same key waits here for the first one, and goes on where that one is rolled back.
 *
 * @param {{ database: Database, table: Name, columns: Columns, key: string, fingerprint?: string }} asked
 * @returns {Generator<any, { cause?: unknown } | undefined, any>} undefined: the key is ours
 */
function* take({ database, table, columns, key, fingerprint }) {
  const marked = fingerprint !== undefined;
  const into = sql`INSERT INTO ${table} (${columns.key}, ${columns.at}${marked ? sql`, ${columns.fingerprint}` : raw('')})
    VALUES (${key}, ${raw(database.now)}${marked ? sql`, ${fingerprint}` : raw('')})`;
  if (database.kind !== 'mysql') {
    // The key is named, so that a conflict of another unique index is an error and not taken for a repeat.
    const { count } = yield sql`${into} ON CONFLICT (${columns.key}) DO NOTHING`;
    return count === 1 ? undefined : {};
  }
  try {
    // Not INSERT IGNORE, which makes a warning of every error.
    yield into;
    return undefined;
  } catch (cause) {
    if (!database.isDuplicate(cause)) throw cause;
    return { cause };
  }
}

/**
 * @param {{ table: Name, columns: Columns, key: string, fingerprint?: string }} asked
 * @param {{ cause?: unknown }} refused
 * @returns {Generator<any, any, any>}
 */
function* readFirst({ table, columns, key, fingerprint }, { cause }) {
  const seen = fingerprint === undefined ? raw('NULL') : sql`${columns.fingerprint}`;
  const { rows } = yield sql`SELECT ${columns.key} AS found, ${columns.result} AS result, ${seen} AS fingerprint
    FROM ${table} WHERE ${columns.key} = ${key}`;
  // Deleted in between, or the conflict was of another index of the table: the latter shows when it happens again and again.
  if (rows.length === 0) throw new Again('the key is there and is not', { cause });
  const found = rows[0].found instanceof Uint8Array ? Buffer.from(rows[0].found).toString() : rows[0].found;
  if (String(found) !== key) {
    throw badOption('table', 'one whose key column tells all keys apart: binary, without case or accent rules');
  }
  if (fingerprint !== undefined && rows[0].fingerprint !== null && String(rows[0].fingerprint) !== fingerprint) {
    throw new EveryonceError('MISMATCH', undefined, { key });
  }
  return decodeResult(rows[0].result === null ? null : String(rows[0].result));
}

/**
 * Makes the table where it is missing.
 *
 * @param {any} client as sqlOnce's
 * @param {string | string[] | Omit<SqlOnceOptions, 'key'>} [options] the table's name, or an object with `table` and `columns`
 * @returns {Promise<void>}
 */
sqlOnce.migrate = async function migrate(client, options = TABLE) {
  const database = databaseOf(client);
  const given = typeof options === 'string' || Array.isArray(options) ? { table: options } : options;
  const { table, columns } = tableOf(given);
  const { key, fingerprint, result, at } = columns;
  /** Binary keys: two different keys are never one, whatever the database's collation. */
  const definitions = {
    postgres: sql`${key} text COLLATE "C" PRIMARY KEY, ${fingerprint} text, ${result} text,
      ${at} timestamptz NOT NULL DEFAULT now()`,
    mysql: sql`${key} varbinary(512) PRIMARY KEY, ${fingerprint} varchar(64) CHARACTER SET ascii COLLATE ascii_bin,
      ${result} longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
      ${at} timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), INDEX (${at})`,
    sqlite: sql`${key} TEXT COLLATE BINARY NOT NULL PRIMARY KEY, ${fingerprint} TEXT, ${result} TEXT, ${at} TEXT NOT NULL`,
  };
  const ending = raw(database.kind === 'mysql' ? ' ENGINE = InnoDB' : '');
  const statement = sql`CREATE TABLE IF NOT EXISTS ${table} (${definitions[database.kind]})${ending}`;
  // Two processes that make a table of the same name at once fail in PostgreSQL, IF NOT EXISTS or not.
  if (database.kind === 'postgres') {
    await transact(database, function* () {
      yield sql`SELECT pg_advisory_xact_lock(hashtext('everyonce migrate'))`;
      yield statement;
    });
  } else {
    await database.apart(() => database.run(statement));
  }
};

/**
 * Deletes keys that no repeat can name any more, the oldest first.
 *
 * @param {any} client as sqlOnce's
 * @param {{ olderThanMs: number, limit?: number, table?: string | string[], columns?: SqlOnceOptions['columns'] }} options
 *   `olderThanMs`: longer than the longest time after which a repeat can come; at most `limit` rows (default 1000)
 * @returns {Promise<number>} how many were deleted; call again while it is `limit`
 */
sqlOnce.forget = async function forget(client, options) {
  const database = databaseOf(client);
  const { table, columns } = tableOf(options);
  const { olderThanMs, limit = 1000 } = options;
  if (!Number.isSafeInteger(olderThanMs) || olderThanMs < 0) throw badOption('olderThanMs', 'a whole number from 0');
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 100_000) throw badOption('limit', 'from 1 to 100000');
  const seconds = String(olderThanMs / 1000);
  const before = {
    postgres: sql`${columns.at} < clock_timestamp() - make_interval(secs => ${seconds}::float8)`,
    mysql: sql`${columns.at} < CURRENT_TIMESTAMP(3) - INTERVAL ${seconds} SECOND_MICROSECOND`,
    sqlite: sql`${columns.at} < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ${`-${seconds} seconds`})`,
  }[database.kind];
  const slice = raw(`${limit}`);
  const statement =
    database.kind === 'mysql'
      ? sql`DELETE FROM ${table} WHERE ${before} ORDER BY ${columns.at} LIMIT ${slice}`
      : sql`DELETE FROM ${table} WHERE ${columns.key} IN
          (SELECT ${columns.key} FROM ${table} WHERE ${before} ORDER BY ${columns.at} LIMIT ${slice})`;
  return statements(database, async () => (await database.run(statement)).count);
};

/** @param {Partial<SqlOnceOptions>} options @returns {{ table: Name, columns: Columns }} */
function tableOf(options) {
  checkObject(options, 'options');
  const { table = TABLE, columns = {} } = options;
  checkObject(columns, 'columns');
  return {
    table: name(table, 'table', { qualified: true }),
    columns: {
      key: name(columns.key ?? 'key', 'columns.key'),
      fingerprint: name(columns.fingerprint ?? 'fingerprint', 'columns.fingerprint'),
      result: name(columns.result ?? options.result ?? 'result', 'result'),
      at: name(columns.at ?? options.at ?? 'at', 'at'),
    },
  };
}
