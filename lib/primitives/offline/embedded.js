import { Operation, openStore } from '../store.js';

/** The offline table on an embedded store, in memory or a server's: src/store/offline.h. @implements {OfflineTable} */
export class EmbeddedOffline {
  #store;
  #keepMs;

  /**
   * @param {unknown} store
   * @param {number} keepMs
   */
  constructor(store, keepMs) {
    this.#store = openStore(store);
    this.#keepMs = keepMs;
  }

  /** @type {OfflineTable['append']} */
  append(receiver, { sender, msgId, body }) {
    return this.#store.run(Operation.APPEND, receiver, sender, msgId, body);
  }

  /** @type {OfflineTable['counts']} */
  async counts(receiver) {
    const flat = await this.#store.run(Operation.COUNTS, receiver);
    return Array.from({ length: flat.length / 2 - 1 }, (_, i) => [flat[2 * i + 2], flat[2 * i + 3]]);
  }

  /** @type {OfflineTable['pull']} */
  async pull({ receiver, sender, limit, newest, next }) {
    const flat = await this.#store.run(Operation.PULL, receiver, sender, limit, newest, next, this.#keepMs);
    const items = [];
    for (let i = 2; i < flat.length; i += 3) items.push({ msgId: flat[i], sender: flat[i + 1], body: flat[i + 2] });
    return { items, next: flat[0] };
  }

  /** @type {OfflineTable['ack']} */
  ack(receiver, msgIds) {
    return this.#store.run(Operation.ACK, receiver, msgIds, this.#keepMs);
  }

  stats() {
    return this.#store.stats();
  }

  close() {
    return this.#store.close();
  }
}

/** @typedef {import('../offline-store.js').OfflineTable} OfflineTable */
