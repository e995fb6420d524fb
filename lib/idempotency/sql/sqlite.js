/**
 * SQLite by `better-sqlite3`. Its own transaction() takes synchronous functions alone: an asynchronous one would be committed
 * before it has done anything. So BEGIN IMMEDIATE and COMMIT are said here, one transaction at a time on a connection.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { render } from './statement.js';
import { drive } from './steps.js';
import { inTransaction, inTurn, inTurnOrInside } from './turns.js';

/** How long another process may hold the write lock, and how often it is asked for. */
const LOCK_WAIT_MS = 10_000;
const POLL_MS = { first: 1, most: 50 };

/** @type {import('./statement.js').Notation} */
const notation = { quote: (part) => `"${part.replaceAll('"', '""')}"`, parameter: () => '?' };

/** @param {any} error */
const isBusy = (error) => typeof error?.code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(error.code);

/** Prepared statements of each Database, by their text. @type {WeakMap<object, Map<string, any>>} */
const preparedBy = new WeakMap();
/** Texts are few: table and column names are all that differs in them. */
const MAX_PREPARED = 100;

export class SqliteDatabase {
  kind = /** @type {const} */ ('sqlite');
  now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
  isPool = false;

  /** @param {any} client */
  constructor(client) {
    this.client = client;
  }

  /** @param {any} client */
  static takes(client) {
    return typeof client?.prepare === 'function' && typeof client.pragma === 'function' && 'inTransaction' in client;
  }

  /** @param {any} error */
  isTransient(error) {
    return isBusy(error);
  }

  /** @param {any} error */
  isDuplicate(error) {
    return error?.code === 'SQLITE_CONSTRAINT_UNIQUE' || error?.code === 'SQLITE_CONSTRAINT_PRIMARYKEY';
  }

  async isInTransaction() {
    return this.client.inTransaction;
  }

  /**
   * Runs single statements apart from the transactions that others have on the same connection.
   * @template Result
   * @param {() => Result | Promise<Result>} task
   * @returns {Promise<Result>}
   */
  async apart(task) {
    return inTurnOrInside(this.client, task);
  }

  /** Synchronous. @param {import('./statement.js').Statement} statement @returns {import('./steps.js').Answer} */
  run(statement) {
    const { text, values } = render(statement, notation);
    const prepared = this.#prepare(text);
    const bound = values.map((value) => (typeof value === 'boolean' ? Number(value) : value));
    if (prepared.reader) return { rows: prepared.all(...bound), count: 0 };
    return { rows: [], count: prepared.run(...bound).changes };
  }

  /** @param {string} text */
  #prepare(text) {
    const known = preparedBy.get(this.client) ?? new Map();
    preparedBy.set(this.client, known);
    let prepared = known.get(text);
    if (prepared === undefined) {
      prepared = this.client.prepare(text);
      if (known.size >= MAX_PREPARED) known.clear();
      known.set(text, prepared);
    }
    return prepared;
  }

  /**
   * One attempt at a transaction. While the steps wait for nothing, no other code of this process runs between BEGIN and COMMIT.
   * @param {(tx: any) => import('./steps.js').Steps} steps
   */
  async transaction(steps) {
    return inTurn(this.client, async () => {
      if (this.client.inTransaction) throw inTransaction();
      const deadline = performance.now() + LOCK_WAIT_MS;
      for (let delay = POLL_MS.first; !this.#begin(deadline); delay = Math.min(delay * 2, POLL_MS.most)) {
        await wait(delay * (0.5 + Math.random()));
      }
      let result;
      try {
        result = drive(steps(this.client), (statement) => this.run(statement));
        if (typeof result?.then === 'function') result = await result;
        this.client.exec('COMMIT');
      } catch (error) {
        if (this.client.inTransaction) this.client.exec('ROLLBACK');
        throw error;
      }
      return result;
    });
  }

  /**
   * Takes the write lock at once: a transaction that reads first and then writes fails without waiting when another one wrote
   * in between. The lock is waited for by the caller and not in SQLite, whose wait stops the whole process, also the code
   * that holds the lock on another connection.
   *
   * @param {number} deadline on performance.now()'s clock
   * @returns {boolean} false while another connection has the lock; SQLITE_BUSY past the deadline
   */
  #begin(deadline) {
    const patience = this.client.pragma('busy_timeout', { simple: true });
    this.client.pragma('busy_timeout = 0');
    try {
      this.client.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      return false;
    } finally {
      this.client.pragma(`busy_timeout = ${Number(patience)}`);
    }
  }
}
