// One conversation as this page knows it: messages in order, what is on its way, and who has read what. No DOM, no storage,
// no network.

/**
 * @typedef {{ conv: string, epoch: number, seq: number, mid: string, from: string, device: string, id: string, type: string,
 *   body: any, at: number }} Message
 * @typedef {{ id: string, body: any, at: number, status: 'waiting' | 'unconfirmed' | 'failed', reason: string }} Pending
 */

/** Who sent what: the same for a message that was sent again after the server lost it. @param {Message} message */
const keyOf = ({ from, device, id }) => `${from}/${device}/${id}`;
/** A place is an epoch and a seq: numbers may come again after a loss on the server. @param {Message} message */
const placeOf = ({ epoch, seq }) => `${epoch}/${seq}`;
/** @param {Message} a @param {Message} b */
const isAfter = (a, b) => a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq);

export class Conversation {
  /** Ascending by epoch and seq. @type {Message[]} */
  messages = [];
  /** Own messages that have no place yet, in the order they were written. @type {Map<string, Pending>} */
  pending = new Map();
  /** How far the others are. @type {Map<string, { got: number, read: number }>} */
  marks = new Map();
  /** @type {Set<string>} */
  members = new Set();
  /** Who is typing, until when. @type {Map<string, number>} */
  typing = new Map();
  epoch = 0;
  head = 0;
  /** The client has explained every seq up to here. */
  got = 0;
  read = 0;
  unread = 0;
  /** First seq that was unread when the conversation was opened; 0: no marker. */
  newFrom = 0;
  draft = '';
  /** Older messages are in this browser's history. */
  hasEarlier = false;
  /** Messages that came twice, and that came out of order: both are to stay 0. */
  doubled = 0;
  swapped = 0;
  /** When somebody here began it, ms. */
  begunAt = 0;
  /** History below the first message was looked for. */
  isLoaded = false;
  /** @type {Set<string>} */
  #places = new Set();
  /** @type {Map<string, Message>} */
  #byKey = new Map();
  /** Seqs for which the server has no message. @type {Set<number>} */
  #gone = new Set();
  #lastHandled = 0;

  /** @param {string} conv @param {string} me */
  constructor(conv, me) {
    this.conv = conv;
    this.me = me;
    if (conv.startsWith('dm:')) for (const name of conv.slice(3).split(':')) this.members.add(name);
  }

  get last() {
    return this.messages.at(-1);
  }

  /** For the order of the list, ms. */
  get lastAt() {
    return Math.max(this.begunAt, this.last?.at ?? 0, ...[...this.pending.values()].map(({ at }) => at));
  }

  get isEmpty() {
    return this.messages.length === 0 && this.pending.size === 0;
  }

  /** @param {Message} message @returns {boolean} whether it was new */
  insert(message) {
    this.pending.delete(message.id);
    if (this.#places.has(placeOf(message))) return false;
    const known = this.#byKey.get(keyOf(message));
    if (known && known.epoch === message.epoch) this.doubled += 1;
    // Sent again because the server had lost it: it has one place, the newer.
    else if (known && isAfter(known, message)) return false;
    else if (known) this.#remove(known);
    this.#byKey.set(keyOf(message), message);
    this.#places.add(placeOf(message));
    let index = this.messages.length;
    while (index > 0 && isAfter(this.messages[index - 1], message)) index -= 1;
    this.messages.splice(index, 0, message);
    this.head = Math.max(this.head, message.seq);
    if (message.type === 'system.members') this.#foldMembers(message);
    this.typing.delete(message.from);
    return true;
  }

  /** @param {Message} message */
  #remove(message) {
    this.messages.splice(this.messages.indexOf(message), 1);
    this.#byKey.delete(keyOf(message));
    this.#places.delete(placeOf(message));
  }

  /** An own message that waits; also one that had a place which the server lost. @param {Pending} pending */
  wait(pending) {
    const placed = this.messages.findLast(({ id, from }) => id === pending.id && from === this.me);
    if (placed) this.#remove(placed);
    this.pending.set(pending.id, pending);
  }

  /** A message that the client handed over; it does so once for each, in order. @param {Message} message */
  handled(message) {
    if (message.seq <= this.#lastHandled) this.swapped += 1;
    this.#lastHandled = message.seq;
    return this.insert(message);
  }

  /** @param {Message} message */
  #foldMembers({ seq, body }) {
    // The first message of a group is its making, and whoever made it is in it.
    if (seq === 1 && typeof body?.by === 'string') this.members.add(body.by);
    for (const name of Array.isArray(body?.add) ? body.add : []) this.members.add(name);
    for (const name of Array.isArray(body?.remove) ? body.remove : []) this.members.delete(name);
  }

  /** @param {number} from @param {number} to seqs that have no message */
  gap(from, to) {
    for (let seq = from; seq <= to; seq++) this.#gone.add(seq);
  }

  /**
   * A new epoch: numbers above `keep` are given anew. What was shown stays: the client hands nothing over twice.
   * @param {number} epoch @param {number} keep
   */
  newEpoch(epoch, keep) {
    this.epoch = epoch;
    this.head = Math.min(this.head, keep);
    this.got = Math.min(this.got, keep);
    this.read = Math.min(this.read, keep);
    this.#lastHandled = Math.min(this.#lastHandled, keep);
    for (const mark of this.marks.values()) {
      mark.got = Math.min(mark.got, keep);
      mark.read = Math.min(mark.read, keep);
    }
  }

  /** @param {string} user @param {number} got @param {number} read */
  mark(user, got, read) {
    const mark = this.marks.get(user) ?? { got: 0, read: 0 };
    this.marks.set(user, { got: Math.max(mark.got, got), read: Math.max(mark.read, read) });
  }

  /** What became of an own message: all others must have it, or have read it. @param {number} seq */
  stateOf(seq) {
    const others = [...this.members].filter((name) => name !== this.me);
    const all = (/** @type {'got' | 'read'} */ what) =>
      others.length > 0 && others.every((name) => (this.marks.get(name)?.[what] ?? 0) >= seq);
    if (all('read')) return 'read';
    // Who has read it has it.
    return all('got') ? 'delivered' : 'accepted';
  }

  /** How many seqs are said to be here and are not. Nothing below the oldest one shown is asked for. */
  get missing() {
    const first = this.messages[0];
    // Over a change of epoch numbers can't be compared.
    if (!first || first.epoch !== this.last?.epoch) return 0;
    let missing = 0;
    for (let seq = first.seq; seq <= Math.min(this.got, this.head); seq++) {
      if (!this.#places.has(`${first.epoch}/${seq}`) && !this.#gone.has(seq)) missing += 1;
    }
    return missing;
  }

  /** How many messages the server has that did not come yet. */
  get onTheWay() {
    return Math.max(0, this.head - Math.max(this.got, this.last?.seq ?? 0));
  }
}
