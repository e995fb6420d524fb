/**
 * What an outbox knows, as a value that records are applied to: the same rules for memory, file and IndexedDB.
 * Pure: no storage, no clock, no chance. Replaying the records, or a snapshot of them, gives the same state again.
 *
 * A record is a small JSON object whose `k` names its kind; RECORDS in this file is the format of every journal.
 */
import { LIMITS } from '../protocol/index.js';

/**
 * @typedef {{ seq: number, epoch: number, mid: string, at: number, mids?: string[] }} Accepted where and when the server
 *   stored it; of a package, where its first part, and `mids` of all
 * @typedef {{ id: string, bodyText: string }} Part of a package
 *
 * @typedef {object} Entry one message that the outbox holds
 * @property {string} conv
 * @property {string} id
 * @property {number} n 0 while no number is given: behind messages that wait to be moved to a new device
 * @property {string} device the device that `n` belongs to; '' while there is none
 * @property {string} [type]
 * @property {string} bodyText the body as JSON text, '' for a number that is only to be skipped, and for a package
 * @property {Part[]} [parts] a package: messages that share this number, and are stored together or not at all
 * @property {number} at ms, when it was taken
 * @property {number} order place among all that this outbox ever took
 * @property {boolean} [skip] given up: its number is to be skipped
 * @property {string[]} [tokens] under which it, or its parts, are sent in place of their own ids
 * @property {boolean} [waits] taken where tokens are required: never sent before `tokens` are bound to it
 * @property {boolean} [frozen] too old to tell whether it arrived: shown, never sent
 * @property {Accepted} [accepted] while it is among the last acked ones
 *
 * @typedef {object} Position how far a conversation is handled
 * @property {number} epoch
 * @property {number} seq
 * @property {[number, string][]} recent seq and key of the last handled messages, oldest first
 * @property {string[]} voided keys of messages that were handled and then lost by the server, oldest first
 *
 * @typedef {{ k: string } & Record<string, any>} OutboxRecord
 */

export const FORMAT_VERSION = 1;

/** Handled messages remembered per conversation, to recognise them after an epoch change. */
export const RECENT_KEPT = 64;

/** Who sent what: how a message is recognised when its place in the log has changed. @param {{ from: string, device: string, id: string }} m */
export const messageKey = (m) => `${m.from}/${m.device}/${m.id}`;

export class OutboxState {
  device = '';
  /** Incarnation of the device, raised at each opening. */
  pe = 0;
  /**
   * The device was made in this process, so nobody else can have used its numbers. Otherwise the outbox may be an old
   * copy of itself, which the first answer in each conversation tells.
   */
  isNew = false;
  /** The user whose messages these are; '' before the first welcome. */
  user = '';
  /** The server required tokens for messages, when it was last heard of. */
  tokensRequired = false;
  /** Entries in the order they are to be sent. @type {Map<string, Entry[]>} */
  entries = new Map();
  /** @type {Map<string, Entry>} */
  byId = new Map();
  /** Highest n given, per conversation, for the current device. @type {Map<string, number>} */
  counters = new Map();
  /** The last acked sends, oldest first. @type {Map<string, Entry[]>} */
  acked = new Map();
  /** In the order they were last changed. @type {Map<string, Position>} */
  positions = new Map();
  /** The highest `order` of an entry. */
  lastOrder = 0;

  /** Number of messages that wait, without those given up. */
  get size() {
    return this.byId.size;
  }

  /** @param {string} conv @returns {Entry[]} */
  entriesOf(conv) {
    return this.entries.get(conv) ?? [];
  }

  /**
   * The entry that a new message gets: with the next number, or without one where messages of an older device wait
   * before it in the conversation.
   * @param {Omit<Entry, 'n' | 'device' | 'order'>} message
   * @returns {Entry}
   */
  number(message) {
    // In order of sending, what is not this device's stands first, and what has no number yet stands last.
    const list = this.entriesOf(message.conv);
    const waits = [list.find((entry) => !entry.frozen), list.at(-1)].some(
      (entry) => entry && !entry.frozen && entry.device !== this.device,
    );
    const order = this.lastOrder + 1;
    if (waits) return { ...message, order, n: 0, device: '' };
    return { ...message, order, n: (this.counters.get(message.conv) ?? 0) + 1, device: this.device };
  }

