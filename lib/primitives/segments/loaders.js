// Where segments come from: each gives the first id of a new segment of `step` ids, which nobody else is given. What was
// asked for and not answered is lost: a hole, never a repeat.

import { checkOptions } from '../check.js';
import { checkPool, checkTable, isMissingInMysql, isMissingInPostgres, migrateInPostgres, withTable } from '../sql.js';
import { Operation, openStore } from '../store.js';

/**
 * @typedef {object} Loader
 * @property {(tag: string, step: number) => Promise<unknown>} load
 * @property {() => unknown} stats
 * @property {() => Promise<void>} close
 */

/**
 * @param {unknown} store
 * @param {number} leastStep written into a new row of leaf_alloc
 * @returns {Loader}
 */
export function openLoader(store, leastStep) {
  const given = checkOptions(store, 'store');
  if (given.postgres !== undefined) return inPostgres(given, leastStep);
  if (given.mysql !== undefined) return inMysql(given, leastStep);
  const connection = openStore(store);
  return {
    load: (tag, step) => connection.run(Operation.TAKE, `g${tag}`, step, Number.MAX_SAFE_INTEGER),
    stats: () => connection.stats(),
    close: () => connection.close(),
  };
}

/** @param {Record<string, any>} store @param {number} leastStep @returns {Loader} */
function inPostgres(store, leastStep) {
  const { postgres, table = 'leaf_alloc' } = checkOptions(store, 'store', ['postgres', 'table']);
  const pool = checkPool(postgres, 'store.postgres', 'a Pool of pg');
  const name = checkTable(table, 'store.table');
  const migrate = () => migrateLeafAlloc({ postgres, table });
  return {
    async load(tag, step) {
      // The row's lock makes base and end one; the step is ours, not the row's.
      const act = () =>
        pool.query(
          `INSERT INTO ${name} AS t (biz_tag, max_id, step) VALUES ($1, 1 + $2::bigint, $3)
           ON CONFLICT (biz_tag) DO UPDATE SET max_id = t.max_id + $2::bigint, update_time = now()
           RETURNING (max_id - $2::bigint)::text AS first`,
          [tag, step, leastStep],
        );
      const { rows } = await withTable(act, isMissingInPostgres, migrate);
      return rows[0].first;
    },
    stats: () => ({}),
    close: async () => {},
  };
}

/** @param {Record<string, any>} store @param {number} leastStep @returns {Loader} */
function inMysql(store, leastStep) {
  const { mysql, table = 'leaf_alloc' } = checkOptions(store, 'store', ['mysql', 'table']);
  const pool = promised(mysql);
  const name = checkTable(table, 'store.table');
  return {
    load: (tag, step) =>
      withTable(
        () => takeInMysql(pool, name, { tag, step, leastStep }),
        isMissingInMysql,
        () => migrateLeafAlloc({ mysql, table }),
      ),
    stats: () => ({}),
    close: async () => {},
  };
}

/** ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT: nothing of it was done. */
const LOST_TO_OTHERS = new Set([1213, 1205]);
const TRIES = 5;

/**
 * @param {any} pool
 * @param {string} name
 * @param {{ tag: string, step: number, leastStep: number }} wanted
 * @returns {Promise<string>}
 */
async function takeInMysql(pool, name, wanted) {
  const connection = await pool.getConnection();
  let isClean = false;
  try {
    for (let tries = 1; ; tries++) {
      try {
        const first = await tryInMysql(connection, name, wanted);
        isClean = first !== undefined;
        if (first !== undefined) return first;
      } catch (/** @type {any} */ error) {
        if (!LOST_TO_OTHERS.has(error?.errno) || tries >= TRIES) throw error;
        await connection.query('ROLLBACK');
      }
    }
  } finally {
    // With an unknown state it must not go back into the pool.
    if (isClean) connection.release();
    else connection.destroy();
  }
}

/**
 * @param {any} connection
 * @param {string} name
 * @param {{ tag: string, step: number, leastStep: number }} wanted
 * @returns {Promise<string | undefined>} undefined: the row is there from now on, try again
 */
async function tryInMysql(connection, name, { tag, step, leastStep }) {
  await connection.query('START TRANSACTION');
  const advance = `UPDATE ${name} SET max_id = max_id + ? WHERE biz_tag = ?`;
  const [{ affectedRows }] = await connection.query(advance, [step, tag]);
  if (affectedRows === 0) {
    // Outside: the update of a missing row holds its gap, and two that then insert there wait for each other.
    await connection.query('ROLLBACK');
    const insert = `INSERT INTO ${name} (biz_tag, max_id, step) VALUES (?, 1, ?) ON DUPLICATE KEY UPDATE biz_tag = biz_tag`;
    await connection.query(insert, [tag, leastStep]);
    return undefined;
  }
  // Behind our own row lock, so it is what we have just made of it.
  const select = `SELECT CAST(max_id - ? AS CHAR) AS first FROM ${name} WHERE biz_tag = ? FOR UPDATE`;
  const [rows] = await connection.query(select, [step, tag]);
  await connection.query('COMMIT');
  return String(rows[0].first);
}

/** @param {any} pool of mysql2, with callbacks or promises */
function promised(pool) {
  checkPool(pool, 'store.mysql', 'a pool of mysql2');
  return typeof pool.promise === 'function' ? pool.promise() : pool;
}

/**
 * Makes the articles' table `leaf_alloc` (Leaf's own) where it is missing. SegmentIds does so on first use; a role that may
 * not make tables needs it done once by one that may.
 *
 * @param {{ postgres?: any, mysql?: any, table?: string }} store a Pool of `pg`, or a pool of `mysql2`
 */
export async function migrateLeafAlloc({ postgres, mysql, table = 'leaf_alloc' }) {
  const name = checkTable(table, 'store.table');
  if (postgres !== undefined) {
    const pool = checkPool(postgres, 'store.postgres', 'a Pool of pg');
    await migrateInPostgres(pool, [
      `CREATE TABLE IF NOT EXISTS ${name} (biz_tag text COLLATE "C" PRIMARY KEY,
      max_id bigint NOT NULL DEFAULT 1, step bigint NOT NULL, description text,
      update_time timestamptz NOT NULL DEFAULT now())`,
    ]);
    return;
  }
  // Bytes: a collation would take different tags for the same.
  await promised(mysql).query(`CREATE TABLE IF NOT EXISTS ${name} (biz_tag VARBINARY(512) NOT NULL PRIMARY KEY,
    max_id BIGINT NOT NULL DEFAULT 1, step BIGINT NOT NULL, description VARCHAR(256),
    update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP) ENGINE=InnoDB`);
}
