/** Publishes what publishInTransaction wrote: each message once, those of one conversation in their order. */
import { EventEmitter } from 'node:events';
import { EveryonceError } from '../protocol/errors.js';
import { pause } from './once.js';
import { migrateOutbox, outboxTable } from './outbox.js';
import { databaseOf } from './sql/database.js';
import { sql } from './sql/statement.js';
import { MAX_TIMER_MS, badOption, checkFunction, checkObject, checkWhole } from './values.js';

/** @typedef {{ conv: string, from: string, id: string, type?: string, body: any }} OutboxMessage */
/** @typedef {{ position: string, conv: string, sender: string, id: string, type: string | null, body: string, attempts: number, failures: number }} Row */

const MAX_ERROR_CHARACTERS = 1000;
/** After an error of the database itself. */
const DATABASE_PAUSE_MS = { first: 100, most: 10_000 };

/**
 * @typedef {object} OutboxRelayOptions
 * @property {any} pool a Pool of `pg`; one connection of it is used, inside a transaction while messages are published
 * @property {{ publish: (message: OutboxMessage) => Promise<unknown> }} [server] of createServer
 * @property {(message: OutboxMessage) => Promise<unknown>} [publish] instead of `server`; idempotent by (conv, from, id)
 * @property {string | string[]} [table] default `everyonce_outbox`
 * @property {number} [batch] messages of one round, default 100; those of different conversations are published at once
 * @property {number} [pollMs] between looks at an empty outbox; default 250
 * @property {number} [minBackoffMs] after a failure, doubling; default 500
 * @property {number} [maxBackoffMs] default 60 000
 * @property {number} [maxAttempts] default 8; then the message is parked, and the ones after it go on. Errors with `retryable: true` are
 *   tried for ever, those with `retryable: false` are parked at once
 * @property {number} [timeoutMs] for one publish; default 30 000
 */

/**
 * A relay. Any number of them may run on one outbox: each takes conversations that no other one has, by the lock of the row that is
 * next in it. A relay that dies after it published and before it deleted leaves a message that is published again with the same id,
 * which the server answers as a duplicate; so it is to come back within the server's `dedup.windowMs`.
 *
 * Rows are looked for, not read on from a position: one whose transaction commits late is found whenever it shows.
 *
 * Events: `published` (message), `parked` (message, error), `error` (of the database; it goes on).
 */
export class OutboxRelay extends EventEmitter {
  #stopping = new AbortController();
  /** @type {Promise<void> | undefined} */
  #running;
  #wake = () => {};

  /** @param {OutboxRelayOptions} options */
  constructor(options) {
    super();
    const { pool, server, publish } = checkObject(options, 'options');
    this.database = databaseOf(pool);
    if (this.database.kind !== 'postgres' || !this.database.isPool) throw badOption('pool', 'a Pool of pg');
    this.table = outboxTable(options.table);
    if ((server === undefined) === (publish === undefined)) throw badOption('server', 'given, or publish; not both');
    this.publish = checkFunction(publish ?? server.publish?.bind(server), publish ? 'publish' : 'server');
    const { batch = 100, pollMs = 250, minBackoffMs = 500, maxBackoffMs = 60_000 } = options;
    const { maxAttempts = 8, timeoutMs = 30_000 } = options;
    this.batch = checkWhole(batch, 'batch', { most: 10_000 });
    this.pollMs = checkWhole(pollMs, 'pollMs', { most: MAX_TIMER_MS });
    this.minBackoffMs = checkWhole(minBackoffMs, 'minBackoffMs', { most: MAX_TIMER_MS });
    this.maxBackoffMs = checkWhole(maxBackoffMs, 'maxBackoffMs', { least: minBackoffMs, most: MAX_TIMER_MS });
    this.maxAttempts = checkWhole(maxAttempts, 'maxAttempts', { most: 1_000_000 });
    this.timeoutMs = checkWhole(timeoutMs, 'timeoutMs', { most: MAX_TIMER_MS });
  }

