/** What happened, as a digest that two runs of one seed must share, and as counts of what is rare. */
import { createHash } from 'node:crypto';

const RARE = [
  [/"code":"(\w+)"/g, (match) => match[1]],
  [/"dup":true/g, () => 'duplicate'],
  [/"t":"(hole|head|epoch|bye)"/g, (match) => match[1]],
  [/"resume":"(truncated|reset)"/g, (match) => match[1]],
  [/"t":"(status|skip)"/g, (match) => match[1]],
];

export class Trace {
  #hash = createHash('sha256');
  #clock;
  /** @type {Map<string, number>} */
  counts = new Map();
  /** Every line, where they are kept. @type {string[] | null} */
  lines;
  events = 0;

  /** @param {{ now: () => number }} clock @param {boolean} keep */
  constructor(clock, keep) {
    this.#clock = clock;
    this.lines = keep ? [] : null;
  }

  /** @param {string} text */
  note(text) {
    const line = `${this.#clock.now().toFixed(3)} ${text}`;
    this.events += 1;
    this.#hash.update(line);
    this.lines?.push(line);
    for (const [pattern, name] of RARE) for (const match of text.matchAll(pattern)) this.count(name(match));
  }

  /** @param {string} name @param {number} [times] */
  count(name, times = 1) {
    if (times > 0) this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }

  /** @returns {string} of all that was noted */
  digest() {
    return this.#hash.copy().digest('hex');
  }
}
