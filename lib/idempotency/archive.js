/** A server's archive: a consumer that writes every accepted message to a database, and what is read back from there. */
import { setTimeout as wait } from 'node:timers/promises';
import { EveryonceError } from '../protocol/errors.js';
import { ArchiveTable } from './archive/table.js';
import { Consumer } from './consumer.js';
import { badOption } from './values.js';

const TABLE = 'everyonce_archive';
/** Messages of one INSERT; 13 parameters each are well below what a statement takes. */
const BATCH = 200;
const CONCURRENCY = 4;
/** A page that waits longer for the database is refused, and asked for again. */
const READ_TIMEOUT_MS = 10_000;
const START_AGAIN_MS = 1000;

/**
 * Durable history beyond what the server's own store keeps: `createServer({ archive: postgres({ pool }) })`. Every accepted message is
 * written once, under (conv, epoch, seq). Retention removes nothing that is not in it, and pages read on from it where the
 * store's own history ends. The table is made by `await archive.migrate()`, or when the server first writes.
 *
 * @param {{ pool: any, table?: string | string[], group?: string }} options `pool` of `pg`; `table` default `everyonce_archive`;
 *   `group` of the consumer, default `archive`: two archives of one server need two
 * @returns {Archive} throws INVALID_ARGUMENT
 */
export function postgres({ pool, table = TABLE, group } = /** @type {any} */ ({})) {
  const archive = new ArchiveTable(pool, table);
  if (archive.kind !== 'postgres' || !archive.isPool) throw badOption('pool', 'a Pool of pg');
  return new Archive(archive, group);
}

/**
 * The same in SQLite.
 *
 * @param {{ database: any, table?: string | string[], group?: string }} options `database` of `better-sqlite3`, for this alone: its
 *   statements block the thread
 * @returns {Archive} throws INVALID_ARGUMENT
 */
export function sqlite({ database, table = TABLE, group } = /** @type {any} */ ({})) {
  const archive = new ArchiveTable(database, table);
  if (archive.kind !== 'sqlite') throw badOption('database', 'a Database of better-sqlite3');
  return new Archive(archive, group);
}

export class Archive {
  #table;
  #group;
  /** @type {Consumer | undefined} */
  #consumer;
  #isMade = false;

  /** Made by postgres() and sqlite(). @param {ArchiveTable} table @param {string} [group] */
  constructor(table, group = 'archive') {
    this.#table = table;
    this.#group = group;
  }

  /** The consumer group that writes it. Retention waits for it, and then for what it has not written. */
  get group() {
    return this.#group;
  }

  /** Makes the table where it is missing. */
  async migrate() {
    await this.#table.migrate();
    this.#isMade = true;
  }

  /**
   * Called by createServer.
   *
   * @param {any} server
   * @param {(error: unknown) => void} fault told of what fails; it is tried again
   */
  attach(server, fault) {
    if (this.#consumer) throw new EveryonceError('BAD_OPTION', 'an archive is of one server', { option: 'archive' });
    const consumer = new Consumer({
      server,
      group: this.#group,
      handler: (messages) => this.#write(messages),
      batch: BATCH,
      concurrency: CONCURRENCY,
      deadLetter: false,
      idempotent: true,
      rawBodies: true,
      maxBackoffMs: 5_000,
    });
    consumer.on('error', fault);
    consumer.on('failed', fault);
    this.#consumer = consumer;
    void this.#start(consumer, fault);
  }

  /** How far behind the archive is: see Consumer. */
  async lag() {
    if (!this.#consumer) throw new EveryonceError('CLOSED', 'the archive belongs to no server');
    return this.#consumer.lag();
  }

  /**
   * Messages of holes that retention left.
   *
   * @param {[conv: string, epoch: number, from: number, to: number][]} holes
   * @returns {Promise<string[]>} for each the packets that stand in its place, as JSON text joined by commas: messages, and holes
   *   where the archive has nothing; '' where it has nothing at all. Throws `unavailable`
   */
  async fill(holes) {
    const signal = AbortSignal.timeout(READ_TIMEOUT_MS);
    const late = wait(READ_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw signal.reason;
    });
    late.catch(() => {});
    try {
      const filled = Promise.all(holes.map((hole) => this.#fillOne(hole)));
      filled.catch(() => {});
      return await Promise.race([filled, late]);
    } catch (cause) {
      throw new EveryonceError('unavailable', 'The archive can not be read.', { retryAfterMs: 1000, cause });
    }
  }

  /** @param {[conv: string, epoch: number, from: number, to: number]} hole */
  async #fillOne([conv, epoch, from, to]) {
    const rows = await this.#table.read(conv, from, to);
    if (rows.length === 0) return '';
    const packets = [];
    let next = from;
    const missing = (/** @type {number} */ end) =>
      packets.push(JSON.stringify({ t: 'hole', conv, epoch, from: next, to: end, reason: 'expired' }));
    for (const { seq, mid, sender, device, id, type, body, at } of rows) {
      if (seq > next) missing(seq - 1);
      // The body as it was accepted, byte for byte.
      const head = JSON.stringify({ t: 'msg', conv, epoch, seq, mid, from: sender, device, id, type });
      packets.push(`${head.slice(0, -1)},"body":${body},"at":${at}}`);
      next = seq + 1;
    }
    if (next <= to) missing(to);
    return packets.join(',');
  }

  /** @param {Consumer} consumer @param {(error: unknown) => void} fault */
  async #start(consumer, fault) {
    for (;;) {
      try {
        await consumer.start();
        return;
      } catch (/** @type {any} */ error) {
        if (error?.code === 'CLOSED') return;
        fault(error);
        if (error?.retryable !== true) return;
        await wait(START_AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  /** @param {import('./consumer/options.js').FeedMessage[]} messages */
  async #write(messages) {
    if (!this.#isMade) await this.migrate();
    await this.#table.write(messages);
  }
}