  /** Makes the table where it is missing. @param {any} client @param {string | string[]} [table] */
  static migrate(client, table) {
    return migrateOutbox(client, table);
  }

  /** Begins to publish. */
  start() {
    if (this.#stopping.signal.aborted) throw new EveryonceError('CLOSED');
    this.#running ??= this.#run();
  }

  /** Looks now; for who has just committed. */
  wake() {
    this.#wake();
  }

  /** Resolves when what was under way is published or given back. */
  async stop() {
    this.#stopping.abort();
    await this.#running;
  }

  /** @returns {Promise<{ messages: number, oldestMs: number }>} what waits, without what is parked */
  async lag() {
    const { rows } = await this.database.run(sql`SELECT count(*)::int AS messages,
      coalesce(extract(epoch FROM clock_timestamp() - min(at)) * 1000, 0)::float8 AS "oldestMs"
      FROM ${this.table} WHERE parked_at IS NULL`);
    return { messages: rows[0].messages, oldestMs: Math.max(0, Math.round(rows[0].oldestMs)) };
  }

  /**
   * @param {{ limit?: number }} [options]
   * @returns {Promise<{ position: string, message: OutboxMessage, attempts: number, error: string, at: Date }[]>} what was given up on,
   *   the oldest first
   */
  async parked({ limit = 100 } = {}) {
    checkWhole(limit, 'limit', { most: 10_000 });
    const { rows } = await this.database.run(sql`SELECT * FROM ${this.table} WHERE parked_at IS NOT NULL
      ORDER BY position LIMIT ${limit}`);
    return rows.map((/** @type {any} */ row) => ({
      position: row.position,
      message: messageOf(row),
      attempts: row.attempts,
      error: row.error,
      at: row.parked_at,
    }));
  }

  /** Publishes a parked message after all, now and so out of its order. @param {string} position @returns {Promise<boolean>} */
  async retry(position) {
    const { count } = await this.database
      .run(sql`UPDATE ${this.table} SET parked_at = NULL, attempts = 0, failures = 0, retry_at = now()
      WHERE position = ${positionOf(position)} AND parked_at IS NOT NULL`);
    this.wake();
    return count === 1;
  }

  /** Forgets a parked message. @param {string} position @returns {Promise<boolean>} */
  async drop(position) {
    const { count } = await this.database.run(
      sql`DELETE FROM ${this.table} WHERE position = ${positionOf(position)} AND parked_at IS NOT NULL`,
    );
    return count === 1;
  }

  async #run() {
    const { signal } = this.#stopping;
    let pauseMs = DATABASE_PAUSE_MS.first;
    while (!signal.aborted) {
      const woken = new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      try {
        const worked = await this.#round();
        pauseMs = DATABASE_PAUSE_MS.first;
        if (!worked) await pause(this.pollMs, woken, signal);
      } catch (error) {
        if (this.listenerCount('error') > 0) this.emit('error', error);
        await pause(pauseMs * (0.5 + Math.random()), undefined, signal);
        pauseMs = Math.min(pauseMs * 2, DATABASE_PAUSE_MS.most);
      }
    }
  }

  /** @returns {Promise<boolean>} whether there was something to do */
  async #round() {
    /** @type {Outcome[]} */
    const outcomes = [];
    await this.database.transaction(() => this.#steps(outcomes));
    for (const { published, failed } of outcomes) {
      for (const message of published) this.emit('published', message);
      if (failed?.park) this.emit('parked', messageOf(failed.row), failed.error);
    }
    return outcomes.length > 0;
  }

