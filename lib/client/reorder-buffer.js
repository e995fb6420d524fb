/**
 * Messages that came before their turn, by seq: bounded in number and bytes. Where there is no room the highest goes,
 * because it is the last to be needed; it is pulled again later. Pure.
 */

const MESSAGES = 1024;
const BYTES = 4 * 1024 * 1024;

/** @typedef {import('./inbox.js').Message} Message */

export class ReorderBuffer {
  /** @type {Map<number, { message: Message, bytes: number }>} */
  #held = new Map();
  #bytes = 0;

  get size() {
    return this.#held.size;
  }

  /** @param {number} seq */
  has(seq) {
    return this.#held.has(seq);
  }

  /** @param {number} seq @returns {Message | undefined} */
  get(seq) {
    return this.#held.get(seq)?.message;
  }

  /**
   * @param {Message} message
   * @param {number} bytes about how much it takes
   * @returns {number} the lowest seq that had to go, which may be the message's own; Infinity where all found room
   */
  put(message, bytes) {
    let lowest = Infinity;
    while (this.#held.size > 0 && (this.#held.size >= MESSAGES || this.#bytes + bytes > BYTES)) {
      lowest = Math.max(message.seq, ...this.#held.keys());
      if (lowest === message.seq) return lowest;
      this.drop(lowest);
    }
    this.#held.set(message.seq, { message, bytes });
    this.#bytes += bytes;
    return lowest;
  }

  /** @param {number} seq */
  drop(seq) {
    this.#bytes -= this.#held.get(seq)?.bytes ?? 0;
    this.#held.delete(seq);
  }

  /** The lowest seq held above `seq`. @param {number} seq @returns {number} Infinity where there is none */
  firstAbove(seq) {
    let first = Infinity;
    for (const held of this.#held.keys()) if (held > seq && held < first) first = held;
    return first;
  }

  clear() {
    this.#held.clear();
    this.#bytes = 0;
  }
}
