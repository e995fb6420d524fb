/**
 * Questions with a `rid`, and their answers. A sticky one is asked again on the next connection until its time is up;
 * the others end with the connection. Sticky ones may be asked twice, so they must be harmless to repeat, as all of the
 * protocol's are.
 */
import { EveryonceError, errorOf } from '../protocol/index.js';

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {object} Question
 * @property {Packet} packet
 * @property {boolean} sticky
 * @property {boolean} sent
 * @property {any} timer
 * @property {(answer: Packet) => void} resolve
 * @property {(error: EveryonceError) => void} reject
 */

/** Questions that may wait at once; an application that asks faster than it is answered gets an error, not a leak. */
const QUESTIONS = 10_000;

export class Requests {
  /** @type {Map<number, Question>} */
  #questions = new Map();
  #lastRid = 0;
  /** @type {import('./clock.js').Clock} */
  #clock;
  /** @type {(packet: Packet) => boolean} */
  #send;
  #timeoutMs;

  /**
   * @param {import('./clock.js').Clock} clock
   * @param {(packet: Packet) => boolean} send false where there is no connection
   * @param {number} timeoutMs for each question, over all connections
   */
  constructor(clock, send, timeoutMs) {
    this.#clock = clock;
    this.#send = send;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @param {Packet} question without `rid`
   * @param {{ sticky?: boolean, timeoutMs?: number }} [options]
   * @returns {Promise<Packet>} the answer; rejects with the server's code, `TIMEOUT`, `OFFLINE` or `CLOSED`
   */
  ask(question, { sticky = false, timeoutMs = this.#timeoutMs } = {}) {
    const rid = ++this.#lastRid;
    const packet = { ...question, rid };
    return new Promise((resolve, reject) => {
      if (this.#questions.size >= QUESTIONS)
        return reject(new EveryonceError('TIMEOUT', 'too many questions wait for an answer'));
      const sent = this.#send(packet);
      if (!sent && !sticky) return reject(new EveryonceError('OFFLINE'));
      const timer = this.#clock.setTimeout(() => this.#settle(rid)?.reject(this.#timedOut(packet)), timeoutMs);
      this.#questions.set(rid, { packet, sticky, sent, timer, resolve, reject });
    });
  }

  /** @param {Packet} packet */
  #timedOut(packet) {
    return new EveryonceError('TIMEOUT', `no answer to ${packet.t}`, { conv: packet.conv });
  }

  /** @param {number} rid @returns {Question | undefined} */
  #settle(rid) {
    const question = this.#questions.get(rid);
    if (!question) return undefined;
    this.#questions.delete(rid);
    this.#clock.clearTimeout(question.timer);
    return question;
  }

  /** @param {Packet} packet with a `rid` @returns {boolean} whether it answered a question */
  onAnswer(packet) {
    const question = this.#settle(packet.rid);
    if (!question) return false;
    if (packet.t === 'error') question.reject(errorOf(packet, { conv: question.packet.conv }));
    else if (packet.t === question.packet.t || ANSWERS[question.packet.t] === packet.t) question.resolve(packet);
    else question.reject(new EveryonceError('PROTOCOL', `${packet.t} is no answer to ${question.packet.t}`));
    return true;
  }

  onOnline() {
    for (const question of this.#questions.values()) if (!question.sent) question.sent = this.#send(question.packet);
  }

  onLost() {
    for (const [rid, question] of this.#questions) {
      question.sent = false;
      if (!question.sticky) this.#settle(rid)?.reject(new EveryonceError('OFFLINE'));
    }
  }

  /** @param {EveryonceError} error */
  end(error) {
    for (const rid of [...this.#questions.keys()]) this.#settle(rid)?.reject(error);
  }
}

/** What answers a question that is not answered by its own type. @type {Record<string, string>} */
const ANSWERS = { pull: 'page', history: 'page', skip: 'ok', create: 'ok', add: 'ok', remove: 'ok', leave: 'ok' };
