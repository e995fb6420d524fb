/** The sending side of one device and conversation: numbers, keeps and repeats what is unanswered, in order. */
import { hashBody } from '../../../lib/checker/history.js';

const span = 64;
/** What is remembered to be sent again later, as a bad network would. */
const keptAnswered = 150;
const longestRetryMs = 40;

/**
 * @typedef {{ id: string, body: unknown, type?: string, done: boolean }} Part
 * @typedef {{ n?: number, pkg?: string, parts: Part[], isOut: boolean, isReversed: boolean }} Message `isOut`: on this connection;
 *   `isReversed`: the last part goes first
 */

export class Sender {
  next = 1;
  /** In order. @type {Message[]} */
  unanswered = [];
  /** @type {Message[]} */
  answered = [];
  /** Numbers to give up before anything else is sent. @type {[number, number] | null} */
  skipping = null;
  #host;
  #conv;
  /** Transmissions of each id without an answer, on this connection. @type {Map<string, number>} */
  #out = new Map();
  #goBack = false;

  /**
   * @param {string} conv
   * @param {{ name: string, record: (op: any, event: any) => void, transmit: (packets: object[]) => void, skip: (sender: Sender) => void,
   *   own: (ack: any) => void, met: (what: string) => void, problem: (text: string) => void, newId: () => string }} host
   */
  constructor(conv, host) {
    this.#conv = conv;
    this.#host = host;
  }

  get isSettled() {
    return this.unanswered.length === 0 && this.skipping === null && this.#out.size === 0;
  }

  /** @param {{ parts?: number, numbered?: boolean, type?: string, isReversed?: boolean }} [options] */
  send({ parts = 1, numbered = true, type, isReversed = false } = {}) {
    const { name, newId, record } = this.#host;
    const n = numbered ? this.next++ : undefined;
    const pkg = parts > 1 ? newId() : undefined;
    /** @type {Message} */
    const message = { n, pkg, parts: [], isOut: false, isReversed };
    for (let i = 0; i < parts; i++) {
      const id = newId();
      const body = { by: name, n: n ?? null, i, text: 'é"\\\u2028'.repeat((n ?? 0) % 5) };
      message.parts.push({ id, body, type, done: false });
      record('invoke', { id, number: n ?? null, pkg, hash: hashBody(body) });
      record('keep', { id });
    }
    this.unanswered.push(message);
    this.flush();
  }

  /** A new connection: everything unanswered, in order, before anything new. */
  online() {
    this.#out.clear();
    this.#goBack = false;
    for (const message of this.unanswered) message.isOut = false;
    if (this.skipping) this.#host.skip(this);
    else this.flush();
  }

