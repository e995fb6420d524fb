/**
 * The sending side of the client: one lane per conversation over one outbox, one rate, one measured round trip.
 */
import { EveryonceError } from '../protocol/index.js';
import { Lane } from './lane.js';
import { idsOf, lastSeqOf } from './package.js';
import { RateBucket, RoundTrip } from './pace.js';
import { statusOf } from './recovery.js';

/** Wait before lanes that met a full socket are pumped again, ms. */
const FULL_SOCKET_MS = 20;
/** An answer that has not come by then does not, ms: a server gives a package up after 5 s. */
const LONGEST_ANSWER_MS = 10_000;
/** A package whose parts take longer than this to send would not be put together in the server's 5 s, ms. */
const LONGEST_PACKAGE_MS = 4_000;

/**
 * @typedef {import('./send.js').Send} Send
 * @typedef {import('./send.js').Sent} Sent
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./outbox-state.js').Entry} Entry
 *
 * @typedef {object} SenderHost
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {import('./outbox.js').JournalOutbox} outbox
 * @property {{ ackTimeout: number, retries: number, onIncomplete?: 'retry' | 'abandon' }} options
 * @property {(text: string) => boolean} write puts a packet on the connection; false where it takes none now
 * @property {(question: Packet, options?: { sticky?: boolean }) => Promise<Packet>} ask
 * @property {(send: Send, error?: EveryonceError) => void} changed
 * @property {(conv: string, epoch: number, seq: number) => void} own
 * @property {(reason: string) => void} connectionIsDead
 * @property {() => void} deviceIsTaken
 * @property {import('./tokens.js').TokenPool} tokens
 * @property {() => string} newId for a message
 */

/** @typedef {import('./lane.js').LaneHost} LaneHost */

/** @implements {LaneHost} */
export class Sender {
  roundTrip = new RoundTrip();
  online = false;
  connection = 0;
  limits = { body: Infinity, frame: Infinity };
  /** @type {Set<string>} */
  proven = new Set();
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  /** Lanes that were told to wait, in turn. @type {Set<Lane>} */
  #waiting = new Set();
  /** @type {any} */
  #waitTimer = null;
  #rate = new RateBucket();
  /** Another copy of the outbox used this device's numbers: nothing is transmitted any more. */
  leaving = false;
  /** @type {any} */
  #leaveTimer = null;

  /** @param {SenderHost} host */
  constructor(host) {
    this.host = host;
    this.clock = host.clock;
    this.random = host.random;
    this.outbox = host.outbox;
    this.options = host.options;
    this.tokens = host.tokens;
    this.newId = host.newId;
  }

  /** Takes over what the outbox held when it was opened. */
  restore() {
    for (const list of this.outbox.state.entries.values()) for (const entry of list) this.#lane(entry.conv).add(entry);
  }

  /** @param {Entry} entry durable in the outbox @param {boolean} [fresh] taken by this process just now @returns {Send} */
  add(entry, fresh = false) {
    const lane = this.#lane(entry.conv);
    const send = lane.add(entry, fresh);
    this.host.changed(send);
    lane.pump();
    return send;
  }

  /** @param {string} id of a message, or of a package @returns {Send | undefined} */
  find(id) {
    const entry = this.outbox.state.byId.get(id);
    return entry && this.#lanes.get(entry.conv)?.byId.get(idsOf(entry)[0]);
  }

