/** What happened, as a digest that two runs of one seed must share, and as counts of what is rare. */
import { createHash } from 'node:crypto';

/** What is counted of a packet's text, in one pass: the code of a refusal, a duplicate, a packet's type, what became of a position. */
const RARE = /"code":"(\w+)"|"dup":(true)|"t":"(hole|head|epoch|bye|status|skip)"|"resume":"(truncated|reset)"/g;
/** Lines that are digested at once. */
const LINES = 256;

export class Trace {
  #hash = createHash('sha256');
  #clock;
  /** @type {Map<string, number>} */
  counts = new Map();
  /** Every line, where they are kept. @type {string[] | null} */
  lines;
  events = 0;
  /** Not yet digested. @type {string[]} */
  #waiting = [];

  /** @param {{ now: () => number }} clock @param {boolean} keep */
  constructor(clock, keep) {
    this.#clock = clock;
    this.lines = keep ? [] : null;
  }

  /** @param {string} text */
  note(text) {
    const line = `${this.#clock.now().toFixed(3)} ${text}`;
    this.events += 1;
    this.lines?.push(line);
    if (this.#waiting.push(line) === LINES) this.#digest();
    for (const [, code, dup, type, resume] of text.matchAll(RARE))
      this.count(dup ? 'duplicate' : (code ?? type ?? resume));
  }

  /** @param {string} name @param {number} [times] */
  count(name, times = 1) {
    if (times > 0) this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }

  #digest() {
    this.#hash.update(this.#waiting.join('\n'));
    this.#waiting = [];
  }

  /** @returns {string} of all that was noted */
  digest() {
    this.#digest();
    return this.#hash.copy().digest('hex');
  }
}
