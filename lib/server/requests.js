// The application's own calls to the engine, and their answers.

import { EveryonceError, errorOf } from '../protocol/errors.js';
import { EDGE } from './defaults.js';

/** @typedef {Record<string, any> & { t: string }} Packet */

/** @typedef {{ resolve: (packet: Packet) => void, reject: (error: Error) => void, about: Record<string, unknown> }} Pending */

export class Requests {
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #lastId = 0;
  #send;

  /**
   * @param {(requestId: number, user: string, packet: Buffer) => unknown} send the engine's `request`; false: no room
   */
  constructor(send) {
    this.#send = send;
  }

  /** Calls without an answer yet. */
  get size() {
    return this.#pending.size;
  }

  /**
   * @param {string} user on whose behalf; '' the server's own
   * @param {Packet} packet `rid` is added where the packet has one
   * @param {Record<string, unknown>} about what an error is to name
   * @returns {Promise<Packet>} the answer; rejects with the answer's code where it is a nack or an error
   */
  call(user, packet, about) {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= EDGE.requests) {
        reject(new EveryonceError('unavailable', 'too many calls are waiting for an answer', about));
        return;
      }
      const id = this.#nextId();
      let bytes;
      try {
        bytes = Buffer.from(JSON.stringify(packet.t === 'send' ? packet : { rid: id, ...packet }));
      } catch (cause) {
        reject(
          new EveryonceError('INVALID_ARGUMENT', 'body must be what JSON can say', { ...about, field: 'body', cause }),
        );
        return;
      }
      this.#pending.set(id, { resolve, reject, about });
      if (this.#send(id, user, bytes) === false) {
        this.#pending.delete(id);
        reject(new EveryonceError('unavailable', 'the server has too much to do', about));
      }
    });
  }

  /**
   * @param {number} id
   * @param {Packet} packet
   */
  answer(id, packet) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    if (packet.t === 'nack' || packet.t === 'error') pending.reject(errorOf(packet, pending.about));
    else pending.resolve(packet);
  }

  /** The server stops: nobody will answer. */
  abandon() {
    for (const { reject, about } of this.#pending.values()) {
      reject(new EveryonceError('CLOSED', 'the server was closed before the answer; it may have been done', about));
    }
    this.#pending.clear();
  }

  #nextId() {
    do this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}
