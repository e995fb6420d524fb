/**
 * An outbox in the browser's IndexedDB: a message survives reload, crash and days offline, and is sent once.
 *
 * One database per name holds numbered slots, each an outbox with a device of its own. A tab owns the lowest slot whose
 * Web Lock is free, for as long as it lives; so two tabs never share a device. What a closed tab left unsent in another
 * slot is moved over, in one transaction, by whichever tab notices first.
 */
import { EveryonceError } from '../protocol/index.js';
import { FORMAT_VERSION, OutboxState } from './outbox-state.js';
import { JournalOutbox } from './outbox.js';

const STORE = 'records';
const SLOTS = 64;
/** How often a tab looks for what a closed one left, ms. */
const LOOK_MS = 30_000;

/**
 * @typedef {import('./outbox.js').OutboxRecord} OutboxRecord
 * @typedef {import('./outbox.js').Entry} Entry
 * @typedef {import('./outbox.js').Storage} Storage
 *
 * @typedef {object} Platform what the browser gives, or a test in its place
 * @property {IDBFactory} [indexedDB]
 * @property {LockManager} [locks]
 * @property {StorageManager} [storage]
 */

/** @returns {Platform} */
function browserPlatform() {
  const navigator = /** @type {Partial<Navigator> | undefined} */ (globalThis.navigator);
  return { indexedDB: globalThis.indexedDB, locks: navigator?.locks, storage: navigator?.storage };
}

/** All records of a slot, whose keys are [slot, number]. @param {number} slot */
const rangeOf = (slot) => IDBKeyRange.bound([slot], [slot, []]);

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {IDBTransaction} transaction @returns {Promise<void>} resolves when it is committed */
const committed = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
  });

/** @param {OutboxRecord[]} records */
function stateOf(records) {
  const state = new OutboxState();
  for (const record of records) state.apply(record);
  return state;
}

/**
 * What a slot that nobody owns gives to the tab that opens: its messages, and the records that remain of it. Its
 * messages keep their device and number, so that the server is asked about them before they are sent as another's.
 * Pure, for tests.
 * @param {OutboxRecord[]} records
 * @param {string} user whose tab this is; '' where it is not known yet
 * @returns {{ adds: OutboxRecord[], rest: OutboxRecord[] } | null} null where it holds no messages, or another user's
 */
export function emptyAbandonedSlot(records, user) {
  const state = stateOf(records);
  if (state.user !== '' && state.user !== user) return null;
  const entries = [...state.byId.values()].sort((a, b) => a.order - b.order);
  if (entries.length === 0) return null;
  const adds = entries.filter((entry) => !entry.skip).map((entry) => ({ k: 'add', entry: { ...entry } }));
  for (const entry of entries) state.remove(entry.conv, entry.id);
  // A new device for the slot: the numbers that leave with the messages must not be waited for.
  state.apply({ k: 'device', device: '', pe: 0 });
  return { adds, rest: state.snapshot() };
}

/** @implements {Storage} */
class IndexedDBStorage {
  /** @type {Platform} */
  #platform;
  /** @type {string} */
  #name;
  /** @type {IDBDatabase | null} */
  #database = null;
  #slot = 0;
  #next = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watching = undefined;
  /** Lets the Web Lock go. */
  #release = () => {};

  /** @param {string} name @param {Platform} platform */
  constructor(name, platform) {
    this.#name = name;
    this.#platform = platform;
  }