  /** @param {Outcome[]} outcomes filled in @returns {import('./sql/steps.js').Steps} */
  *#steps(outcomes) {
    const { table } = this;
    // The next message of a conversation is the one that has none before it, and its row's lock stands for the conversation.
    const { rows: heads } = yield sql`SELECT conv FROM ${table} AS head WHERE parked_at IS NULL AND retry_at <= now()
      AND NOT EXISTS (SELECT 1 FROM ${table} AS before WHERE before.conv = head.conv AND before.parked_at IS NULL
        AND before.position < head.position)
      ORDER BY position LIMIT ${this.batch} FOR UPDATE SKIP LOCKED`;
    if (heads.length === 0) return;
    const { rows } = yield sql`SELECT position, conv, sender, id, type, body, attempts, failures FROM ${table}
      WHERE conv = ANY(${heads.map((/** @type {Row} */ head) => head.conv)}::text[]) AND parked_at IS NULL
      ORDER BY position LIMIT ${this.batch}`;
    outcomes.push(...(yield () => this.#publishAll(rows)));
    const done = outcomes.flatMap((outcome) => outcome.done);
    yield sql`DELETE FROM ${table} WHERE position = ANY(${done}::bigint[])`;
    for (const { failed } of outcomes) if (failed) yield this.#afterFailure(failed);
  }

  /** @typedef {{ row: Row, error: any, park: boolean, counts: boolean }} Failure */
  /** @typedef {{ done: string[], published: OutboxMessage[], failed?: Failure }} Outcome */

  /** @param {Row[]} rows in order @returns {Promise<Outcome[]>} one for each conversation */
  #publishAll(rows) {
    /** @type {Map<string, Row[]>} */
    const lanes = new Map();
    for (const row of rows) lanes.set(row.conv, [...(lanes.get(row.conv) ?? []), row]);
    return Promise.all([...lanes.values()].map((lane) => this.#publishLane(lane)));
  }

  /** @param {Row[]} rows of one conversation, each after the one before has been answered @returns {Promise<Outcome>} */
  async #publishLane(rows) {
    /** @type {Outcome} */
    const outcome = { done: [], published: [] };
    for (const row of rows) {
      const message = messageOf(row);
      try {
        await within(this.timeoutMs, this.publish(message));
      } catch (/** @type {any} */ error) {
        // A server that is closing takes this message when it is back.
        const counts = error?.retryable !== true && error?.code !== 'CLOSED';
        const final = error instanceof EveryonceError && !error.retryable && counts;
        return {
          ...outcome,
          failed: { row, error, counts, park: final || (counts && row.failures + 1 >= this.maxAttempts) },
        };
      }
      outcome.done.push(row.position);
      outcome.published.push(message);
      // The rest is given back at once to another relay, or to the next start.
      if (this.#stopping.signal.aborted) break;
    }
    return outcome;
  }

  /** @param {Failure} failure */
  #afterFailure({ row, error, park, counts }) {
    const backoffMs = Math.min(this.minBackoffMs * 2 ** Math.min(row.attempts, 30), this.maxBackoffMs);
    const text = String(error?.message ?? error)
      .slice(0, MAX_ERROR_CHARACTERS)
      .replaceAll('\0', '');
    return sql`UPDATE ${this.table} SET attempts = attempts + 1, failures = failures + ${counts ? 1 : 0}::int, error = ${text},
      retry_at = clock_timestamp() + ${backoffMs * (0.5 + Math.random() / 2)}::float8 * interval '1 millisecond',
      parked_at = CASE WHEN ${park}::boolean THEN clock_timestamp() END WHERE position = ${row.position}`;
  }
}

/** @param {Row} row @returns {OutboxMessage} */
function messageOf({ conv, sender, id, type, body }) {
  return { conv, from: sender, id, ...(type !== null && { type }), body: JSON.parse(body) };
}

/** @param {unknown} position */
function positionOf(position) {
  if (/^\d{1,19}$/.test(String(position))) return String(position);
  throw badOption('position', 'one that parked() gave');
}

/** @template Answer @param {number} timeoutMs @param {Promise<Answer>} promise @returns {Promise<Answer>} */
async function within(timeoutMs, promise) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new EveryonceError('TIMEOUT')), timeoutMs);
  });
  try {
    return /** @type {Answer} */ (await Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}
