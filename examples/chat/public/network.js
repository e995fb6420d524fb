// What the network panel does to this tab's connection, and what it counts on the wire.

/** Settings, each with the value of a sound network. */
const SOUND = Object.freeze({
  offline: false,
  /** ms that every frame waits on its way to the server, and back. */
  delayOut: 0,
  delayIn: 0,
  /** Chance of each ack to be swallowed, 0 to 1. */
  dropAcks: 0,
  /** Chance of each frame of messages to go out twice, 0 to 1. */
  duplicate: 0,
});

/** @typedef {{ -readonly [name in keyof typeof SOUND]: (typeof SOUND)[name] extends boolean ? boolean : number }} Settings */

class Network extends EventTarget {
  /** @type {Settings} */
  settings = { ...SOUND };
  counters = {
    /** Transmissions of messages; and those of a message that was transmitted before. */
    sent: 0,
    resent: 0,
    duplicatedFrames: 0,
    acks: 0,
    /** Acks that say: I had that one already. */
    answeredDup: 0,
    swallowedAcks: 0,
    received: 0,
    connections: 0,
    cuts: 0,
  };
  /** Open sockets, and how to break them. @type {Set<() => void>} */
  #cutters = new Set();
  /** Ids of the last messages that went out, to know a repetition. @type {Set<string>} */
  #sentIds = new Set();

  /** @param {Partial<Settings>} settings */
  set(settings) {
    Object.assign(this.settings, settings);
    if (this.settings.offline) this.cut();
    this.changed();
  }

  reset() {
    this.set(SOUND);
  }

  get isSound() {
    return Object.entries(SOUND).every(([name, value]) => Reflect.get(this.settings, name) === value);
  }

  /** Breaks every connection, without a goodbye. */
  cut() {
    for (const cutter of [...this.#cutters]) cutter();
    this.changed();
  }

  /** @param {() => void} cutter @returns {() => void} forgets it again */
  opened(cutter) {
    this.#cutters.add(cutter);
    this.counters.connections += 1;
    this.changed();
    return () => this.#cutters.delete(cutter);
  }

  /** @param {string} id */
  countSend(id) {
    this.counters.sent += 1;
    if (this.#sentIds.has(id)) this.counters.resent += 1;
    this.#sentIds.delete(id);
    this.#sentIds.add(id);
    if (this.#sentIds.size > 10_000) this.#sentIds.delete(this.#sentIds.values().next().value ?? '');
  }

  changed() {
    this.dispatchEvent(new Event('change'));
  }
}

export const network = new Network();
