/** MySQL and MariaDB by `mysql2`: pools and connections, with callbacks or promises. */
import { EveryonceError } from '../../protocol/errors.js';
import { render } from './statement.js';
import { drive } from './steps.js';
import { inTransaction, inTurn, inTurnOrInside } from './turns.js';

/**
 * Lock wait timeout, deadlock, and MariaDB's "record has changed since last read". A lock wait timeout rolls back the statement
 * alone, so the rest of its transaction is rolled back by hand.
 */
const TRANSIENT = new Set([1205, 1213, 1020]);
const IN_TRANSACTION = 1;
const ISOLATIONS = new Set(['read committed', 'repeatable read', 'serializable']);

/** @type {import('./statement.js').Notation} */
const notation = { quote: (part) => `\`${part.replaceAll('`', '``')}\``, parameter: () => '?' };

export class MysqlDatabase {
  kind = /** @type {const} */ ('mysql');
  now = 'CURRENT_TIMESTAMP(3)';

  /** @param {any} client */
  constructor(client) {
    /** Whether the application is given connections with callbacks, like the one it gave. */
    this.callbacks = typeof client.promise === 'function';
    this.client = this.callbacks ? client.promise() : client;
    this.isPool = typeof client.getConnection === 'function';
  }

  /** @param {any} client */
  static takes(client) {
    return typeof client?.query === 'function' && typeof client.execute === 'function';
  }

  /** @param {any} error */
  isTransient(error) {
    return TRANSIENT.has(error?.errno);
  }

  /** @param {any} error */
  isDuplicate(error) {
    return error?.errno === 1062;
  }

  /** Whether a transaction is open on the connection that was given; a pool is never inside one. */
  async isInTransaction() {
    return !this.isPool && isOpen(this.client);
  }

  /**
   * Runs single statements apart from the transactions that others have on the same connection.
   * @template Result
   * @param {() => Result | Promise<Result>} task
   * @returns {Promise<Result>}
   */
  async apart(task) {
    return this.isPool ? task() : inTurnOrInside(this.client.connection ?? this.client, task);
  }

  /** @param {import('./statement.js').Statement} statement @param {any} [on] */
  async run(statement, on = this.client) {
    const { text, values } = render(statement, notation);
    // Prepared: query() would write values into the text, and turn an object into `a` = 1, `b` = 2.
    const [answer] = await (values.length > 0 ? on.execute(text, values) : on.query(text));
    return Array.isArray(answer) ? { rows: answer, count: 0 } : { rows: [], count: answer.affectedRows };
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
    if (!this.isPool) {
      return inTurn(this.client.connection ?? this.client, () => this.#attempt(this.client, steps, isolation));
    }
    const connection = await this.client.getConnection();
    try {
      const result = await inTurn(connection.connection, () => this.#attempt(connection, steps, isolation));
      connection.release();
      return result;
    } catch (error) {
      // A connection that does not answer, or that is inside a transaction, goes back to nobody.
      if (await isOpen(connection).catch(() => true)) connection.destroy();
      else connection.release();
      throw error;
    }
  }

  /** @param {any} connection @param {(tx: any) => import('./steps.js').Steps} steps @param {string} [isolation] */
  async #attempt(connection, steps, isolation) {
    // START TRANSACTION would commit the open one without a word.
    if (!this.isPool && (await isOpen(connection))) throw inTransaction();
    if (isolation) await connection.query(`SET TRANSACTION ISOLATION LEVEL ${isolation}`);
    await connection.query('START TRANSACTION');
    const tx = this.callbacks ? connection.connection : connection;
    try {
      const result = await drive(steps(tx), (statement) => this.run(statement, connection));
      await connection.query('COMMIT');
      return result;
    } catch (error) {
      await connection.query('ROLLBACK').catch(() => {});
      throw error;
    }
  }
}

/** @param {any} connection with promises @returns {Promise<boolean>} */
async function isOpen(connection) {
  const [{ serverStatus }] = await connection.query('DO 0');
  return (serverStatus & IN_TRANSACTION) !== 0;
}
