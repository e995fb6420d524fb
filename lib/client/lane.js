/**
 * The sending side of one conversation: what waits, in order of n, and the rules of docs/protocol.md "Sending".
 *
 * A lane transmits from `cursor` on, never further than a span of 64 from the oldest unanswered number. One timer
 * watches the oldest only: a timer per message would let a resend overtake. Anything that says "go back" (time-out,
 * gap, a new connection) moves the cursor back, so order is kept by construction.
 */
import { EveryonceError, LIMITS, errorOf } from '../protocol/index.js';
import { backoff } from './clock.js';
import { bodiesOf, encodeEntry, idsOf, incompleteError, isTooLarge, sentOf } from './package.js';
import { LaneTokens } from './lane-tokens.js';
import { Recovery } from './recovery.js';
import { Send } from './send.js';

/** Bounds of the wait after an answer that says "again later", ms. */
const LATER = { min: 50, max: 15_000 };
/** A `retry` longer than this is taken for this, ms. */
const LONGEST_RETRY_MS = 60_000;

/**
 * @typedef {import('./outbox-state.js').Entry} Entry
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./send.js').Sent} Sent
 */

/**
 * What a lane needs from the sender that owns it.
 * @typedef {object} LaneHost
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {import('./outbox.js').JournalOutbox} outbox
 * @property {import('./pace.js').RoundTrip} roundTrip
 * @property {{ ackTimeout: number, retries: number, onIncomplete?: 'retry' | 'abandon' }} options
 * @property {boolean} online
 * @property {number} connection
 * @property {{ body: number, frame: number }} limits
 * @property {Set<string>} proven conversations where the server knows this outbox's numbers as we do
 * @property {(text: string, lane: Lane) => boolean} transmit false: not now; the lane is pumped again when it may
 * @property {(question: Packet) => Promise<Packet>} ask ends with the connection
 * @property {(send: Send, error?: EveryonceError) => void} changed
 * @property {(conv: string, epoch: number, seq: number) => void} own an own message has this place
 * @property {(reason: string) => void} connectionIsDead
 * @property {() => void} deviceIsTaken
 * @property {boolean} leaving another copy of the outbox used this device's numbers
 * @property {(send: Send) => void} abandon gives up what the server has not stored
 * @property {number} mostParts of a package that the server's rate lets through in time
 * @property {(lane: Lane) => void} emptied
 * @property {import('./tokens.js').TokenPool} tokens
 * @property {() => string} newId
 */

export class Lane {
  /** What is to be sent, in order. @type {Send[]} */
  sends = [];
  /** What is only shown. @type {Map<string, Send>} */
  frozen = new Map();
  /** By the ids of messages; a package, by those of all its parts. @type {Map<string, Send>} */
  byId = new Map();
  /** A package that went out in part. @type {Send | null} */
  #partly = null;
  /** Index in `sends` of what is transmitted next on this connection. */
  cursor = 0;
  /** A status or skip is under way; nothing is transmitted before its answer. */
  busy = false;
  /** @type {any} */
  #timer = null;
  /** What the timer watches. @type {Send | null} */
  #watched = null;
  #tries = 0;
  /** What `tries` counts. @type {Send | null} */
  #tried = null;
  /** @type {any} */
  #pause = null;
  #pauses = 0;

  /** @param {string} conv @param {LaneHost} host */
  constructor(conv, host) {
    this.conv = conv;
    this.host = host;
    this.recovery = new Recovery(this);
    this.tokens = new LaneTokens(this);
  }

  get isEmpty() {
    return this.sends.length === 0 && this.frozen.size === 0 && !this.busy;
  }

  /** @param {Entry} entry @param {boolean} [fresh] taken by this process just now @returns {Send} */
  add(entry, fresh = false) {
    const known = this.byId.get(idsOf(entry)[0]);
    if (known) return known;
    const send = new Send(entry);
    send.fresh = fresh;
    for (const id of send.ids) this.byId.set(id, send);
    if (entry.frozen) this.frozen.set(entry.id, send);
    else this.sends.push(send);
    return send;
  }

