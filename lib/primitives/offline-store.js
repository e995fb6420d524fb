import { EveryonceError } from '../protocol/errors.js';
import { checkInteger, checkMs, checkOptions, checkText, refused } from './check.js';
import { ASYNC_DISPOSE } from './native.js';
import { EmbeddedOffline } from './offline/embedded.js';
import { PostgresOffline } from './offline/postgres.js';

/**
 * @typedef {object} OfflineItem
 * @property {string} msgId 1 to 256 bytes; the same again is known
 * @property {string} sender 1 to 256 bytes
 * @property {unknown} [type] these three: anything that JSON keeps, 1 MiB together
 * @property {unknown} [content]
 * @property {unknown} [sendTime]
 */

/** @typedef {{ items: OfflineItem[], next?: string }} OfflinePage */

/**
 * What stands behind: texts, checked.
 *
 * @typedef {object} OfflineTable
 * @property {(receiver: string, item: { msgId: string, sender: string, body: string }) => Promise<boolean>} append
 * @property {(receiver: string) => Promise<[string, number][]>} counts by sender
 * @property {(query: { receiver: string, sender: string, limit: number, newest: boolean, next: string }) =>
 *   Promise<{ items: { msgId: string, sender: string, body: string }[], next: string }>} pull
 * @property {(receiver: string, msgIds: string[]) => Promise<number>} ack
 * @property {() => any} stats
 * @property {() => Promise<void>} close
 */

const MAX_NAME_BYTES = 256;
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_PAGE = 1000;
const MAX_ACKED = 10_000;
const KEEP_MS = 7 * 86_400_000;

/**
 * The articles' offline table by itself (semantics f): what waits for a receiver, counted by sender, read in pages, and
 * removed only when it was named: by `ack`, or by pulling on with a page's `next`, which acks just that page. What arrives
 * meanwhile is never acked unseen. Reading and acking the same again is harmless.
 *
 * O(page) a pull, O(senders) a count; about 150 bytes an item beside its texts.
 */
export class OfflineStore {
  /** @type {OfflineTable} */
  #table;
  #closed = false;
  #counts = { appended: 0, known: 0, pulled: 0, acked: 0 };

  /**
   * @param {object} options
   * @param {import('./store.js').StoreOption | { postgres: any, table?: string }} options.store `postgres`: a Pool of `pg`
   * @param {number} [options.keepMs] how long an acked msgId is known to `append`; default 7 days
   * @throws {EveryonceError} see openStore
   */
  constructor(options) {
    const { store, keepMs = KEEP_MS } = checkOptions(options, 'options', ['store', 'keepMs']);
    checkMs(keepMs, 'keepMs', { code: 'BAD_OPTION' });
    const postgres = checkOptions(store, 'store').postgres !== undefined;
    this.#table = postgres ? new PostgresOffline(store, keepMs) : new EmbeddedOffline(store, keepMs);
  }

