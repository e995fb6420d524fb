/**
 * The receiving side of the client: one inbox per conversation, and what the server tells about where they stand.
 */
import { dmMembers } from '../protocol/index.js';
import { Inbox } from './inbox.js';
import { positionsToBring } from './outbox.js';
import { Unread } from './unread.js';

/** Conversations that are pulled at the same time. */
const PULLS = 4;
/** Wait before positions that got no answer are brought again, ms. */
const BRING_AGAIN_MS = 1_000;

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./inbox.js').Message} Message
 * @typedef {{ conv: string, epoch: number, head: number, got: number, read: number, unread: number }} ConversationView
 *
 * @typedef {object} ReceiverHost
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {import('./outbox.js').JournalOutbox} outbox
 * @property {number} maxAttempts
 * @property {'auto' | 'manual'} backlog
 * @property {() => readonly ((message: Message) => any)[]} handlers
 * @property {() => boolean} watched whether the application wants to know of conversations at all
 * @property {(packet: Packet) => void} write
 * @property {(question: Packet) => Promise<Packet>} ask
 * @property {(event: string, value: any) => void} emit
 * @property {(conv: string, epoch: number, keep: number) => void} voided own acked sends above `keep` are lost, those of before
 *   this epoch
 * @property {(conv: string, epoch: number, head: number) => void} lost this epoch ends at `head`: own sends acked above it are lost
 */

/** @typedef {import('./inbox.js').InboxHost} InboxHost */

/** @implements {InboxHost} */
export class Receiver {
  online = false;
  user = '';
  /** @type {Map<string, Inbox>} */
  #inboxes = new Map();
  /** How far each conversation was when its position was brought on this connection, for the server to judge. @type {Map<string, number>} */
  #brought = new Map();
  /** @type {Set<string>} */
  #learning = new Set();
  /** @type {Inbox[]} */
  #pulls = [];
  #pulling = 0;
  #pageLimit = 200;
  /** Read marks that wait for a connection. @type {Map<string, number>} */
  #reads = new Map();
  /** @type {Map<string, Unread>} */
  #unread = new Map();
  /** @type {any} */
  #bringTimer = null;
  /** Of conversations that the server could not tell of. @type {Set<any>} */
  #learnTimers = new Set();
  /** Counts connections, so that what belongs to an older one is known. */
  #connection = 0;

  /** @param {ReceiverHost} host */
  constructor(host) {
    this.host = host;
    this.clock = host.clock;
    this.random = host.random;
    this.outbox = host.outbox;
    this.maxAttempts = host.maxAttempts;
  }

  /** What a hello brings. @returns {Record<string, [number, number]>} */
  positions() {
    const at = positionsToBring(this.outbox.state);
    this.#brought = new Map(Object.entries(at).map(([conv, [, seq]]) => [conv, seq]));
    return at;
  }

