import { checkOptions } from '../check.js';
import { checkPool, checkTable, isMissingInPostgres, migrateInPostgres, withTable } from '../sql.js';
import { decodeNext, encodeNext } from './next.js';

/** @typedef {import('../offline-store.js').OfflineTable} OfflineTable */

const MAX_PAGE_BYTES = 1024 * 1024;
/** What was acked and is forgotten is deleted beside other work: so much at a time, so often. */
const SWEEP = { rows: 500, everyMs: 60_000 };

/**
 * The offline table in PostgreSQL. An item's place is from a sequence, whose values become visible out of order: one that
 * shows up behind a walk's place is met by the next walk, since only what a page held is acked.
 *
 * @implements {OfflineTable}
 */
export class PostgresOffline {
  #pool;
  #table;
  #keepMs;
  #nextSweepMs = performance.now() + SWEEP.everyMs;
  #counts = { statements: 0, failures: 0 };

  /**
   * @param {unknown} store
   * @param {number} keepMs
   */
  constructor(store, keepMs) {
    const { postgres, table = 'everyonce_offline' } = checkOptions(store, 'store', ['postgres', 'table']);
    this.#pool = checkPool(postgres, 'store.postgres', 'a Pool of pg');
    this.#table = checkTable(table, 'store.table');
    this.#keepMs = keepMs;
  }

  /** @type {OfflineTable['append']} */
  async append(receiver, { msgId, sender, body }) {
    const rows = await this.#query(
      `INSERT INTO ${this.#table} AS t (receiver, msg_id, sender, body) VALUES ($1, $2, $3, $4)
       ON CONFLICT (receiver, msg_id) DO UPDATE
         SET sender = excluded.sender, body = excluded.body, place = excluded.place, forget_at = NULL
         WHERE t.forget_at <= clock_timestamp()
       RETURNING 1`,
      [receiver, msgId, sender, body],
    );
    return rows.length === 1;
  }

  /** @type {OfflineTable['counts']} */
  async counts(receiver) {
    const rows = await this.#query(
      `SELECT sender, count(*)::float8 AS count FROM ${this.#table} WHERE receiver = $1 AND forget_at IS NULL
       GROUP BY sender ORDER BY sender`,
      [receiver],
    );
    return rows.map(({ sender, count }) => [sender, count]);
  }

  /** @type {OfflineTable['pull']} */
  async pull(query) {
    const { receiver, sender, limit, newest, next } = query;
    const places = next === '' ? [] : decodeNext(next, query);
    // Acked first: were the page read first, what is acked now could still be in it.
    if (places.length > 0) await this.#remove('place = ANY($2::bigint[])', receiver, places);
    const from = places.at(-1) ?? null;
    const rows = await this.#query(
      `SELECT place, msg_id, sender, body FROM ${this.#table} WHERE receiver = $1 AND forget_at IS NULL
       AND ($2::text = '' OR sender = $2) AND ($3::bigint IS NULL OR place ${newest ? '<' : '>'} $3)
       ORDER BY place ${newest ? 'DESC' : 'ASC'} LIMIT $4`,
      [receiver, sender, from, limit],
    );
    let bytes = 0;
    const fits = rows.findIndex((row, i) => (bytes += row.body.length) > MAX_PAGE_BYTES && i > 0);
    const page = fits < 0 ? rows : rows.slice(0, fits);
    return {
      items: page.map((row) => ({ msgId: row.msg_id, sender: row.sender, body: row.body })),
      next: page.length === 0 ? '' : encodeNext(page, query),
    };
  }

  /** @type {OfflineTable['ack']} */
  async ack(receiver, msgIds) {
    return msgIds.length === 0 ? 0 : await this.#remove('msg_id = ANY($2::text[])', receiver, msgIds);
  }

  /** Makes the table where it is missing. Called by itself on first use. */
  async migrate() {
    const name = this.#table.replace(/^.*\./, '');
    const indexes = [
      ['all', 'receiver, place', 'forget_at IS NULL'],
      ['sender', 'receiver, sender, place', 'forget_at IS NULL'],
      ['acked', 'forget_at', 'forget_at IS NOT NULL'],
    ];
    await migrateInPostgres(this.#pool, [
      `CREATE TABLE IF NOT EXISTS ${this.#table} (receiver text COLLATE "C" NOT NULL,
      msg_id text COLLATE "C" NOT NULL, place bigserial NOT NULL, sender text COLLATE "C" NOT NULL, body text NOT NULL,
      forget_at timestamptz, PRIMARY KEY (receiver, msg_id))`,
      ...indexes.map(
        ([suffix, columns, where]) =>
          `CREATE INDEX IF NOT EXISTS ${name}_${suffix} ON ${this.#table} (${columns}) WHERE ${where}`,
      ),
    ]);
  }

  stats() {
    return { ...this.#counts };
  }

  /** The pool is the application's, and stays open. */
  async close() {}

  /**
   * @param {string} which
   * @param {string} receiver
   * @param {string[]} values
   */
  async #remove(which, receiver, values) {
    await this.#sweepNowAndThen();
    const rows = await this.#query(
      `UPDATE ${this.#table} SET forget_at = clock_timestamp() + $3::float8 * interval '1 millisecond', body = ''
       WHERE receiver = $1 AND ${which} AND forget_at IS NULL RETURNING 1`,
      [receiver, values, this.#keepMs],
    );
    return rows.length;
  }

  async #sweepNowAndThen() {
    if (performance.now() < this.#nextSweepMs) return;
    this.#nextSweepMs = performance.now() + SWEEP.everyMs;
    await this.#query(
      `DELETE FROM ${this.#table} WHERE (receiver, msg_id) IN (SELECT receiver, msg_id FROM ${this.#table}
       WHERE forget_at <= clock_timestamp() ORDER BY forget_at LIMIT ${SWEEP.rows} FOR UPDATE SKIP LOCKED)`,
      [],
    );
  }

  /**
   * @param {string} text
   * @param {unknown[]} values
   * @returns {Promise<any[]>}
   */
  async #query(text, values) {
    this.#counts.statements += 1;
    try {
      const act = () => this.#pool.query(text, values);
      const { rows } = await withTable(act, isMissingInPostgres, () => this.migrate());
      return rows;
    } catch (error) {
      this.#counts.failures += 1;
      throw error;
    }
  }
}
