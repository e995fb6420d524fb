/** What one device has of one conversation: takes messages in any order, gives them on in order of seq, once. */
import { hashBody } from '../../../lib/checker/history.js';

export class Receiver {
  /** The highest seq that this device was told of. */
  told = 0;
  epoch = 0;
  /** The seq that is to be given next. 0: the device does not know yet where it begins. */
  next = 0;
  /** Taken and not given on yet; null: there is nothing to give. @type {Map<number, any>} */
  #kept = new Map();
  #record;

  /** @param {(op: any, event: any) => void} record */
  constructor(record) {
    this.#record = record;
  }

  get isKnown() {
    return this.next > 0;
  }

  /** Where the device begins: behind what it counts as acked. @param {number} got */
  begin(got) {
    if (this.isKnown) return;
    this.next = got + 1;
    this.#record('watch', { seq: got });
  }

  /** @param {any} message @param {'push' | 'page' | 'history'} how */
  see(message, how) {
    const { epoch, seq, mid, from, device: fromDevice, id, type, body } = message;
    const event = { epoch, seq, mid, from, fromDevice, id, type, hash: hashBody(body) };
    this.#record('see', { ...event, how });
    if (how === 'history') return;
    this.epoch = epoch;
    this.told = Math.max(this.told, seq);
    if (!this.isKnown) this.begin(seq - 1);
    if (seq < this.next || this.#kept.get(seq)) return;
    this.#kept.set(seq, event);
    this.#give();
  }

  /** There is nothing for this device there: acked, its own, not visible. @param {number} from @param {number} to */
  pass(from, to) {
    for (let seq = Math.max(from, this.next); seq <= to; seq++) if (!this.#kept.has(seq)) this.#kept.set(seq, null);
    this.#give();
  }

  /** Its own message has this place. @param {number} epoch @param {number} seq */
  own(epoch, seq) {
    this.epoch = epoch;
    this.told = Math.max(this.told, seq);
    this.pass(seq, seq);
  }

  /** Spans above what was given on: what came out of order. @returns {[number, number][]} */
  spans() {
    /** @type {[number, number][]} */
    const spans = [];
    for (const seq of [...this.#kept.keys()].sort((a, b) => a - b)) {
      const last = spans.at(-1);
      if (last && last[1] + 1 === seq) last[1] = seq;
      else spans.push([seq, seq]);
    }
    return spans;
  }

  #give() {
    for (; this.#kept.has(this.next); this.next++) {
      const event = this.#kept.get(this.next);
      this.#kept.delete(this.next);
      if (event) this.#record('deliver', event);
    }
  }
}
