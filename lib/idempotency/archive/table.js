/** The archive's table, in PostgreSQL or SQLite. */
import { databaseOf, statements, transact } from '../sql/database.js';
import { join, name, raw, sql } from '../sql/statement.js';

/**
 * @typedef {{ seq: number, mid: string, sender: string, device: string, id: string, type: string, body: string, at: number }} Row
 * @typedef {import('../consumer/options.js').FeedMessage} FeedMessage
 */

export class ArchiveTable {
  #database;
  #table;

  /** @param {any} client @param {string | string[]} table */
  constructor(client, table) {
    this.#database = databaseOf(client);
    this.#table = name(table, 'table', { qualified: true });
  }

  get kind() {
    return this.#database.kind;
  }

  get isPool() {
    return this.#database.isPool;
  }

  /** Makes the table where it is missing. A row is never changed: what was accepted stays what it was. */
  async migrate() {
    const isPostgres = this.kind === 'postgres';
    const table = this.#table;
    const text = raw(isPostgres ? 'text COLLATE "C"' : 'TEXT');
    const number = raw(isPostgres ? 'bigint' : 'INTEGER');
    const withoutRowid = raw(isPostgres ? '' : 'WITHOUT ROWID');
    await transact(this.#database, function* () {
      if (isPostgres) yield sql`SELECT pg_advisory_xact_lock(hashtext('everyonce migrate'))`;
      yield sql`CREATE TABLE IF NOT EXISTS ${table} (conv ${text} NOT NULL, seq ${number} NOT NULL, epoch ${number} NOT NULL,
        mid ${text} NOT NULL, sender ${text} NOT NULL, device ${text} NOT NULL, id ${text} NOT NULL, type ${text} NOT NULL,
        body ${raw(isPostgres ? 'text' : 'TEXT')} NOT NULL, at ${number} NOT NULL, PRIMARY KEY (conv, seq, epoch)) ${withoutRowid}`;
    });
  }

  /**
   * Adds messages that are not there yet: again and again is the same as once.
   *
   * @param {FeedMessage[]} messages `body` as JSON text
   */
  async write(messages) {
    const rows = messages.map(
      ({ conv, seq, epoch, mid, from, device, id, type, body, at }) =>
        sql`(${conv}, ${seq}, ${epoch}, ${mid}, ${from}, ${device}, ${id}, ${type}, ${body}, ${at})`,
    );
    const statement = sql`INSERT INTO ${this.#table} (conv, seq, epoch, mid, sender, device, id, type, body, at)
      VALUES ${join(rows, ', ')} ON CONFLICT (conv, seq, epoch) DO NOTHING`;
    await statements(this.#database, () => this.#run(statement));
  }

  /**
   * What is archived of a stretch. Of a seq that was numbered twice (the store went back to a copy in between) the later
   * epoch's message: the earlier one is void.
   *
   * @param {string} conv
   * @param {number} from
   * @param {number} to
   * @returns {Promise<Row[]>} ascending by seq
   */
  async read(conv, from, to) {
    const statement = sql`SELECT seq, epoch, mid, sender, device, id, type, body, at FROM ${this.#table}
      WHERE conv = ${conv} AND seq BETWEEN ${from} AND ${to} ORDER BY seq, epoch`;
    const { rows } = await statements(this.#database, () => this.#run(statement));
    /** @type {Map<number, Row>} */
    const bySeq = new Map();
    // bigint comes as a string.
    for (const row of rows) bySeq.set(Number(row.seq), { ...row, seq: Number(row.seq), at: Number(row.at) });
    return [...bySeq.values()];
  }

  /** @param {import('../sql/statement.js').Statement} statement @returns {Promise<{ rows: any[], count: number }>} */
  async #run(statement) {
    return this.#database.run(statement);
  }
}