  /**
   * @param {string} receiver
   * @param {OfflineItem} item
   * @returns {Promise<boolean>} when it is durable; false: the receiver has it, or had it within keepMs
   * @throws {EveryonceError} INVALID_ARGUMENT (`option`), OVERLOADED, UNAVAILABLE (the same again tells), CLOSED
   */
  async append(receiver, item) {
    this.#needOpen();
    const name = checkName(receiver, 'receiver');
    const { msgId, sender, type, content, sendTime } = checkItem(item);
    const body = encode({ type, content, sendTime });
    const added = await this.#table.append(name, {
      msgId: checkName(msgId, 'msgId'),
      sender: checkName(sender, 'sender'),
      body,
    });
    this.#counts[added ? 'appended' : 'known'] += 1;
    return added;
  }

  /**
   * @param {string} receiver
   * @returns {Promise<{ total: number, bySender: Record<string, number> }>} as of now: a hint, never a loop's bound
   */
  async counts(receiver) {
    this.#needOpen();
    const counts = await this.#table.counts(checkName(receiver, 'receiver'));
    // fromEntries defines: a sender named __proto__ is one as any other.
    return { total: counts.reduce((sum, [, count]) => sum + count, 0), bySender: Object.fromEntries(counts) };
  }

  /**
   * A page of what waits. With `next`, that of the page before, that page is acked first and the walk goes on behind it;
   * the last page is empty and has no `next`. Without, it begins anew. A page holds at most `limit` items and about a MiB,
   * and at least one item where there is one.
   *
   * @param {string} receiver
   * @param {{ sender?: string, limit?: number, order?: 'oldest' | 'newest', next?: string }} [page] limit 1 to 1000,
   *   default 50; sender, order as in the page that `next` is of
   * @returns {Promise<OfflinePage>}
   */
  async pull(receiver, page = {}) {
    this.#needOpen();
    const { sender, limit = 50, order = 'oldest', next } = checkPage(page);
    if (order !== 'oldest' && order !== 'newest') throw refused('order', "'oldest' or 'newest'");
    const found = await this.#table.pull({
      receiver: checkName(receiver, 'receiver'),
      sender: sender === undefined ? '' : checkName(sender, 'sender'),
      limit: checkInteger(limit, 'limit', { least: 1, most: MAX_PAGE }),
      newest: order === 'newest',
      next: next === undefined ? '' : checkText(next, 'next', { most: 32_768 }),
    });
    this.#counts.pulled += found.items.length;
    const items = found.items.map(({ msgId, sender: from, body }) => ({ msgId, sender: from, ...JSON.parse(body) }));
    return found.next === '' ? { items } : { items, next: found.next };
  }

  /**
   * @param {string} receiver
   * @param {string[]} msgIds at most 10,000; what is not waiting is passed over
   * @returns {Promise<number>} how many were removed
   */
  async ack(receiver, msgIds) {
    this.#needOpen();
    const name = checkName(receiver, 'receiver');
    if (!Array.isArray(msgIds) || msgIds.length > MAX_ACKED) throw refused('msgIds', `at most ${MAX_ACKED} msgIds`);
    const ids = msgIds.map((msgId) => checkName(msgId, 'msgIds'));
    const acked = await this.#table.ack(name, ids);
    this.#counts.acked += acked;
    return acked;
  }

  /** What this object has done, and its store's counters. `acked`: by name only. */
  stats() {
    return { ...this.#counts, store: this.#table.stats() };
  }

  /** Answers what is under way, then lets the store go; a pool stays open. */
  async close() {
    this.#closed = true;
    await this.#table.close();
  }

  async [ASYNC_DISPOSE]() {
    await this.close();
  }

  #needOpen() {
    if (this.#closed) throw new EveryonceError('CLOSED', 'the offline store is closed');
  }
}

/** @param {unknown} value @param {string} option */
function checkName(value, option) {
  const name = checkText(value, option, { most: MAX_NAME_BYTES });
  if (name.includes('\0')) throw refused(option, 'a text without a zero character');
  return name;
}

/** @param {unknown} item @returns {any} */
function checkItem(item) {
  if (typeof item !== 'object' || item === null) throw refused('item', '{ msgId, sender, type, content, sendTime }');
  return item;
}

/** @param {unknown} page @returns {any} */
function checkPage(page) {
  if (typeof page !== 'object' || page === null) throw refused('page', '{ sender?, limit?, order?, next? }');
  return page;
}

/** @param {Record<string, unknown>} rest */
function encode(rest) {
  let body;
  try {
    body = JSON.stringify(rest);
  } catch (cause) {
    throw new EveryonceError('INVALID_ARGUMENT', 'content must be something that JSON keeps', {
      option: 'content',
      cause,
    });
  }
  if (Buffer.byteLength(body) > MAX_BODY_BYTES)
    throw refused('content', 'at most 1 MiB as JSON, with type and sendTime');
  // In JSON a zero is \u0000; PostgreSQL keeps it as it is written, since the column is text.
  return body;
}