  /** Puts the sends into the outbox's order again, and begins with the first. */
  reorder() {
    const order = new Map(this.host.outbox.state.entriesOf(this.conv).map((entry, index) => [entry.id, index]));
    this.sends.sort((a, b) => (order.get(a.entry.id) ?? 0) - (order.get(b.entry.id) ?? 0));
    this.goBack();
  }

  goBack() {
    this.cursor = 0;
    if (this.#partly) this.#partly.partsOut = 0;
    this.#partly = null;
  }

  /** A connection is there: all that is unanswered, in order, before anything new. */
  onOnline() {
    this.busy = false;
    this.#pauses = 0;
    this.#endPause();
    this.#unwatch();
    for (const send of this.sends) Object.assign(send, { inFlight: 0, places: [] });
    this.goBack();
    this.pump();
  }

  /** The connection is gone: what waited on it in vain is counted. */
  onLost() {
    this.busy = false;
    this.#endPause();
    this.#unwatch();
    const { connection, options } = this.host;
    for (const send of this.sends) {
      if (!send.timedOut || send.connection !== connection) continue;
      send.timedOut = false;
      send.silentConnections += 1;
      if (send.silentConnections >= Math.max(1, options.retries)) this.#unconfirmed(send);
    }
  }

  stop() {
    this.#endPause();
    this.#unwatch();
  }

  pump() {
    const { host } = this;
    if (!host.online || host.leaving || this.busy || this.#pause) return;
    while (this.cursor < this.sends.length) {
      const send = this.sends[this.cursor];
      const { entry } = send;
      if (entry.device !== host.outbox.state.device) {
        if (this.cursor === 0) void this.recovery.move();
        break;
      }
      if (entry.n - this.sends[0].entry.n >= this.#span() || send.held) break;
      if (this.tokens.wants(send)) {
        this.tokens.bind();
        break;
      }
      if (send.renewing) break;
      if (this.cursor > 0 && this.sends[this.cursor - 1].entry.parts) break; // nothing later before its answer
      if (entry.skip) {
        if (this.cursor === 0) void this.recovery.skip(entry.n, entry.n, send);
        break;
      }
      const texts = encodeEntry(entry);
      if (texts.length > host.mostParts || isTooLarge({ bodies: bodiesOf(entry), texts }, host.limits)) {
        void this.recovery.tooLarge(send);
        break;
      }
      if (!this.#transmit(send, texts)) break;
      this.cursor += 1;
      this.#transmitted(send);
    }
    this.#watch();
  }

  /**
   * How far to send ahead of the oldest unanswered. An outbox that was restored from a copy sends one message alone
   * first: were its number used, what follows could be accepted and overtake it.
   */
  #span() {
    const { host, conv } = this;
    return host.outbox.state.isNew || host.proven.has(conv) ? LIMITS.sendSpan : 1;
  }

  /** A package may go out in several goes. @param {Send} send @param {string[]} texts @returns {boolean} all of it is out */
  #transmit(send, texts) {
    while (send.partsOut < texts.length) {
      if (!this.host.transmit(texts[send.partsOut], this)) {
        this.#partly = send;
        return false;
      }
      send.offered = true;
      send.partsOut += 1;
      send.inFlight += 1;
    }
    send.partsOut = 0;
    this.#partly = null;
    return true;
  }

  /** @param {Send} send */
  #transmitted(send) {
    send.attempts += 1;
    send.connection = this.host.connection;
    send.sentAt = this.host.clock.now();
    if (send.status === 'queued') {
      send.status = 'sent';
      this.host.changed(send);
    }
  }

  /** Sets the one timer on the oldest unanswered send, if it was transmitted here. */
  #watch() {
    const oldest = this.sends[0];
    const watch =
      oldest && this.cursor > 0 && this.host.online && oldest.connection === this.host.connection ? oldest : null;
    if (watch === this.#watched) return;
    this.#endTimer();
    if (!watch) return;
    // What merely found no room to be sent again is still the same wait.
    if (watch !== this.#tried) this.#tries = 0;
    this.#tried = watch;
    this.#watched = watch;
    this.#setTimer();
  }

  #setTimer() {
    const { clock, roundTrip, options, random } = this.host;
    this.#timer = clock.setTimeout(() => this.#timedOut(), roundTrip.waitMs(options.ackTimeout, this.#tries, random));
  }

  #unwatch() {
    this.#endTimer();
    this.#tries = 0;
    this.#tried = null;
  }

