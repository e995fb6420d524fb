/** The claim machine (interface.js) in a table of PostgreSQL. Times are the database's; each act is one statement. */
import { EveryonceError } from '../../protocol/errors.js';
import { databaseOf, statements, transact } from '../sql/database.js';
import { quoted } from '../sql/postgres.js';
import { Name, name, raw, sql } from '../sql/statement.js';
import { badOption } from '../values.js';

/** @typedef {import('./interface.js').Claims} Claims */
/** @typedef {import('./interface.js').ClaimAnswer} ClaimAnswer */

const UNDEFINED_TABLE = '42P01';
const DEFAULT_KEEP_MS = 7 * 86_400_000;
/** A claim that finds the record changing under it looks again, a bounded number of times. */
const LOOKS = 20;
/** The reason of a record that failed by its attempts alone. */
const EXHAUSTED = 'exhausted';
/** What has expired is deleted beside other work: this much of it at a time, this often. */
const SWEEP = { rows: 500, slices: 10, everyMs: 60_000 };

/** @param {number} value */
const ms = (value) => sql`${value}::float8 * interval '1 millisecond'`;
const clock = raw('clock_timestamp()');
/** Of a whole statement the same, so that its parts agree on whether a record is still there. */
const gone = raw('c.expires_at <= statement_timestamp()');

/** @implements {Claims} */
export class PostgresClaims {
  #nextSweepMs = 0;
  /** @type {Promise<unknown>} */
  #sweeping = Promise.resolve();

  /**
   * @param {any} pool of `pg`
   * @param {{ table?: string | string[] }} [options] default `everyonce_claims`; the table is made on first use where it is missing
   */
  constructor(pool, { table = 'everyonce_claims' } = {}) {
    const database = databaseOf(pool);
    // On a connection that the application uses too, a claim might be part of its transaction and not be there for others.
    if (database.kind !== 'postgres' || !database.isPool) throw badOption('store.postgres', 'a Pool of pg');
    this.database = database;
    this.table = name(table, 'store.table', { qualified: true });
    const last = this.table.parts.length - 1;
    this.sequence = new Name(this.table.parts.with(last, `${this.table.parts[last]}_fence`));
    name(this.sequence.parts[last], 'store.table');
  }

  /** @param {import('./interface.js').ClaimRequest} request @returns {Promise<ClaimAnswer>} */
  async claim(request) {
    this.#sweepNowAndThen();
    for (let look = 0; ; look++) {
      const { rows } = await this.#run(this.#claimStatement(request));
      if (rows.length > 0) {
        const { state, taken, fence, attempt } = rows[0];
        if (state === 'F') return { state: 'EXHAUSTED', fence: Number(fence), attempt };
        return { state: taken ? 'TAKEOVER' : 'ACQUIRED', fence: Number(fence), attempt };
      }
      const answer = await this.#refusal(request, look === LOOKS);
      if (answer) return answer;
    }
  }