  /** @returns {Promise<import('./outbox.js').Opened>} */
  async open() {
    const { indexedDB, locks, storage } = this.#platform;
    if (!indexedDB || !locks) {
      return { records: [], warnings: [new EveryonceError('OUTBOX_NOT_KEPT', this.#whyNotKept())] };
    }
    // Only a wish: a browser that refuses may drop the database when the disk is full.
    storage?.persist?.().catch(() => {});
    await this.#takeSlot(locks);
    this.#database = await openDatabase(indexedDB, `everyonce:${this.#name}`);
    this.#database.onversionchange = () => this.#database?.close();
    this.#next = await this.#lastNumber();
    await this.#takeOverAbandoned(locks, stateOf(await this.#records()).user);
    return { records: await this.#records() };
  }

  /** @returns {Promise<OutboxRecord[]>} */
  #records() {
    return done(this.#transaction('readonly').objectStore(STORE).getAll(rangeOf(this.#slot)));
  }

  /** A tab that closes later leaves messages, too. @param {(move: (user: string) => Promise<OutboxRecord[]>) => Promise<void>} exclusively */
  watch(exclusively) {
    const { locks } = this.#platform;
    if (this.#slot === 0 || !locks) return;
    const look = () => void exclusively((user) => this.#takeOverAbandoned(locks, user)).catch(() => {});
    this.#watching = setInterval(look, LOOK_MS);
  }

  #whyNotKept() {
    const missing = this.#platform.indexedDB ? 'Web Locks (they need https or localhost)' : 'IndexedDB';
    return `This page has no ${missing}: messages wait in memory, under a fresh device.`;
  }

  /** @param {LockManager} locks */
  async #takeSlot(locks) {
    for (let slot = 1; slot <= SLOTS; slot++) {
      const release = await tryLock(locks, this.#lockName(slot));
      if (!release) continue;
      this.#slot = slot;
      this.#release = release;
      return;
    }
    throw new EveryonceError('OUTBOX_LOCKED', `${SLOTS} tabs have an outbox open already`, { option: 'outbox' });
  }

  /** @param {number} slot */
  #lockName(slot) {
    return `everyonce:${this.#name}:${slot}`;
  }

  /** Moves what closed tabs left into this slot. @param {LockManager} locks @param {string} user @returns {Promise<OutboxRecord[]>} what was added */
  async #takeOverAbandoned(locks, user) {
    const added = [];
    const keys = await done(this.#transaction('readonly').objectStore(STORE).getAllKeys());
    const slots = new Set(keys.map((key) => /** @type {[number, number]} */ (key)[0]));
    slots.delete(this.#slot);
    for (const slot of slots) {
      const release = await tryLock(locks, this.#lockName(slot));
      if (!release) continue;
      try {
        added.push(...(await this.#moveFrom(slot, user)));
      } finally {
        release();
      }
    }
    return added;
  }

  /** One transaction reads, adds here and clears there: a message is in exactly one slot at any moment. @param {number} slot @param {string} user */
  async #moveFrom(slot, user) {
    const transaction = this.#transaction('readwrite');
    const end = committed(transaction);
    const store = transaction.objectStore(STORE);
    /** @type {OutboxRecord[]} */
    let added = [];
    const read = store.getAll(rangeOf(slot));
    read.onsuccess = () => {
      const moved = emptyAbandonedSlot(read.result, user);
      if (!moved) return;
      added = moved.adds;
      const format = this.#next === 0 ? [{ k: 'format', v: FORMAT_VERSION }] : [];
      for (const record of [...format, ...added]) store.put(record, [this.#slot, ++this.#next]);
      store.delete(rangeOf(slot));
      moved.rest.forEach((record, index) => store.put(record, [slot, index + 1]));
    };
    await end;
    return added;
  }

  async #lastNumber() {
    const cursor = await done(
      this.#transaction('readonly').objectStore(STORE).openKeyCursor(rangeOf(this.#slot), 'prev'),
    );
    return cursor ? /** @type {[number, number]} */ (cursor.key)[1] : 0;
  }

  /** @param {IDBTransactionMode} mode @param {boolean} [sync] */
  #transaction(mode, sync = true) {
    if (!this.#database) throw new EveryonceError('OUTBOX_FAILED', 'the database is not open');
    return this.#database.transaction(STORE, mode, { durability: sync ? 'strict' : 'relaxed' });
  }

  /** @param {OutboxRecord[]} records @param {{ sync: boolean }} options */
  async write(records, { sync }) {
    if (this.#slot === 0) return;
    const transaction = this.#transaction('readwrite', sync);
    const end = committed(transaction);
    const store = transaction.objectStore(STORE);
    for (const record of records) store.put(record, [this.#slot, ++this.#next]);
    await end;
  }

  /** @param {OutboxRecord[]} records */
  async replace(records) {
    if (this.#slot === 0) return;
    const transaction = this.#transaction('readwrite');
    const end = committed(transaction);
    const store = transaction.objectStore(STORE);
    store.delete(rangeOf(this.#slot));
    this.#next = 0;
    for (const record of records) store.put(record, [this.#slot, ++this.#next]);
    await end;
  }

  async close() {
    clearInterval(this.#watching);
    this.#database?.close();
    this.#database = null;
    this.#release();
  }
}

/**
 * @param {LockManager} locks
 * @param {string} name
 * @returns {Promise<(() => void) | null>} lets it go; null where another has it
 */
function tryLock(locks, name) {
  return new Promise((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (!lock) return resolve(null);
        return new Promise((release) => resolve(() => release(undefined)));
      })
      .catch(reject);
  });
}

/** @param {IDBFactory} indexedDB @param {string} name @returns {Promise<IDBDatabase>} */
function openDatabase(indexedDB, name) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

export class IndexedDBOutbox extends JournalOutbox {
  /**
   * @param {{ name?: string } & Platform} [options] `name`: one per user of the page, so that one user's messages are
   *   never sent as another's; the rest replaces the browser's own, for tests
   */
  constructor({ name = 'default', ...platform } = {}) {
    super(new IndexedDBStorage(name, { ...browserPlatform(), ...platform }));
  }
}