  /** All that waits, in order within each conversation. @returns {Send[]} */
  all() {
    return [...this.#lanes.values()].flatMap((lane) => [...lane.frozen.values(), ...lane.sends]);
  }

  /** @param {Packet} welcome @param {number} connection */
  onOnline({ limits }, connection) {
    this.online = true;
    this.#stay();
    this.connection = connection;
    this.limits = { body: limits.body ?? Infinity, frame: limits.frame ?? Infinity };
    this.#rate.reset(Number(limits.rate) || 0, this.clock.now());
    for (const lane of [...this.#lanes.values()]) lane.onOnline();
  }

  onLost() {
    this.online = false;
    this.#stay();
    this.#waiting.clear();
    this.clock.clearTimeout(this.#waitTimer);
    this.#waitTimer = null;
    for (const lane of this.#lanes.values()) lane.onLost();
  }

  /** @param {Packet} ack */
  onAck(ack) {
    this.#lanes.get(ack.conv)?.onAck(ack);
    this.#leaveIfAnswered();
  }

  /** @param {Packet} nack */
  onNack(nack) {
    this.#lanes.get(nack.conv)?.onNack(nack);
    this.#leaveIfAnswered();
  }

  /** A packet that is counted by the server went out beside the sends. */
  spend() {
    this.#rate.spend();
  }

  /** The server lost what came after `keep`: own sends that it acked above, before this epoch, wait again. @param {string} conv @param {number} epoch @param {number} keep */
  onVoid(conv, epoch, keep) {
    const again = this.outbox.reoffer(
      conv,
      (entry) => entry.accepted !== undefined && lastSeqOf(entry) > keep && entry.accepted.epoch !== epoch,
    );
    if (again.length > 0) this.#lane(conv).offerAgain(again);
  }

  /** The server lost the end of an epoch, and nothing followed yet: own sends that it acked there wait again. @param {string} conv @param {number} epoch @param {number} head */
  onTailLost(conv, epoch, head) {
    const again = this.outbox.reoffer(
      conv,
      (entry) => entry.accepted !== undefined && lastSeqOf(entry) > head && entry.accepted.epoch === epoch,
    );
    if (again.length > 0) this.#lane(conv).offerAgain(again);
  }

  /** Offers an unconfirmed message now. @param {Send} send @returns {Promise<Sent>} */
  retry(send) {
    send.abandoned = null;
    const promise = send.promise();
    if (send.entry.frozen) {
      send.reject(new EveryonceError('too_old', undefined, { id: send.entry.id, conv: send.entry.conv }));
      return promise;
    }
    if (send.status === 'unconfirmed') {
      Object.assign(send, { status: send.attempts > 0 ? 'sent' : 'queued', silentConnections: 0, timedOut: false });
      this.host.changed(send);
    }
    const lane = this.#lane(send.entry.conv);
    lane.goBack();
    lane.pump();
    return promise;
  }

  /** Asks whether a message arrived, and gives it up if not. @param {Send} send @returns {Promise<void>} */
  async discard(send) {
    const { conv, device } = send.entry;
    send.held = true;
    const ofOther = device !== '' && device !== this.outbox.state.device ? { device } : {};
    try {
      const ask = (/** @type {string[]} */ ids) =>
        this.host.ask({ t: 'status', conv, ids, ...ofOther }, { sticky: true });
      const answer = await statusOf(send.ids, ask);
      await this.#lane(conv).recovery.discard(send, answer);
    } finally {
      send.held = false;
    }
  }

  /** Ends all waiting. @param {EveryonceError} error */
  stop(error) {
    this.onLost();
    for (const lane of this.#lanes.values()) {
      lane.stop();
      for (const send of lane.byId.values()) {
        send.reject(new EveryonceError(error.code, undefined, { id: send.entry.id, conv: send.entry.conv }));
        send.discarding?.reject(error);
      }
    }
  }

  /** @param {string} conv */
  #lane(conv) {
    let lane = this.#lanes.get(conv);
    if (!lane) {
      lane = new Lane(conv, this);
      this.#lanes.set(conv, lane);
    }
    return lane;
  }

  // What a lane asks of its host.

  /** @param {string} text @param {Lane} lane @returns {boolean} */
  transmit(text, lane) {
    if (this.#waiting.size > 0 && !this.#waiting.has(lane)) return this.#wait(lane, 0);
    const waitMs = this.#rate.take(this.clock.now());
    if (waitMs > 0) return this.#wait(lane, waitMs);
    if (!this.host.write(text)) return this.#wait(lane, FULL_SOCKET_MS);
    this.#waiting.delete(lane);
    return true;
  }

  /** @param {Lane} lane @param {number} ms @returns {false} */
  #wait(lane, ms) {
    this.#waiting.add(lane);
    this.#waitTimer ??= this.clock.setTimeout(() => {
      this.#waitTimer = null;
      for (const waiting of [...this.#waiting]) {
        waiting.pump();
        // Whoever had nothing left to transmit waits no more; whoever was refused keeps the others waiting in turn.
        if (this.#waitTimer) break;
        this.#waiting.delete(waiting);
      }
    }, ms);
    return false;
  }

  /** @param {Packet} question */
  ask(question) {
    return this.host.ask(question);
  }

  /** @param {Send} send @param {EveryonceError} [error] */
  changed(send, error) {
    this.host.changed(send, error);
  }

  /** @param {string} conv @param {number} epoch @param {number} seq */
  own(conv, epoch, seq) {
    this.host.own(conv, epoch, seq);
  }

  /** @param {string} reason */
  connectionIsDead(reason) {
    this.host.connectionIsDead(reason);
  }

  /** @param {Send} send */
  abandon(send) {
    this.discard(send).catch(() => {}); // stored after all, or the client is closed and it is tried again
  }

  get mostParts() {
    return Math.max(1, this.#rate.within(LONGEST_PACKAGE_MS));
  }

  deviceIsTaken() {
    if (this.leaving) return;
    this.leaving = true;
    this.#leaveTimer = this.clock.setTimeout(
      () => this.host.connectionIsDead('answers are missing'),
      LONGEST_ANSWER_MS,
    );
    this.#leaveIfAnswered();
  }

  /**
   * A new device asks what became of the old one's messages, and sends the rest. What is under way is answered before: were it to
   * come to the server behind that question, it would be stored twice.
   */
  #leaveIfAnswered() {
    if (!this.leaving || [...this.#lanes.values()].some((lane) => lane.sends.some(({ inFlight }) => inFlight > 0)))
      return;
    this.host.deviceIsTaken();
  }

  #stay() {
    this.leaving = false;
    this.clock.clearTimeout(this.#leaveTimer);
    this.#leaveTimer = null;
  }

  /** @param {Lane} lane */
  emptied(lane) {
    if (lane.isEmpty && this.#lanes.get(lane.conv) === lane) this.#lanes.delete(lane.conv);
  }
}