  /** Sends on as far as it may. */
  flush() {
    if (this.skipping || this.#goBack) return;
    const lowest = this.unanswered.find(({ n }) => n !== undefined)?.n ?? 0;
    for (const message of this.unanswered) {
      if ((message.n ?? 0) >= lowest + span) break;
      if (!message.isOut) {
        message.isOut = true;
        this.#transmit(this.#packets(message));
      }
      if (message.pkg) break; // nothing later before its answer
    }
  }

  /** Sends again what may have been answered long ago. @param {number} pick */
  again(pick) {
    const all = [...this.answered, ...this.unanswered.filter(({ isOut }) => isOut)];
    if (all.length > 0) this.#transmit(this.#packets(all[pick % all.length]));
  }

  /** Another id at a used number; must never be stored. @param {number} pick */
  conflict(pick) {
    const used = this.answered.filter(({ n }) => n !== undefined);
    if (used.length > 0) this.#probe(used[pick % used.length].n ?? 1);
  }

  /** A number too far ahead; must never be stored. */
  gap() {
    this.#probe(this.next + span + 5);
  }

  /** @param {any} ack */
  onAck(ack) {
    this.#answeredOne(ack.id);
    const { id, epoch, seq, mid } = ack;
    if (ack.dup) this.#host.met('dup');
    this.#host.record('ack', { id, epoch, seq, mid, dup: ack.dup === true });
    this.#host.own(ack);
    this.#done(id);
    this.#goOn();
  }

  /** @param {any} nack */
  onNack(nack) {
    const { id, code } = nack;
    this.#host.met(code);
    this.#answeredOne(id);
    const message = this.#find(id);
    if (code === 'gap' || code === 'unknown_producer') {
      const lowest = this.unanswered.find(({ n }) => n !== undefined)?.n ?? this.next;
      const from = code === 'gap' ? nack.expected : 1;
      if (message && from < lowest) this.skipping ??= [from, lowest - 1];
      if (message) this.#goBack = true;
    } else if (typeof nack.retry === 'number') {
      this.#goBack = true;
    } else if (message) {
      if (['conflict', 'too_old'].includes(code)) this.#host.problem(`${this.#conv} ${id}: ${JSON.stringify(nack)}`);
      this.#host.record('nack', { id, code });
      this.#done(id, code);
    }
    this.#goOn(typeof nack.retry === 'number' ? Math.min(nack.retry, longestRetryMs) : 0);
  }

  /** Gives up numbers that were never sent, where nothing is on its way. @param {number} count */
  giveUp(count) {
    if (!this.isSettled) return;
    this.skipping = [this.next, this.next + count - 1];
    this.next += count;
    this.#host.skip(this);
  }

  /** They are given up, also where the server would not hear of it: the user was not in the conversation. */
  skipped() {
    if (this.skipping) this.#host.record('skip', { number: this.skipping[0], to: this.skipping[1] });
    this.skipping = null;
    this.#goBack = true;
    this.#goOn();
  }

  /** Goes back only when nothing is on its way: each transmission has exactly one answer. @param {number} [waitMs] */
  #goOn(waitMs = 0) {
    if (!this.#goBack) return this.flush();
    if (this.#out.size > 0) return;
    this.#goBack = false;
    for (const message of this.unanswered) message.isOut = false;
    const go = () => (this.skipping ? this.#host.skip(this) : this.flush());
    if (waitMs > 0) setTimeout(go, waitMs);
    else go();
  }

  /** @param {number} n */
  #probe(n) {
    this.#transmit([{ t: 'send', conv: this.#conv, id: `probe-${this.#host.newId()}`, n, body: 'probe' }]);
  }

  /** @param {any[]} packets */
  #transmit(packets) {
    for (const { id } of packets) this.#out.set(id, (this.#out.get(id) ?? 0) + 1);
    this.#host.transmit(packets);
  }

  /** @param {Message} message @returns {object[]} */
  #packets({ n, pkg, parts, isReversed }) {
    const packets = parts.map(({ id, body, type }, i) => ({
      ...{ t: 'send', conv: this.#conv, id, n, type },
      ...(pkg ? { pkg: { id: pkg, i, total: parts.length } } : {}),
      body,
    }));
    return isReversed ? packets.reverse() : packets;
  }

  /** @param {string} id */
  #answeredOne(id) {
    const out = (this.#out.get(id) ?? 0) - 1;
    if (out < 0) this.#host.problem(`${this.#conv} ${id}: one answer too many`);
    if (out > 0) this.#out.set(id, out);
    else this.#out.delete(id);
  }

  /** @param {string} id */
  #find(id) {
    return this.unanswered.find(({ parts }) => parts.some((part) => part.id === id));
  }

  /** @param {string} id @param {string} [code] of its refusal */
  #done(id, code) {
    const message = this.#find(id);
    if (!message) return;
    for (const part of message.parts) if (part.id === id) part.done = true;
    if (!message.parts.every(({ done }) => done)) return;
    this.unanswered.splice(this.unanswered.indexOf(message), 1);
    // A stranger's leaves nothing remembered: sent again when it has joined, it is a new one.
    if (code === 'unknown_conv') return;
    this.answered.push(message);
    if (this.answered.length > keptAnswered) this.answered.shift();
  }
}