  #endTimer() {
    this.host.clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#watched = null;
  }

  #timedOut() {
    const { options, connection } = this.host;
    for (const send of this.sends.slice(0, this.cursor)) if (send.connection === connection) send.timedOut = true;
    // What already counts as unconfirmed is offered on, but no more connections are given up for it.
    if (this.#tries >= options.retries && this.#watched?.status !== 'unconfirmed') {
      return this.host.connectionIsDead(`no answer in ${this.conv}`);
    }
    this.#tries += 1;
    this.#setTimer();
    this.goBack();
    this.pump();
  }

  /** @param {Send} send */
  #unconfirmed(send) {
    if (send.status === 'unconfirmed') return;
    send.status = 'unconfirmed';
    const error = new EveryonceError('UNCONFIRMED', undefined, { id: send.entry.id, conv: this.conv });
    send.reject(error);
    this.host.changed(send, error);
  }

  /** @param {Send} send */
  remove(send) {
    for (const id of send.ids) this.byId.delete(id);
    this.frozen.delete(send.entry.id);
    const index = this.sends.indexOf(send);
    if (index >= 0) this.sends.splice(index, 1);
    if (index >= 0 && index < this.cursor) this.cursor -= 1;
    if (this.isEmpty) this.host.emptied(this);
  }

  /** @param {Packet} ack */
  onAck(ack) {
    const send = this.byId.get(ack.id);
    if (!send || (ack.n !== undefined && ack.n !== send.entry.n)) return;
    if (send.attempts === 1 && send.connection === this.host.connection) {
      this.host.roundTrip.measured(this.host.clock.now() - send.sentAt);
    }
    this.#pauses = 0;
    send.inFlight = Math.max(0, send.inFlight - 1);
    const places = send.answered(ack);
    if (places) this.accepted(send, places);
    this.pump();
  }

  /** @param {Send} send @param {Packet[]} places of each part, with seq, epoch, mid, at; `dup` where it was accepted earlier */
  accepted(send, places) {
    const { id, parts } = send.entry;
    const [{ seq, epoch, mid, at }] = places;
    send.status = 'acked';
    send.place = { seq, epoch, mid, at };
    const mids = parts ? { mids: places.map((place) => place.mid) } : {};
    this.host.outbox.settle(send.entry, { seq, epoch, mid, at, ...mids });
    this.host.proven.add(this.conv);
    this.remove(send);
    send.discarding?.reject(new EveryonceError('ALREADY_ACCEPTED', undefined, { id, conv: this.conv, seq }));
    send.resolve(sentOf(send.entry, places));
    this.host.changed(send);
  }

  /** @param {Packet} nack */
  onNack(nack) {
    const send = this.byId.get(nack.id);
    if (!send || (nack.n !== undefined && nack.n !== send.entry.n)) return;
    send.inFlight = Math.max(0, send.inFlight - 1);
    send.timedOut = false;
    if (nack.code === 'gap') this.#gap(send, nack.expected);
    else if (nack.code === 'conflict') this.host.deviceIsTaken();
    else if (nack.code === 'unknown_producer') void this.recovery.reintroduce();
    else if (nack.code === 'too_old') this.freeze(send);
    else if (nack.code === 'token_invalid' && this.tokens.renew(send, nack)) return;
    else if (nack.code === 'package_incomplete' && this.host.options.onIncomplete === 'abandon') {
      if (!send.abandoned) {
        send.abandoned = incompleteError(send.entry, nack);
        this.host.abandon(send);
      }
    } else if (typeof nack.retry === 'number') this.later(nack.retry);
    // Of this refusal the server remembers nothing: what was transmitted again since may be taken, and its answer counts.
    else if (nack.code === 'unknown_conv' && send.inFlight > 0) return;
    else this.rejected(send, errorOf(nack, { id: send.entry.id, conv: this.conv }));
    this.pump();
  }

  /** Sends from `expected` on, unless a later transmission of the same message is still to be answered. @param {Send} send @param {unknown} expected */
  #gap(send, expected) {
    if (send.inFlight > 0 || this.busy) return;
    this.goBack();
    const lowest = this.sends[0];
    if (!Number.isSafeInteger(expected) || !lowest || Number(expected) >= lowest.entry.n) return;
    const from = Number(expected);
    // The server lacks numbers that are settled here. What it once acked is offered again; the rest is given up.
    if (this.offerLostAgain(from)) return;
    void this.recovery.skip(from, lowest.entry.n - 1);
  }

  /** What the server once acked of the numbers from `from` on, and does not know any more. @param {number} from @returns {boolean} whether there is any */
  offerLostAgain(from) {
    const lowest = this.sends[0];
    if (!lowest) return false;
    const { device } = lowest.entry;
    const again = this.host.outbox.reoffer(this.conv, (entry) => entry.n >= from && entry.device === device);
    if (again.length > 0) this.offerAgain(again);
    return again.length > 0;
  }

  /** @param {Entry[]} entries acked once, lost by the server */
  offerAgain(entries) {
    for (const entry of entries) this.host.changed(this.add(entry));
    this.reorder();
    this.pump();
  }

  /** @param {number} retryMs */
  later(retryMs) {
    this.goBack();
    if (this.#pause) return;
    const { clock, random } = this.host;
    const waitMs = Math.max(Math.min(Math.max(0, retryMs), LONGEST_RETRY_MS), backoff(LATER, this.#pauses, random));
    this.#pauses += 1;
    this.#unwatch();
    this.#pause = clock.setTimeout(() => {
      this.#pause = null;
      this.goBack();
      this.pump();
    }, waitMs);
  }

  #endPause() {
    this.host.clock.clearTimeout(this.#pause);
    this.#pause = null;
  }

  /** @param {Send} send @param {EveryonceError} error */
  rejected(send, error) {
    send.status = 'rejected';
    this.remove(send);
    const tell = () => {
      send.reject(error);
      send.discarding?.resolve();
      this.host.changed(send, error);
    };
    // Where it could not be written, what is told is true for this process at least.
    this.host.outbox.refuse(send.entry).then(tell, tell);
  }

  /** Its ids in the outbox are others now. @param {Send} send */
  renamed(send) {
    for (const id of send.ids) this.byId.delete(id);
    send.ids = idsOf(send.entry);
    for (const id of send.ids) this.byId.set(id, send);
    send.bound = true;
  }

  /** It has a new number, the last one of this device. @param {Send} send */
  renumbered(send) {
    const index = this.sends.indexOf(send);
    if (index < 0) return;
    this.sends.splice(index, 1);
    if (index < this.cursor) this.cursor -= 1;
    const unnumbered = this.sends.findIndex(({ entry }) => entry.n === 0);
    this.sends.splice(unnumbered < 0 ? this.sends.length : unnumbered, 0, send);
    if (this.#partly === send) this.#partly = null;
    Object.assign(send, { inFlight: 0, partsOut: 0, connection: 0, timedOut: false, places: [] });
  }

  /** @param {Send} send */
  freeze(send) {
    this.host.outbox.freeze(send.entry);
    this.remove(send);
    for (const id of send.ids) this.byId.set(id, send);
    this.frozen.set(send.entry.id, send);
    this.#unconfirmed(send);
  }
}
