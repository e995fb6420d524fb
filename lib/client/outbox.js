/**
 * Outboxes: where what was sent waits until the server has it, with the device that its numbers belong to.
 *
 * An outbox is an OutboxState (the rules) over a Storage (where its records live). A storage of your own is an object
 * with the five members below, given to `new JournalOutbox(storage)`; MemoryOutbox, IndexedDBOutbox and FileOutbox are
 * the ones that come with the package.
 *
 * @typedef {import('./outbox-state.js').OutboxRecord} OutboxRecord
 * @typedef {import('./outbox-state.js').Entry} Entry
 * @typedef {import('./outbox-state.js').Accepted} Accepted
 *
 * @typedef {object} Opened
 * @property {OutboxRecord[]} records all that was written, in order, or a snapshot and what came after it
 * @property {boolean} [damaged] records in the middle are lost: numbers may have been used that are not known any more
 * @property {EveryonceError[]} [warnings] what the application should know
 *
 * @typedef {object} Storage
 * @property {() => Promise<Opened>} open takes the storage for this process alone; rejects with `OUTBOX_LOCKED` where it is taken
 * @property {(records: OutboxRecord[], options: { sync: boolean }) => Promise<void>} write appends all of them or none; with
 *   `sync` resolves only when they survive a power cut
 * @property {(records: OutboxRecord[]) => Promise<void>} replace puts these in the place of all that was written, atomically and durably
 * @property {(exclusively: (move: (user: string) => Promise<OutboxRecord[]>) => Promise<void>) => void} [watch] called once after open, by
 *   storages where messages may come from elsewhere: `move` runs while nothing else is written, and resolves to the `add`
 *   records that it has durably put here
 * @property {() => Promise<void>} close lets go
 */
import { EveryonceError, LIMITS } from '../protocol/index.js';
import { FORMAT_VERSION, OutboxState, RECENT_KEPT } from './outbox-state.js';

/** Records written before a snapshot takes their place, at least; and at least this many times what is alive. */
const COMPACT_RECORDS = 1000;
const COMPACT_FACTOR = 4;

/**
 * @typedef {object} Batch what the next write carries
 * @property {OutboxRecord[]} records
 * @property {boolean} sync
 * @property {{ resolve: () => void, reject: (error: Error) => void }[]} waiters
 * @property {Entry[]} adds
 * @property {Map<string, OutboxRecord>} positions its one `at` record of each conversation, so that a stalled disk costs bounded memory
 */

/** @returns {Batch} */
const emptyBatch = () => ({ records: [], sync: false, waiters: [], adds: [], positions: new Map() });

/** @param {Batch} batch @param {Batch} more what came after it */
function mergeInto(batch, more) {
  batch.records.push(...more.records);
  batch.sync ||= more.sync;
  batch.waiters.push(...more.waiters);
  batch.adds.push(...more.adds);
}

export class JournalOutbox {
  state = new OutboxState();
  /** What the application should know, gathered while opening. @type {EveryonceError[]} */
  warnings = [];
  /** Told of messages that came from elsewhere. @type {(entry: Entry) => void} */
  onAdded = () => {};
  /** @type {Storage} */
  #storage;
  #pending = emptyBatch();
  /** @type {Promise<void> | null} */
  #writing = null;
  #written = 0;
  /** After a failed write nobody knows what the journal's end holds: a snapshot takes its place first. */
  #replaceFirst = false;
  #opened = false;

