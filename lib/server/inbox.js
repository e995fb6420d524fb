// Received frames on their way to the engine: gathered over one turn of the event loop and handed over in one call.
//
// The turn ends at setImmediate, not at a microtask: Node runs microtasks after each socket's read callback, so they
// would submit socket by socket, while the check phase comes once after all the sockets that one poll found readable.

import { EDGE } from './defaults.js';

const FIRST_CAPACITY = 65_536;
const FIRST_ENTRIES = 256;

/**
 * @typedef {object} InboxHooks
 * @property {(bytes: Buffer, index: Uint32Array, count: number) => number} submit the engine's
 * @property {() => void} pauseAll the hard bound is reached: nobody may send
 * @property {() => void} resumed all that was held is with the engine: whoever was paused may go on
 */

export class Inbox {
  #hooks;
  #bytes = Buffer.allocUnsafe(FIRST_CAPACITY);
  #used = 0;
  #index = new Uint32Array(FIRST_ENTRIES * 3);
  #count = 0;
  /** @type {NodeJS.Immediate | undefined} */
  #scheduled;
  #engineFull = false;
  #full = false;
  #everyone = false;
  #bound;

  /**
   * @param {InboxHooks} hooks
   * @param {number} [boundBytes] what may wait here before senders are paused
   */
  constructor(hooks, boundBytes = EDGE.inboxBytes) {
    this.#hooks = hooks;
    this.#bound = boundBytes;
  }

  /** Bytes waiting. */
  get bytes() {
    return this.#used;
  }

  /** Frames waiting. */
  get frames() {
    return this.#count;
  }

  /**
   * Copies one received frame in. Nothing is ever refused: a socket that was paused may still have the rest of one
   * chunk to deliver, and dropping it would break the order of its frames.
   *
   * @param {number} connection
   * @param {Uint8Array} frame
   * @returns {boolean} false: it was taken, but its socket is to be paused until `resumed`
   */
  push(connection, frame) {
    if (this.#used + frame.length > this.#bytes.length) this.#growBytes(frame.length);
    if ((this.#count + 1) * 3 > this.#index.length) this.#growIndex();
    this.#bytes.set(frame, this.#used);
    const at = this.#count * 3;
    this.#index[at] = connection;
    this.#index[at + 1] = this.#used;
    this.#index[at + 2] = frame.length;
    this.#used += frame.length;
    this.#count += 1;
    if (!this.#engineFull) this.#scheduled ??= setImmediate(() => this.flush());
    if (this.#used < this.#bound && !this.#engineFull) return true;
    this.#full = true;
    if (this.#used >= this.#bound * EDGE.inboxHardFactor && !this.#everyone) {
      this.#everyone = true;
      this.#hooks.pauseAll();
    }
    return false;
  }

  /** Hands over what there is, as far as the engine takes it. */
  flush() {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    if (this.#count > 0) {
      const taken = this.#hooks.submit(this.#bytes.subarray(0, this.#used), this.#index, this.#count);
      if (taken < this.#count) {
        this.#keepFrom(taken);
        this.#engineFull = true;
        return;
      }
      this.#clear();
    }
    this.#engineFull = false;
    if (!this.#full) return;
    this.#full = false;
    this.#everyone = false;
    this.#hooks.resumed();
  }

  /** The engine's inbox has room again (kDrain). */
  drained() {
    if (!this.#engineFull) return;
    this.#engineFull = false;
    this.flush();
  }

  /** Forgets what waits: the engine is gone. */
  stop() {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    this.#clear();
  }

  /** @param {number} taken entries that the engine has */
  #keepFrom(taken) {
    const start = this.#index[taken * 3 + 1];
    this.#bytes.copyWithin(0, start, this.#used);
    this.#used -= start;
    this.#index.copyWithin(0, taken * 3, this.#count * 3);
    this.#count -= taken;
    for (let i = 0; i < this.#count; i++) this.#index[i * 3 + 1] -= start;
  }

  #clear() {
    this.#used = 0;
    this.#count = 0;
    // A burst must not hold its memory for ever.
    if (this.#bytes.length > this.#bound) this.#bytes = Buffer.allocUnsafe(FIRST_CAPACITY);
  }

  /** @param {number} more bytes needed */
  #growBytes(more) {
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#used + more));
    this.#bytes.copy(grown, 0, 0, this.#used);
    this.#bytes = grown;
  }

  #growIndex() {
    const grown = new Uint32Array(this.#index.length * 2);
    grown.set(this.#index);
    this.#index = grown;
  }
}
