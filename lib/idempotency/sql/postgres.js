/** PostgreSQL by `pg`: a Pool, a Client, or a client checked out of a pool. */
import { EveryonceError } from '../../protocol/errors.js';
import { render } from './statement.js';
import { drive } from './steps.js';
import { inTransaction, inTurn, inTurnOrInside } from './turns.js';

/** serialization_failure and deadlock_detected: the transaction had no effect, and may succeed when it is run again. */
const TRANSIENT = new Set(['40001', '40P01']);
const ISOLATIONS = new Set(['read committed', 'repeatable read', 'serializable']);

/** @type {import('./statement.js').Notation} */
const notation = {
  quote: (part) => `"${part.replaceAll('"', '""')}"`,
  parameter: (index) => `$${index}`,
};

/** For functions that take a name as a value. @param {import('./statement.js').Name} one */
export const quoted = ({ parts }) => parts.map(notation.quote).join('.');

export class PostgresDatabase {
  kind = /** @type {const} */ ('postgres');
  now = 'clock_timestamp()';

  /** @param {any} client */
  constructor(client) {
    this.client = client;
    this.isPool = typeof client.totalCount === 'number';
  }

  /** @param {any} client */
  static takes(client) {
    return typeof client?.query === 'function' && typeof client.connect === 'function' && !('execute' in client);
  }

  /** @param {any} error */
  isTransient(error) {
    return TRANSIENT.has(error?.code);
  }

  /** @param {any} error */
  isDuplicate(error) {
    return error?.code === '23505';
  }

  /** Whether a transaction is open on the connection that was given; a pool is never inside one. */
  async isInTransaction() {
    return !this.isPool && openTransaction(this.client);
  }

  /**
   * Runs single statements apart from the transactions that others have on the same connection.
   * @template Result
   * @param {() => Result | Promise<Result>} task
   * @returns {Promise<Result>}
   */
  async apart(task) {
    return this.isPool ? task() : inTurnOrInside(this.client, task);
  }

  /** @param {import('./statement.js').Statement} statement @param {any} [on] */
  async run(statement, on = this.client) {
    const { text, values } = render(statement, notation);
    // Statements without parameters may be several, and then each has an answer of its own.
    const answer = await on.query(values.length > 0 ? { text, values } : text);
    const last = Array.isArray(answer) ? answer[answer.length - 1] : answer;
    return { rows: last.rows ?? [], count: last.rowCount ?? 0 };
  }

  /**
   * One attempt at a transaction.
   * @param {(tx: any) => import('./steps.js').Steps} steps
   * @param {{ isolation?: string }} [options]
   */
  async transaction(steps, { isolation } = {}) {
    if (isolation !== undefined && !ISOLATIONS.has(isolation)) {
      throw new EveryonceError('INVALID_ARGUMENT', `isolation must be one of ${[...ISOLATIONS].join(', ')}`, {
        option: 'isolation',
      });
    }
    const begin = isolation ? `BEGIN ISOLATION LEVEL ${isolation}` : 'BEGIN';
    if (!this.isPool) return inTurn(this.client, () => this.#attempt(this.client, begin, steps));
    const connection = await this.client.connect();
    /** @type {Error | boolean | undefined} */
    let broken;
    try {
      return await inTurn(connection, () => this.#attempt(connection, begin, steps));
    } catch (error) {
      if (openTransaction(connection) !== false) broken = true;
      throw error;
    } finally {
      connection.release(broken);
    }
  }

  /** @param {any} connection @param {string} begin @param {(tx: any) => import('./steps.js').Steps} steps */
  async #attempt(connection, begin, steps) {
    if (openTransaction(connection)) throw inTransaction();
    // A connection that breaks between two queries says so by an event, and one that nobody hears ends the process; the
    // next query on it fails anyway.
    const hear = () => {};
    connection.on('error', hear);
    try {
      await connection.query(begin);
      let result;
      try {
        result = await drive(steps(connection), (statement) => this.run(statement, connection));
      } catch (error) {
        // What the transaction failed of is what is told; a connection on which ROLLBACK fails is not used again.
        await connection.query('ROLLBACK').catch(() => {});
        throw error;
      }
      // COMMIT of a transaction that an error has spoilt rolls back, and says so only in its tag.
      const { command } = await connection.query('COMMIT');
      if (command === 'COMMIT') return result;
      throw new EveryonceError('ROLLED_BACK', 'A statement failed and its error was caught; nothing was stored.');
    } finally {
      connection.off('error', hear);
    }
  }
}

/** @param {any} connection @returns {boolean | undefined} undefined where the driver can't tell, or the connection is gone */
function openTransaction(connection) {
  if (connection._ending || connection._queryable === false) return undefined;
  const status = connection.getTransactionStatus?.();
  return status === 'T' || status === 'E' ? true : status === 'I' ? false : undefined;
}