  /** @param {Storage} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /**
   * Takes the outbox, reads it, and durably raises `pe`. Call once, before anything else.
   * @param {{ newDevice: () => string, device?: string }} options `device`: an id that the application chose
   * @returns {Promise<OutboxState>}
   * @throws {EveryonceError} `OUTBOX_LOCKED`, `OUTBOX_VERSION`, `OUTBOX_FAILED`
   */
  async open({ newDevice, device }) {
    if (this.#opened)
      throw new EveryonceError('OUTBOX_LOCKED', 'an outbox belongs to one client', { option: 'outbox' });
    this.#opened = true;
    const {
      records,
      damaged = false,
      warnings = [],
    } = await this.#storage.open().catch((error) => {
      this.#opened = false;
      throw error instanceof EveryonceError ? error : new EveryonceError('OUTBOX_FAILED', undefined, { cause: error });
    });
    for (const record of records) this.state.apply(record);
    this.warnings = [...warnings];
    const fresh = this.state.device === '' || damaged || (device !== undefined && device !== this.state.device);
    if (damaged) this.warnings.push(new EveryonceError('OUTBOX_DAMAGED'));
    const next = fresh
      ? { device: device && !damaged ? device : newDevice(), pe: 1 }
      : { device: this.state.device, pe: this.state.pe + 1 };
    this.state.apply({ k: 'device', ...next });
    this.state.isNew = fresh && next.device !== device;
    for (const conv of this.state.entries.keys()) this.state.sort(conv);
    this.#written = records.length;
    // A snapshot at each opening keeps the journal short, and makes the raised pe durable in the same act.
    await this.#replace().catch(async (cause) => {
      await this.#storage.close();
      throw new EveryonceError('OUTBOX_FAILED', undefined, { cause });
    });
    this.#storage.watch?.((move) => this.#exclusively(move));
    return this.state;
  }

  /** Lets the storage put messages here by itself, with no snapshot in between that does not know of them. @param {(user: string) => Promise<OutboxRecord[]>} move */
  async #exclusively(move) {
    await this.flush();
    this.#writing = move(this.state.user)
      .then((records) => {
        for (const record of records) this.state.apply(record);
        for (const { conv } of records.map(({ entry }) => entry)) this.state.sort(conv);
        for (const { entry } of records) this.onAdded(/** @type {Entry} */ (this.state.byId.get(entry.id)));
      })
      .finally(() => this.#ended());
    await this.#writing;
  }

  /**
   * Takes a message: gives its number and stores both in one durable write.
   * @param {Omit<Entry, 'n' | 'device' | 'order'>} message
   * @returns {Promise<Entry>} resolves when it is durable
   * @throws {EveryonceError} `OUTBOX_FAILED`: not taken, its number is free again
   */
  async append(message) {
    const numbered = this.state.number(message);
    this.state.apply({ k: 'add', entry: numbered });
    const entry = /** @type {Entry} */ (this.state.byId.get(message.id));
    await this.#write({ k: 'add', entry: numbered }, { sync: true, add: entry });
    return entry;
  }

  /**
   * The message is settled: stored by the server (`accepted`), or given up. Not waited for: an entry that comes back
   * after a crash is sent again and answered as a duplicate.
   * @param {Entry} entry
   * @param {Accepted} [accepted]
   */
  settle(entry, accepted) {
    this.#note({ k: 'done', conv: entry.conv, id: entry.id, ...(accepted ? { accepted } : {}) });
  }

  /**
   * The server refuses the message for good. Durable when it resolves, so that nobody is told before: of some refusals
   * (`unknown_conv`) the server remembers nothing, and would take the message if a crash brought it back.
   * @param {Entry} entry
   */
  refuse(entry) {
    return this.#apply({ k: 'done', conv: entry.conv, id: entry.id });
  }

  /** Durably gives a message up; its number is still to be skipped. @param {Entry} entry */
  skip(entry) {
    return this.#apply({ k: 'skip', conv: entry.conv, id: entry.id });
  }

  /** Nobody can tell whether this arrived: keep showing it, never send it. @param {Entry} entry */
  freeze(entry) {
    this.#note({ k: 'freeze', conv: entry.conv, id: entry.id });
  }

  /**
   * Gives messages of an older device numbers of this one, durably before it resolves.
   * @param {string} conv
   * @param {Entry[]} entries in the order they are to be sent
   */
  adopt(conv, entries) {
    const first = (this.state.counters.get(conv) ?? 0) + 1;
    return this.#apply({ k: 'adopt', conv, items: entries.map(({ id }, index) => [id, first + index]) });
  }

  /**
   * Gives messages that were never sent the tokens that they go out under, durably before it resolves.
   * @param {string} conv
   * @param {[id: string, tokens: string[]][]} items
   */
  bind(conv, items) {
    return this.#apply({ k: 'bind', conv, items });
  }

  /**
   * Gives messages that were refused for their tokens others, and the next numbers, durably before it resolves.
   * @param {string} conv
   * @param {[id: string, tokens: string[]][]} items in the order they are to be sent
   */
  renew(conv, items) {
    const first = (this.state.counters.get(conv) ?? 0) + 1;
    return this.#apply({ k: 'renew', conv, items: items.map(([id, tokens], index) => [id, tokens, first + index]) });
  }

  /** @param {boolean} required whether the server requires tokens for messages */
  setTokensRequired(required) {
    if (required !== this.state.tokensRequired) this.#note({ k: 'tokens', required });
  }

  /**
   * Puts acked sends back among those that wait, because the server lost them.
   * @param {string} conv
   * @param {(entry: Entry) => boolean} which
   * @returns {Entry[]}
   */
  reoffer(conv, which) {
    const ids = (this.state.acked.get(conv) ?? []).filter(which).map((entry) => entry.id);
    if (ids.length === 0) return [];
    this.#note({ k: 'reoffer', conv, ids });
    return ids.flatMap((id) => this.state.byId.get(id) ?? []);
  }

  /**
   * All messages of the conversation up to `seq` are handled. Not waited for: after a crash the server's own mark of
   * what this device acked stands in.
   * @param {string} conv
   * @param {number} epoch
   * @param {number} seq
   * @param {string} [key] of the message that was handled last
   */
  handled(conv, epoch, seq, key) {
    const recent = key === undefined ? [] : [[seq, key]];
    this.state.apply({ k: 'at', conv, epoch, seq, recent });
    const waiting = this.#pending.positions.get(conv);
    if (waiting) {
      Object.assign(waiting, { epoch, seq });
      waiting.recent.push(...recent);
      if (waiting.recent.length > RECENT_KEPT) waiting.recent.shift();
      return;
    }
    const record = { k: 'at', conv, epoch, seq, recent };
    this.#pending.positions.set(conv, record);
    this.#enqueue(record);
  }

  /**
   * A new epoch of the conversation begins after `keep`.
   * @param {string} conv
   * @param {number} epoch
   * @param {number} keep
   * @param {string} [key] of a message that was being handled meanwhile
   */
  voidAbove(conv, epoch, keep, key) {
    this.#pending.positions.delete(conv);
    this.#note({ k: 'void', conv, epoch, keep, ...(key === undefined ? {} : { key }) });
  }

  /** A new device: what waits keeps its old numbers until `adopt`. @param {string} device */
  renewDevice(device) {
    const written = this.#apply({ k: 'device', device, pe: 1 });
    this.state.isNew = true;
    return written;
  }

  /** @param {string} user */
  setUser(user) {
    return this.#apply({ k: 'user', user });
  }

  /** Makes all that was told so far durable: after a write failed, before what it said may be acted on. */
  durable() {
    return this.#write({ k: 'format', v: FORMAT_VERSION }, { sync: true });
  }

  /** Resolves when all that was told so far is written, or has failed. */
  async flush() {
    while (this.#writing) await this.#writing.catch(() => {});
  }

  async close() {
    await this.flush();
    await this.#storage.close();
  }

  /** @param {OutboxRecord} record applied now, written soon */
  #note(record) {
    this.state.apply(record);
    this.#enqueue(record);
  }

  /** @param {OutboxRecord} record applied now, durable when this resolves */
  async #apply(record) {
    this.state.apply(record);
    await this.#write(record, { sync: true });
  }

  /** @param {OutboxRecord} record */
  #enqueue(record) {
    this.#pending.records.push(record);
    this.#start();
  }

  /**
   * @param {OutboxRecord} record
   * @param {{ sync: boolean, add?: Entry }} options
   * @returns {Promise<void>}
   */
  #write(record, { sync, add }) {
    const batch = this.#pending;
    batch.records.push(record);
    batch.sync ||= sync;
    if (add) batch.adds.push(add);
    return new Promise((resolve, reject) => {
      batch.waiters.push({ resolve, reject });
      this.#start();
    });
  }

  /** Group commit without a timer: while one batch is being written, the next one gathers. */
  #start() {
    if (this.#writing) return;
    this.#writing = Promise.resolve()
      .then(() => this.#drain())
      .finally(() => this.#ended());
  }

  #ended() {
    this.#writing = null;
    if (this.#pending.records.length > 0) this.#start();
  }

  async #drain() {
    while (this.#pending.records.length > 0) {
      const batch = this.#pending;
      this.#pending = emptyBatch();
      try {
        if (this.#replaceFirst || this.#wantsCompaction()) {
          // The snapshot holds what has gathered meanwhile, too; written once more it would count twice.
          mergeInto(batch, this.#pending);
          this.#pending = emptyBatch();
          await this.#replace();
        } else {
          await this.#storage.write(batch.records, { sync: batch.sync });
          this.#written += batch.records.length;
        }
        for (const waiter of batch.waiters) waiter.resolve();
      } catch (cause) {
        this.#fail(batch, cause);
      }
    }
  }

  /** What could not be written is taken back, newest first, with what was numbered behind it. @param {Batch} batch @param {unknown} cause */
  #fail(batch, cause) {
    mergeInto(batch, this.#pending);
    this.#pending = emptyBatch();
    this.#replaceFirst = true;
    for (const entry of batch.adds.reverse()) this.state.undoAdd(entry);
    const error = new EveryonceError('OUTBOX_FAILED', undefined, { cause });
    for (const waiter of batch.waiters) waiter.reject(error);
  }

  async #replace() {
    const records = this.state.snapshot();
    await this.#storage.replace(records);
    this.#written = records.length;
    this.#replaceFirst = false;
  }

  #wantsCompaction() {
    const { state } = this;
    const alive = state.byId.size + state.counters.size + state.positions.size + state.acked.size;
    return this.#written > COMPACT_RECORDS + COMPACT_FACTOR * alive;
  }
}