  /** @param {OutboxRecord} record */
  apply(record) {
    const rule = Object.hasOwn(RECORDS, record.k) ? RECORDS[record.k] : undefined;
    if (rule) rule(this, record);
  }

  /** Takes back an `add` that could not be written; only the newest of its conversation may be. @param {Entry} entry */
  undoAdd(entry) {
    this.remove(entry.conv, entry.id);
    if (entry.n > 0 && this.counters.get(entry.conv) === entry.n) this.counters.set(entry.conv, entry.n - 1);
  }

  /** @param {Entry} entry */
  insert(entry) {
    const list = this.entries.get(entry.conv);
    if (list) list.push(entry);
    else this.entries.set(entry.conv, [entry]);
    this.byId.set(entry.id, entry);
    this.lastOrder = Math.max(this.lastOrder, entry.order);
    if (entry.device === this.device && entry.n > (this.counters.get(entry.conv) ?? 0)) {
      this.counters.set(entry.conv, entry.n);
    }
  }

  /**
   * @param {string} conv
   * @param {string} id
   * @returns {Entry | undefined} what was removed
   */
  remove(conv, id) {
    const list = this.entriesOf(conv);
    const index = list.findIndex((entry) => entry.id === id);
    if (index < 0) return undefined;
    const [entry] = list.splice(index, 1);
    if (list.length === 0) this.entries.delete(conv);
    this.byId.delete(id);
    return entry;
  }

  /** Order of sending: what belongs to an older device, then this device's by n, then what has no number yet. @param {string} conv */
  sort(conv) {
    const group = (/** @type {Entry} */ entry) => (entry.n === 0 ? 2 : entry.device === this.device ? 1 : 0);
    const place = (/** @type {Entry} */ entry) => (group(entry) === 1 ? entry.n : entry.order);
    this.entriesOf(conv).sort((a, b) => group(a) - group(b) || place(a) - place(b));
  }

  /** @param {string} conv @returns {Position} */
  position(conv) {
    let position = this.positions.get(conv);
    if (!position) {
      position = { epoch: 0, seq: 0, recent: [], voided: [] };
      this.positions.set(conv, position);
    }
    return position;
  }

  /** Records that make this state again: what a compaction writes. @returns {OutboxRecord[]} */
  snapshot() {
    /** @type {OutboxRecord[]} */
    const records = [
      { k: 'format', v: FORMAT_VERSION },
      { k: 'device', device: this.device, pe: this.pe },
    ];
    if (this.user) records.push({ k: 'user', user: this.user });
    if (this.tokensRequired) records.push({ k: 'tokens', required: true });
    for (const [conv, n] of this.counters) records.push({ k: 'counter', conv, n });
    for (const [conv, list] of this.acked) records.push({ k: 'acked', conv, list });
    for (const [conv, position] of this.positions) records.push({ k: 'position', conv, ...position });
    for (const list of this.entries.values()) for (const entry of list) records.push({ k: 'add', entry });
    return records;
  }
}

/**
 * Keeps the last `limit` of a list, in place.
 * @param {unknown[]} list
 * @param {number} limit
 */
function keepLast(list, limit) {
  if (list.length > limit) list.splice(0, list.length - limit);
}

/**
 * Every kind of record, and what it does.
 * @type {Record<string, (state: OutboxState, record: OutboxRecord) => void>}
 */
