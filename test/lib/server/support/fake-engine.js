// An engine that records what it is told and gives out what the test says. Its Engine class is given to Server in place
// of the addon's.

import { Kind } from '../../../../lib/server/native.js';

export class FakeEngine {
  /** The one made last. @type {FakeEngine} */
  static last;
  /** @type {{ name: string, args: any[] }[]} */
  calls = [];
  /** How many frames submit takes; Infinity: all. */
  room = Infinity;
  /** Stops by itself when told to. */
  stops = true;

  constructor(options, onBatch) {
    this.options = options;
    this.onBatch = onBatch;
    FakeEngine.last = this;
  }

  /** @param {string} name @returns {any[][]} the arguments of each call */
  of(name) {
    return this.calls.filter((call) => call.name === name).map((call) => call.args);
  }

  /** All frames taken, in order, as [connection, text]. */
  frames() {
    return this.of('frame');
  }

  #note(name, ...args) {
    this.calls.push({ name, args });
  }

  warnings() {
    return [];
  }

  open(connection, address) {
    this.#note('open', connection, address);
  }

  submit(bytes, index, count) {
    const taken = Math.min(count, this.room);
    this.room -= taken;
    this.#note('submit', count, taken);
    for (let i = 0; i < taken; i++) {
      const [connection, offset, length] = index.subarray(i * 3, i * 3 + 3);
      this.#note('frame', connection, bytes.toString('utf8', offset, offset + length));
    }
    return taken;
  }

  accept(connection, user) {
    this.#note('accept', connection, user);
  }

  close(connection) {
    this.#note('close', connection);
  }

  lagging(connection, lagging) {
    this.#note('lagging', connection, lagging);
  }

  request(id, user, packet, device) {
    this.#note('request', id, user, JSON.parse(packet.toString()), device);
    return true;
  }

  setEvents(messages) {
    this.#note('setEvents', messages);
  }

  drain(afterMs) {
    this.#note('drain', afterMs);
  }

  stop() {
    this.#note('stop');
    if (this.stops) setImmediate(() => this.give([Kind.STOPPED]));
  }

  stats() {
    return { acks: 7, groups: 2, commands: 10 };
  }

  /**
   * Gives out records: [kind, id, payload], payload a number (a), an object (as JSON) or bytes.
   *
   * @param {...[number, number?, any?]} records
   */
  give(...records) {
    const parts = [];
    const quads = [];
    let offset = 0;
    for (const [kind, id = 0, payload = 0] of records) {
      if (typeof payload === 'number') {
        quads.push(kind, id, payload, 0);
        continue;
      }
      const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload));
      quads.push(kind, id, offset, bytes.length);
      parts.push(bytes);
      offset += bytes.length;
    }
    this.onBatch(Buffer.concat(parts), Uint32Array.from(quads));
  }
}