/** Nothing outlives the process: for tests, for pages that may not keep anything, and the default. */
export class MemoryOutbox extends JournalOutbox {
  constructor() {
    super({
      open: async () => ({ records: [] }),
      write: async () => {},
      replace: async () => {},
      close: async () => {},
    });
  }
}

/**
 * The positions that a hello or resume brings, newest first, at most as many as one packet may hold.
 * @param {OutboxState} state
 * @param {{ has: (conv: string) => boolean }} [without] conversations that were brought already
 * @returns {Record<string, [number, number]>}
 */
export function positionsToBring(state, without = new Set()) {
  /** @type {[string, [number, number]][]} */
  const brought = [];
  for (const [conv, { epoch, seq }] of [...state.positions].reverse()) {
    if (brought.length === LIMITS.positions) break;
    if (epoch > 0 && !without.has(conv)) brought.push([conv, [epoch, seq]]);
  }
  // Where only own messages are known: the answer tells whether they survived.
  for (const [conv, list] of state.acked) {
    const accepted = list.at(-1)?.accepted;
    if (!accepted || state.positions.get(conv)?.epoch || without.has(conv) || brought.length === LIMITS.positions)
      continue;
    brought.push([conv, [accepted.epoch, 0]]);
  }
  return Object.fromEntries(brought);
}