  /** @param {Packet} welcome */
  onWelcome(welcome) {
    this.online = true;
    this.user = welcome.user;
    this.#connection += 1;
    this.#pageLimit = Number.isSafeInteger(welcome.limits.page) && welcome.limits.page > 0 ? welcome.limits.page : 200;
    for (const place of welcome.convs) {
      // Own messages stand above every position that is brought; what was acked on connections before this one is known here.
      if (typeof place?.conv === 'string') this.host.lost(place.conv, place.epoch, place.head);
      // What was not brought yet is judged by the resume that follows.
      if (!this.#unjudged(place?.conv)) this.#place(place);
    }
    for (const [conv, seq] of this.#reads) this.#writeRead(conv, seq);
    this.#reads.clear();
    void this.#bringRest();
  }

  /** @param {string} conv whether it has a position that the server has not judged */
  #unjudged(conv) {
    const position = this.outbox.state.positions.get(conv);
    return position !== undefined && position.epoch > 0 && !this.#brought.has(conv);
  }

  /** Brings the positions that had no room in the hello. */
  async #bringRest() {
    const connection = this.#connection;
    for (;;) {
      const at = positionsToBring(this.outbox.state, this.#brought);
      const convs = Object.keys(at);
      if (convs.length === 0) return;
      let answer;
      try {
        answer = await this.host.ask({ t: 'resume', at });
      } catch (error) {
        if (connection !== this.#connection || !this.online) return;
        this.#bringTimer = this.clock.setTimeout(() => void this.#bringRest(), BRING_AGAIN_MS);
        return;
      }
      if (connection !== this.#connection || !this.online) return;
      for (const conv of convs) this.#brought.set(conv, at[conv][1]);
      for (const place of answer.convs) this.#place(place);
    }
  }

  /** Asks where a conversation stands that the server speaks of unasked. @param {string} conv */
  learn(conv) {
    if (this.#learning.has(conv) || !this.online) return;
    this.#learning.add(conv);
    const connection = this.#connection;
    const position = this.outbox.state.positions.get(conv);
    const at = { [conv]: [position?.epoch ?? 0, position?.seq ?? 0] };
    this.host
      .ask({ t: 'resume', at })
      .then((answer) => {
        if (connection !== this.#connection) return;
        this.#brought.set(conv, at[conv][1]);
        for (const place of answer.convs) this.#place(position ? place : { ...place, resume: 'ok' });
      })
      .then(
        () => false,
        () => true,
      )
      .then((failed) => {
        this.#learning.delete(conv);
        if (failed) this.#learnLater(conv, connection);
      });
  }

  /** There may be no other word about it. @param {string} conv @param {number} connection that it was asked on */
  #learnLater(conv, connection) {
    if (connection !== this.#connection || !this.online) return;
    const timer = this.clock.setTimeout(() => {
      this.#learnTimers.delete(timer);
      this.learn(conv);
    }, BRING_AGAIN_MS);
    this.#learnTimers.add(timer);
  }

  /** One entry of `convs` in a welcome or resume. @param {any} place */
  #place(place) {
    const { conv, epoch, head, got, resume, keep } = place ?? {};
    if (typeof conv !== 'string' || ![epoch, head, got].every(Number.isSafeInteger)) return;
    if (epoch === 0) {
      if (resume === 'reset') this.#gone(conv);
      return;
    }
    if (resume === 'truncated') this.#void(conv, epoch, Number.isSafeInteger(keep) ? keep : 0);
    else if (resume === 'reset') this.#void(conv, epoch, 0);
    else if (resume === 'ok') this.#keepWhatWasBrought(conv, epoch);
    const inbox = this.#inbox(conv);
    const held = this.outbox.state.positions.get(conv)?.seq ?? 0;
    const handled = Math.max(got, held);
    inbox.begin(epoch, handled, Math.max(head, got));
    if (this.#knownEpoch(conv, epoch) !== epoch) {
      // What was handled survived, but own messages that were acked above it may not have: the server tells, by `dup`.
      this.host.voided(conv, epoch, held);
      this.outbox.handled(conv, epoch, held);
    }
    inbox.manual = this.host.backlog === 'manual' && handled < head;
    inbox.read = Math.max(inbox.read, Number(place.read) || 0);
    // A `head` brings no count: what comes after it is counted here.
    if (Number.isSafeInteger(place.unread)) this.#unreadOf(conv).counted(place.unread, head);
    else if (!this.#unread.has(conv)) this.#unreadOf(conv).counted(0, handled);
    this.#changedUnread(inbox);
    inbox.advance();
    inbox.pullSoon();
  }

  /**
   * In a later epoch only the position that was brought is known to be good: what was handled since, while the answer was on its
   * way, may have been lost. What of it was not comes again, and is known.
   * @param {string} conv
   * @param {number} epoch
   */
  #keepWhatWasBrought(conv, epoch) {
    const position = this.outbox.state.positions.get(conv);
    const sure = this.#brought.get(conv) ?? 0;
    if (position && position.epoch > 0 && position.epoch !== epoch && position.seq > sure)
      this.#void(conv, epoch, sure);
  }

  /** There is no such conversation, or it is not ours: whatever comes under its name later is another history. @param {string} conv */
  #gone(conv) {
    const inbox = this.#inboxes.get(conv);
    const handled = this.outbox.state.positions.get(conv)?.seq ?? 0;
    if (handled > 0) this.outbox.voidAbove(conv, 0, 0);
    if (inbox) {
      inbox.voidAbove(0, 0);
      inbox.placed = false;
    }
    // A dm exists without being created: what a wiped server lost of it is sent again.
    if (dmMembers(conv)) this.host.voided(conv, 0, 0);
    if (handled > 0) this.host.emit('epoch', { conv, epoch: 0, keep: 0, voided: handled });
  }

  /** The epoch that what is kept of a conversation belongs to. @param {string} conv @param {number} otherwise */
  #knownEpoch(conv, otherwise) {
    const { positions, acked } = this.outbox.state;
    return positions.get(conv)?.epoch || (acked.get(conv)?.at(-1)?.accepted?.epoch ?? otherwise);
  }

  /** @param {string} conv @param {number} epoch of what is left, and of what follows @param {number} keep */
  #void(conv, epoch, keep) {
    const inbox = this.#inbox(conv);
    const handled = Math.max(inbox.handledUpTo, this.outbox.state.positions.get(conv)?.seq ?? 0);
    // A lost tail, before anything was added behind it.
    if (this.#knownEpoch(conv, 0) === epoch) this.host.lost(conv, epoch, keep);
    this.outbox.voidAbove(conv, epoch, keep);
    inbox.voidAbove(epoch, keep);
    inbox.read = Math.min(inbox.read, keep);
    this.host.voided(conv, epoch, keep);
    this.host.emit('epoch', { conv, epoch, keep, voided: Math.max(0, handled - keep) });
  }

  /** @param {Packet} packet */
  onEpoch({ conv, epoch, keep }) {
    const inbox = this.#inboxes.get(conv);
    if (!inbox?.placed) {
      this.host.lost(conv, epoch, keep);
      return this.learn(conv);
    }
    if (epoch < inbox.epoch) return;
    this.#void(conv, epoch, keep);
    inbox.advance();
  }

  /** @param {Packet} packet */
  onHead(packet) {
    const { conv, epoch, head, got } = packet;
    const inbox = this.#inboxes.get(conv);
    if (!inbox?.placed) {
      if (this.#unjudged(conv)) return;
      return this.#place(packet);
    }
    if (epoch > inbox.epoch) return this.learn(conv);
    inbox.head = Math.max(inbox.head, head);
    inbox.acked(got);
    inbox.advance();
    this.changed(inbox);
  }

  /** A pushed msg or hole. @param {Packet} packet @param {number} bytes */
  onPush(packet, bytes) {
    const inbox = this.#inboxes.get(packet.conv);
    if (!inbox?.placed) return this.learn(packet.conv);
    inbox.takeItem(packet, bytes);
    inbox.advance();
  }

  /** An own message of this device has this place: it is not delivered, and not to be waited for. @param {string} conv @param {number} epoch @param {number} seq */
  onOwn(conv, epoch, seq) {
    const inbox = this.#inboxes.get(conv);
    if (!inbox?.placed) {
      if (this.online && this.host.watched() && !this.#unjudged(conv)) this.learn(conv);
      return;
    }
    if (epoch > inbox.epoch) return this.learn(conv);
    inbox.explain(seq, seq);
    inbox.advance();
    this.changed(inbox);
  }

  /** @param {Packet} packet */
  onReceipt({ conv, epoch, user, got, read }) {
    if (user === this.user) this.#raiseRead(conv, read);
    this.host.emit('receipt', { conv, epoch, user, got, read });
  }

  /** The user has read up to `seq`. @param {string} conv @param {number} seq */
  read(conv, seq) {
    this.#raiseRead(conv, seq);
    if (this.online) this.#writeRead(conv, seq);
    else this.#reads.set(conv, Math.max(seq, this.#reads.get(conv) ?? 0));
  }

  /** @param {string} conv @param {number} seq */
  #writeRead(conv, seq) {
    const epoch = this.#inboxes.get(conv)?.epoch;
    this.host.write({ t: 'read', conv, ...(epoch ? { epoch } : {}), seq });
  }

  /** @param {string} conv @param {number} seq */
  #raiseRead(conv, seq) {
    const inbox = this.#inboxes.get(conv);
    if (!inbox || seq <= inbox.read) return;
    inbox.read = Math.min(seq, Math.max(inbox.head, inbox.handledUpTo));
    this.#unreadOf(conv).read(inbox.read);
    this.#changedUnread(inbox);
    this.host.emit('read', { conv, read: inbox.read });
  }

  /** @param {string} conv @returns {Unread} */
  #unreadOf(conv) {
    let unread = this.#unread.get(conv);
    if (!unread) {
      unread = new Unread();
      this.#unread.set(conv, unread);
    }
    return unread;
  }

  /** @param {Inbox} inbox */
  #changedUnread(inbox) {
    inbox.unread = this.#unreadOf(inbox.conv).count;
    this.changed(inbox);
  }

