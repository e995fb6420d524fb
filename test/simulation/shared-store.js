/**
 * The store that several simulated servers share, as they would a Redis with a replica: calls take their time, time out and are
 * done all the same, bells are lost, late and repeated, and a failover goes back to what the replica has (native/shared_store.h).
 * This drives it in virtual time.
 */
import { native } from './server.js';

export class SharedStore {
  /** In the order of their numbers. @type {import('./server.js').Server[]} */
  servers = [];
  #native;
  #start;
  #timer = null;
  #armedFor = Infinity;

  /** @param {{ clock: any, trace: any, seed: number, replicated: boolean }} options `replicated`: answers wait for the replica */
  constructor({ clock, trace, seed, replicated }) {
    Object.assign(this, { clock, trace, replicated });
    this.#native = new native.SharedStore({ seed, replicated });
    this.#start = clock.now();
  }

  /** @param {import('./server.js').Server} server @returns what its process is started with */
  join(server) {
    const process = this.servers.push(server) - 1;
    return { store: this.#native, process };
  }

  /** What is due by now happens; whoever has something to do by it does so soon. */
  sync() {
    for (const process of this.#native.advance(this.clock.now() - this.#start)) {
      const server = this.servers[process];
      if (server.up) server.stepSoon();
    }
  }

  /** Goes on by itself when something is due. */
  arm() {
    const due = this.#native.deadline();
    if (due === this.#armedFor) return;
    if (this.#timer !== null) this.clock.clearTimeout(this.#timer);
    this.#armedFor = due;
    this.#timer = null;
    if (due === Infinity) return;
    this.#timer = this.clock.setTimeout(
      () => {
        this.#armedFor = Infinity;
        this.#timer = null;
        this.sync();
        this.arm();
      },
      // The clock counts from 1970, and so no finer than this.
      Math.max(0, due - (this.clock.now() - this.#start)) + 0.001,
    );
  }

  /** @param {Record<string, number>} faults as of native/shared_store.h, those that change */
  setFaults(faults) {
    const shown = Object.entries(faults).map(([name, value]) => `${name} ${value.toFixed(3)}`);
    this.trace.note(`store ${shown.join(', ')}`);
    this.#native.faults(faults);
  }

  /** @param {{ lossless: boolean, downMs: number, wallMs: number }} how until it is up again, and by which clock it goes then */
  failover({ lossless, downMs, wallMs }) {
    this.trace.note(`store failover${lossless ? ' without a loss' : ''}, down for ${downMs.toFixed(0)} ms`);
    this.sync();
    this.#native.failover(lossless, downMs, Math.floor(wallMs));
    this.sync();
    this.arm();
  }

  /** The replica gets nothing for a while. @param {number} ms */
  freeze(ms) {
    this.trace.note(`store replica stands still for ${ms.toFixed(0)} ms`);
    this.sync();
    this.#native.freeze(ms);
  }

  /** A server can't reach it, or can again. @param {import('./server.js').Server} server @param {boolean} isCut */
  cut(server, isCut) {
    this.trace.note(`store ${isCut ? 'cut off from' : 'reached by'} server ${this.servers.indexOf(server)}`);
    this.sync();
    this.#native.cut(this.servers.indexOf(server), isCut);
    this.arm();
  }

  /** @param {string[]} convs @returns {number} messages of one of them that a failover would lose now, at most */
  wouldLose(convs) {
    this.sync();
    return this.#native.wouldLose(convs);
  }

  /** @param {string} conv @returns {{ epoch: number, seq: number }} where it stands */
  head(conv) {
    this.sync();
    const [epoch, seq] = this.#native.head(conv);
    return { epoch, seq };
  }

  /** @returns {Record<string, number>} what went wrong so far */
  stats() {
    return this.#native.stats();
  }
}