const RECORDS = {
  /** The first record: which version wrote this. */
  format() {},

  /** { device, pe }: this device from here on. A new device begins its numbers at 1; what waits keeps its old device. */
  device(state, { device, pe }) {
    if (device !== state.device) {
      state.counters.clear();
      // A number that an older device gave up needs no skip any more: nothing is sent behind it.
      for (const entry of [...state.byId.values()]) if (entry.skip) state.remove(entry.conv, entry.id);
    }
    state.isNew = false;
    state.device = device;
    state.pe = pe;
  },

  /** { user }: whose messages these are. */
  user(state, { user }) {
    state.user = user;
  },

  /** { required }: whether the server requires tokens. */
  tokens(state, { required }) {
    state.tokensRequired = required;
  },

  /** { conv, items: [[id, tokens]…] }: messages that were never sent go out under these tokens. */
  bind(state, { items }) {
    for (const [id, tokens] of items) {
      const entry = state.byId.get(id);
      if (entry) entry.tokens = tokens;
    }
  },

  /** { conv, items: [[id, tokens, n]…] }: refused for their tokens; they go out under others, as new messages of this device. */
  renew(state, { conv, items }) {
    for (const [id, tokens, n] of items) {
      const entry = state.byId.get(id);
      if (!entry) continue;
      Object.assign(entry, { tokens, n });
      if (n > (state.counters.get(conv) ?? 0)) state.counters.set(conv, n);
    }
    state.sort(conv);
  },

  /** { entry }: a message was taken, and has its number. */
  add(state, { entry }) {
    if (!state.byId.has(entry.id)) state.insert({ ...entry });
  },

  /** { conv, id }: given up, its number is to be skipped. */
  skip(state, { id }) {
    const entry = state.byId.get(id);
    if (entry) Object.assign(entry, { skip: true, bodyText: '', frozen: undefined, parts: undefined });
  },

  /** { conv, id }: can't be told any more whether it arrived. */
  freeze(state, { id }) {
    const entry = state.byId.get(id);
    if (entry) entry.frozen = true;
  },

  /** { conv, id, accepted? }: settled; with `accepted`, it is kept among the last acked ones. */
  done(state, { conv, id, accepted }) {
    const entry = state.remove(conv, id);
    if (!entry || !accepted || entry.skip) return;
    const list = state.acked.get(conv) ?? [];
    list.push({ ...entry, frozen: undefined, accepted });
    keepLast(list, LIMITS.ackedKept);
    state.acked.set(conv, list);
  },

  /** { conv, items: [[id, n]…] }: messages of an older device now belong to this one. */
  adopt(state, { conv, items }) {
    for (const [id, n] of items) {
      const entry = state.byId.get(id);
      if (!entry) continue;
      Object.assign(entry, { n, device: state.device });
      if (n > (state.counters.get(conv) ?? 0)) state.counters.set(conv, n);
    }
    state.sort(conv);
  },

  /** { conv, ids }: acked sends that the server lost wait again, under their old numbers. */
  reoffer(state, { conv, ids }) {
    const list = state.acked.get(conv) ?? [];
    for (const id of ids) {
      const index = list.findIndex((entry) => entry.id === id);
      if (index < 0 || state.byId.has(id)) continue;
      const [entry] = list.splice(index, 1);
      delete entry.accepted;
      state.insert(entry);
    }
    if (list.length === 0) state.acked.delete(conv);
    state.sort(conv);
  },

  /** { conv, epoch, seq, recent: [[seq, key]…]? }: handled up to here, and what was handled since the last time. */
  at(state, { conv, epoch, seq, recent = [] }) {
    const position = state.position(conv);
    Object.assign(position, { epoch, seq });
    for (const item of recent) {
      position.recent.push(item);
      const again = position.voided.indexOf(item[1]);
      if (again >= 0) position.voided.splice(again, 1);
    }
    keepLast(position.recent, RECENT_KEPT);
    state.positions.delete(conv);
    state.positions.set(conv, position);
  },

  /** { conv, epoch, keep, key? }: a new epoch; what was handled above `keep` is void, and known again when it comes back. */
  void(state, { conv, epoch, keep, key: running }) {
    const position = state.position(conv);
    if (running !== undefined && !position.voided.includes(running)) position.voided.push(running);
    for (const [seq, key] of position.recent)
      if (seq > keep && !position.voided.includes(key)) position.voided.push(key);
    // Beside all of the last, those of the time before that have not come back yet: a log may go back twice.
    keepLast(position.voided, 2 * RECENT_KEPT);
    position.recent = position.recent.filter(([seq]) => seq <= keep);
    position.epoch = epoch;
    position.seq = Math.min(position.seq, keep);
  },

  /** { conv, n }: in a snapshot, the highest number given. */
  counter(state, { conv, n }) {
    if (n > (state.counters.get(conv) ?? 0)) state.counters.set(conv, n);
  },

  /** { conv, list }: in a snapshot, the last acked sends. */
  acked(state, { conv, list }) {
    state.acked.set(conv, list);
  },

  /** { conv, epoch, seq, recent, voided }: in a snapshot, a position. */
  position(state, { conv, epoch, seq, recent, voided }) {
    state.positions.set(conv, { epoch, seq, recent, voided });
  },
};