  /** The application added a handler. */
  wake() {
    for (const inbox of this.#inboxes.values()) {
      inbox.advance();
      inbox.pullSoon();
    }
  }

  /** @returns {ConversationView[]} */
  conversations() {
    return [...this.#inboxes.values()].map(view);
  }

  /** The client closes: what is handled is acked now. */
  flushAcks() {
    for (const inbox of this.#inboxes.values()) inbox.flushAck();
  }

  onLost() {
    this.online = false;
    this.#pulls = [];
    this.#brought.clear();
    this.clock.clearTimeout(this.#bringTimer);
    for (const timer of this.#learnTimers) this.clock.clearTimeout(timer);
    this.#learnTimers.clear();
    for (const inbox of this.#inboxes.values()) inbox.onLost();
  }

  /**
   * The application has durably taken a page of offline().
   * @param {Packet} page
   */
  pageTaken({ covers = [] }) {
    for (const [conv, epoch, from, to] of covers) {
      const inbox = this.#inboxes.get(conv);
      if (!inbox?.placed || epoch !== inbox.epoch) continue;
      inbox.explain(from, to);
      inbox.advance();
    }
  }

  /** offline() came to the end: what is new from here on comes by itself. @param {string} [conv] */
  backlogTaken(conv) {
    for (const inbox of this.#inboxes.values()) {
      if (conv !== undefined && inbox.conv !== conv) continue;
      inbox.manual = false;
      inbox.advance();
    }
  }

  /** @param {string} conv @returns {Inbox} */
  #inbox(conv) {
    let inbox = this.#inboxes.get(conv);
    if (!inbox) {
      inbox = new Inbox(conv, this);
      this.#inboxes.set(conv, inbox);
    }
    return inbox;
  }

  // What an inbox asks of its host.

  handlers() {
    return this.host.handlers();
  }

  /** @param {Packet} packet */
  write(packet) {
    this.host.write(packet);
  }

  /** @param {Packet} question */
  ask(question) {
    return this.host.ask(question);
  }

  /** @param {string} event @param {unknown} value */
  emit(event, value) {
    this.host.emit(event, value);
  }

  /** @param {Inbox} inbox */
  changed(inbox) {
    this.host.emit('conversation', view(inbox));
  }

  /** @param {Inbox} inbox @param {Message} message */
  handled(inbox, { seq, from, type }) {
    if (from === this.user || type.startsWith('system.') || seq <= inbox.read) return;
    this.#unreadOf(inbox.conv).came(seq);
    inbox.unread = this.#unreadOf(inbox.conv).count;
  }

  /** @param {Inbox} inbox */
  wantsPull(inbox) {
    if (!this.#pulls.includes(inbox)) this.#pulls.push(inbox);
    this.#nextPull();
  }

  #nextPull() {
    while (this.#pulling < PULLS && this.#pulls.length > 0) {
      const inbox = /** @type {Inbox} */ (this.#pulls.shift());
      this.#pulling += 1;
      void inbox.pull(this.#pageLimit).finally(() => {
        this.#pulling -= 1;
        this.#nextPull();
      });
    }
  }
}

/** @param {Inbox} inbox @returns {ConversationView} */
function view({ conv, epoch, head, handledUpTo, read, unread }) {
  return { conv, epoch, head, got: handledUpTo, read, unread };
}