  /** @param {import('./interface.js').ClaimRequest} request */
  #claimStatement({ key, owner, leaseMs, keepMs = DEFAULT_KEEP_MS, fingerprint, maxAttempts, requireIssued }) {
    const print = fingerprint ?? null;
    const fence = sql`nextval(${quoted(this.sequence)}::text::regclass)`;
    const most = maxAttempts ?? 2 ** 31 - 1;
    // Everything that is decided here is decided again when the row's lock was waited for, and with the clock of then.
    const spent = sql`(NOT ${gone} AND c.attempt >= ${most}::int)`;
    const free = sql`(c.state = 'I' OR (c.state = 'C' AND c.lease_until <= ${clock}))`;
    const same = sql`(c.fingerprint IS NULL OR ${print}::text IS NULL OR c.fingerprint = ${print}::text)`;
    const set = sql`SET
      state = CASE WHEN ${spent} THEN 'F' ELSE 'C' END,
      reason = CASE WHEN ${spent} THEN ${EXHAUSTED} END,
      taken = (NOT ${gone} AND c.state = 'C'),
      owner = CASE WHEN ${spent} THEN c.owner ELSE ${owner}::text END,
      fence = CASE WHEN ${spent} THEN c.fence ELSE ${fence} END,
      attempt = CASE WHEN ${gone} THEN 1 WHEN ${spent} THEN c.attempt ELSE c.attempt + 1 END,
      lease_until = ${clock} + ${ms(leaseMs)},
      fingerprint = CASE WHEN ${gone} THEN ${print}::text ELSE coalesce(c.fingerprint, ${print}::text) END,
      result = NULL,
      expires_at = ${clock} + ${ms(leaseMs + keepMs)}`;
    const answer = raw('RETURNING c.state, c.taken, c.fence, c.attempt');
    if (requireIssued) {
      return sql`UPDATE ${this.table} AS c ${set} WHERE c.key = ${key} AND NOT ${gone} AND ${free} AND ${same} ${answer}`;
    }
    return sql`INSERT INTO ${this.table} AS c (key, state, taken, owner, fence, attempt, lease_until, fingerprint, expires_at)
      VALUES (${key}, 'C', false, ${owner}, ${fence}, 1, ${clock} + ${ms(leaseMs)}, ${print}, ${clock} + ${ms(leaseMs + keepMs)})
      ON CONFLICT (key) DO UPDATE ${set} WHERE ${gone} OR (${free} AND ${same}) ${answer}`;
  }

  /**
   * Why a claim changed nothing.
   * @param {import('./interface.js').ClaimRequest} request
   * @param {boolean} last
   * @returns {Promise<ClaimAnswer | undefined>} undefined: it can be claimed by now
   */
  async #refusal({ key, owner, fingerprint, requireIssued }, last) {
    const { rows } = await this
      .#run(sql`SELECT state, owner, fence, attempt, fingerprint, result, reason, ${gone} AS gone,
      ceil(extract(epoch FROM lease_until - ${clock}) * 1000)::float8 AS left_ms FROM ${this.table} AS c WHERE key = ${key}`);
    const found = rows[0];
    const busy = /** @type {ClaimAnswer} */ ({ state: 'BUSY', fence: Number(found?.fence ?? 0), retryAfterMs: 1 });
    if (!found || found.gone) return requireIssued ? { state: 'UNKNOWN' } : last ? busy : undefined;
    const fence = Number(found.fence);
    if (fingerprint !== undefined && found.fingerprint !== null && found.fingerprint !== fingerprint) {
      return { state: 'MISMATCH', fence };
    }
    if (found.state === 'D') return { state: 'DONE', fence, result: found.result ?? undefined };
    if (found.state === 'F') return { state: 'FAILED', fence, reason: found.reason ?? undefined };
    if (found.state === 'C' && found.left_ms > 0) {
      if (found.owner === owner) return { state: 'HELD', fence, attempt: found.attempt };
      return { ...busy, retryAfterMs: found.left_ms };
    }
    return last ? busy : undefined;
  }

  /** @type {Claims['renew']} */
  async renew({ key, owner, fence, leaseMs }) {
    const { count } = await this.#run(sql`UPDATE ${this.table} AS c SET lease_until = ${clock} + ${ms(leaseMs)},
      expires_at = GREATEST(c.expires_at, c.expires_at - c.lease_until + ${clock} + ${ms(leaseMs)})
      WHERE ${this.#mine(key, owner, fence)}`);
    if (count === 1) return { state: 'RENEWED' };
    return { state: (await this.#record(key)) ? 'FENCED' : 'GONE' };
  }

  /** @type {Claims['commit']} */
  async commit({ key, owner, fence, result, keepMs = DEFAULT_KEEP_MS }) {
    const { count } = await this.#run(sql`UPDATE ${this.table} AS c SET state = 'D', result = ${result ?? null},
      expires_at = ${clock} + ${ms(keepMs)} WHERE ${this.#mine(key, owner, fence)}`);
    if (count === 1) return { state: 'COMMITTED' };
    const found = await this.#record(key);
    if (!found) return { state: 'GONE' };
    const answer = { fence: Number(found.fence), result: found.result ?? undefined };
    return { state: found.state === 'D' && answer.fence === fence ? 'ALREADY' : 'FENCED', ...answer };
  }

  /** @type {Claims['release']} */
  async release({ key, owner, fence, mode, reason, keepMs = DEFAULT_KEEP_MS }) {
    const { count } = await this.#run(sql`UPDATE ${this.table} AS c SET state = ${mode === 'fail' ? 'F' : 'I'},
      reason = ${reason ?? null}, expires_at = ${clock} + ${ms(keepMs)} WHERE ${this.#mine(key, owner, fence)}`);
    if (count === 1) return { state: 'RELEASED' };
    return { state: (await this.#record(key)) ? 'FENCED' : 'GONE' };
  }

  /** @type {Claims['issue']} */
  async issue({ keys, ttlMs, owner }) {
    const { count } = await this
      .#run(sql`INSERT INTO ${this.table} (key, state, taken, owner, fence, attempt, lease_until, expires_at)
      SELECT one, 'I', false, ${owner ?? null}, 0, 0, ${clock}, ${clock} + ${ms(ttlMs)} FROM unnest(${keys}::text[]) AS one
      ON CONFLICT (key) DO NOTHING`);
    return { issued: count };
  }

  /**
   * Makes the table and the counter of fences where they are missing. Called by itself on first use; a role that may not make
   * tables needs it done once by one that may.
   */
  async migrate() {
    const { table, sequence } = this;
    await transact(this.database, function* () {
      yield sql`SELECT pg_advisory_xact_lock(hashtext('everyonce migrate'))`;
      yield sql`CREATE SEQUENCE IF NOT EXISTS ${sequence}`;
      yield sql`CREATE TABLE IF NOT EXISTS ${table} (key text COLLATE "C" PRIMARY KEY, state text NOT NULL, taken boolean NOT NULL,
        owner text, fence bigint NOT NULL, attempt integer NOT NULL, lease_until timestamptz NOT NULL, fingerprint text,
        result text, reason text, expires_at timestamptz NOT NULL)`;
      yield sql`CREATE INDEX IF NOT EXISTS ${new Name([`${sequence.parts.at(-1)}_expires`.slice(-63)])} ON ${table} (expires_at)`;
    });
  }

  /** @returns {Promise<number>} how many expired records were deleted, a bounded number */
  async sweep() {
    let deleted = 0;
    for (let slice = 0; slice < SWEEP.slices; slice++) {
      const { count } = await this.#run(sql`DELETE FROM ${this.table} WHERE key IN (SELECT key FROM ${this.table} AS c
        WHERE ${gone} ORDER BY expires_at LIMIT ${SWEEP.rows} FOR UPDATE SKIP LOCKED)`);
      deleted += count;
      if (count < SWEEP.rows) break;
    }
    return deleted;
  }

  /** The pool is the application's, and stays open. */
  async close() {
    await this.#sweeping;
  }

  #sweepNowAndThen() {
    const now = performance.now();
    if (now < this.#nextSweepMs) return;
    this.#nextSweepMs = now + SWEEP.everyMs;
    // It is in nobody's way when it fails; the next one does its work.
    this.#sweeping = this.sweep().catch(() => {});
  }

  /** @param {string} key @param {string} owner @param {number} fence */
  #mine(key, owner, fence) {
    return sql`c.key = ${key} AND c.state = 'C' AND c.owner = ${owner} AND c.fence = ${fence} AND NOT ${gone}`;
  }

  /** @param {string} key @returns {Promise<any>} */
  async #record(key) {
    const { rows } = await this.#run(
      sql`SELECT state, fence, result FROM ${this.table} AS c WHERE key = ${key} AND NOT ${gone}`,
    );
    return rows[0];
  }

  /** @param {import('../sql/statement.js').Statement} statement @returns {Promise<import('../sql/steps.js').Answer>} */
  async #run(statement) {
    const attempt = () => statements(this.database, () => this.database.run(statement));
    try {
      return await attempt().catch(async (error) => {
        if (error?.code !== UNDEFINED_TABLE) throw error;
        await this.migrate();
        return attempt();
      });
    } catch (/** @type {any} */ cause) {
      if (cause instanceof EveryonceError) throw cause;
      throw new EveryonceError('STORE_FAILED', `The claims could not be asked: ${cause?.message}`, { cause });
    }
  }
}
