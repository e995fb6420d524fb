// The application's own calls to the engine, and their answers.

import { EveryonceError, errorOf } from '../protocol/errors.js';
import { EDGE } from './defaults.js';

/**
 * @typedef {Record<string, any> & { t: string }} Packet
 * @typedef {{ device?: string, bodyJson?: string, forClient?: boolean }} How `device`: on whose behalf; `bodyJson`: the
 *   packet's body as JSON text, which goes to the engine byte for byte; `forClient`: it is handed on for somebody else, whose
 *   message needs a token where tokens are required
 */

/** @typedef {{ resolve: (packet: Packet) => void, reject: (error: Error) => void, about: Record<string, unknown> }} Pending */

export class Requests {
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #lastId = 0;
  #send;

  /**
   * @param {(requestId: number, user: string, packet: Buffer, device: string, forClient: boolean) => unknown} send the engine's `request`; false: no room
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
   * @param {How} [how]
   * @returns {Promise<Packet>} the answer; rejects with the answer's code where it is a nack or an error
   */
  call(user, packet, about, { device = '', bodyJson, forClient = false } = {}) {
    return this.run((id) => {
      let bytes;
      try {
        const text = JSON.stringify(packet.t === 'send' ? packet : { rid: id, ...packet });
        bytes = Buffer.from(bodyJson === undefined ? text : `${text.slice(0, -1)},"body":${bodyJson}}`);
      } catch (cause) {
        const concerns = { ...about, field: 'body', cause };
        throw new EveryonceError('INVALID_ARGUMENT', 'body must be what JSON can say', concerns);
      }
      return this.#send(id, user, bytes, device, forClient);
    }, about);
  }

  /**
   * Any call of the engine that is answered under an id.
   *
   * @param {(id: number) => unknown} start makes the call; false: no room
   * @param {Record<string, unknown>} about what an error is to name
   * @returns {Promise<Packet>} as `call`
   */
  run(start, about) {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= EDGE.requests) {
        reject(new EveryonceError('unavailable', 'too many calls are waiting for an answer', about));
        return;
      }
      const id = this.#nextId();
      // Before the call: what throws here is the promise's rejection, and nothing is left behind.
      this.#pending.set(id, { resolve, reject, about });
      try {
        if (start(id) !== false) return;
        reject(new EveryonceError('unavailable', 'the server has too much to do', about));
      } catch (error) {
        reject(error);
      }
      this.#pending.delete(id);
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
