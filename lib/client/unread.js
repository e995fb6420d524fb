/** Unread messages of one conversation: the server's count, and those that came since. Pure. */

/** Messages known one by one; what is older is kept as a number. */
const KNOWN = 1024;

export class Unread {
  /** Unread up to `upTo`, as a number. */
  #base = 0;
  #upTo = 0;
  /** Unread seqs above `upTo`. @type {number[]} */
  #seqs = [];

  get count() {
    return this.#base + this.#seqs.length;
  }

  /** @param {number} count as the server counted @param {number} upTo the newest seq that it counted */
  counted(count, upTo) {
    this.#base = count;
    this.#upTo = upTo;
    this.#seqs = [];
  }

  /** Another's message came. @param {number} seq */
  came(seq) {
    if (seq <= this.#upTo) return;
    this.#seqs.push(seq);
    if (this.#seqs.length <= KNOWN) return;
    this.#upTo = /** @type {number} */ (this.#seqs.shift());
    this.#base += 1;
  }

  /** @param {number} seq all up to here is read */
  read(seq) {
    // What the server counted is known only as a number: it can't be more than what is left above the mark.
    this.#base = Math.min(this.#base, Math.max(0, this.#upTo - seq));
    this.#seqs = this.#seqs.filter((unread) => unread > seq);
  }
}
