/**
 * A server of a simulation: the shipped connection code (lib/server) and the native engine on its log, on a disk that can
 * fail or on a store that it shares with others, all on this thread and in virtual time.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { dispatch } from '../../lib/server/batch.js';
import { Connections } from '../../lib/server/connections.js';
import { EDGE } from '../../lib/server/defaults.js';
import { Wheel } from '../../lib/server/wheel.js';

const ADDON = fileURLToPath(new URL('../../build/Release/everyonce_simulation.node', import.meta.url));
export const native = createRequire(import.meta.url)(ADDON);

export class Server {
  /** Output waiting in a socket, above which its connection lags, bytes; small, so that it is reached. */
  bufferedBytes = 8192;
  up = false;
  /** How many times it was started: tells what belongs to a process that is gone. */
  life = 0;
  /** Added to the wall clock, ms; the steady one knows nothing of it. */
  clockOffsetMs = 0;
  #native;
  #start;
  /** @type {Map<string, number>} */
  #counted = new Map();
  #requests = new Map();
  #lastRequest = 0;

  /** `shared`: the store that it shares (shared-store.js). */
  constructor({ clock, random, trace, options, shared = null }) {
    Object.assign(this, { clock, random, trace, shared });
    this.#native = new native.Simulation({ ...options, ...shared?.join(this) });
    this.#start = clock.now();
  }

  /** @param {{ newEpochs?: boolean }} [options] @returns {boolean} false where the disk does not let it */
  start({ newEpochs = false } = {}) {
    if (this.up) return true;
    if (!this.#native.start(...this.#times(), newEpochs)) return false;
    this.trace.note('server start');
    this.life += 1;
    this.up = true;
    const { life } = this;
    const wheel = new Wheel(EDGE.wheelSlotMs, () => this.clock.now());
    const slot = () => {
      if (this.life !== life || !this.up) return;
      wheel.advance();
      this.clock.setTimeout(slot, EDGE.wheelSlotMs);
    };
    this.clock.setTimeout(slot, EDGE.wheelSlotMs);
    this.connections = new Connections({
      authenticate: async ({ token }) => (token ? { user: token } : null),
      wheel,
      metrics: /** @type {any} */ ({ received: () => {}, wrote: () => {}, closed: () => {} }),
      fault: (error) => {
        throw error;
      },
      refused: () => {},
    });
    this.connections.connect(/** @type {any} */ (this.#engineOf(life)));
    this.stepSoon();
    return true;
  }

  /** The process dies. @param {{ kept?: number, told?: boolean }} how of what was not synced, so many writes survive */
  crash({ kept = 0, told = true } = {}, network) {
    if (!this.up) return;
    this.up = false;
    this.#gather();
    this.#native.crash(kept);
    network.serverDied(this, told);
    this.trace.note('server crash');
    this.trace.count('crash');
  }

  /** What is durable now can be gone back to. */
  backup() {
    this.#native.backup();
  }

  /** The disk is that of the backup. REQUIRES: crashed @returns {boolean} */
  restore() {
    return this.#native.restore();
  }

  /** @param {number} inWrites @param {boolean} kept @param {number} recovers */
  failWrite(inWrites, kept, recovers) {
    this.trace.note(`server write ${inWrites} from now fails, kept ${kept}, then ${recovers} recoveries`);
    this.#native.failWrite(inWrites, kept, recovers);
  }

  /** @param {boolean} failing */
  failReads(failing) {
    this.trace.note(`server reads fail: ${failing}`);
    this.#native.failReads(failing);
  }

  /** What its engine has counted, in all its lives. @returns {Map<string, number>} */
  stats() {
    if (this.up) this.#gather();
    return this.#counted;
  }

  #gather() {
    for (const [name, times] of Object.entries(this.#native.stats()))
      this.#counted.set(name, (this.#counted.get(name) ?? 0) + times);
  }

  /**
   * Asks as a user, or with '' as the system, without a socket.
   * @param {string} user @param {Record<string, unknown>} packet @param {string} [device]
   * @returns {Promise<Record<string, any>>}
   */
  request(user, packet, device = '') {
    const id = ++this.#lastRequest;
    const answer = new Promise((resolve) => this.#requests.set(id, resolve));
    this.#native.request(id, user, JSON.stringify(packet), device);
    this.#step();
    return answer;
  }

  /** What Connections may ask of the engine, while that process lives. @param {number} life */
  #engineOf(life) {
    const call =
      (name) =>
      (...args) => {
        if (!this.up || this.life !== life) return;
        this.#native[name](...args);
        this.stepSoon();
      };
    return {
      open: call('open'),
      accept: call('accept'),
      close: call('close'),
      lagging: call('lagging'),
      submit: (bytes, index, count) => {
        if (!this.up || this.life !== life) return count;
        this.#native.submit(Buffer.from(bytes), index, count, ...this.#times());
        this.stepSoon();
        return count;
      },
    };
  }

  #times() {
    const now = Math.floor(this.clock.now());
    return [now + this.clockOffsetMs, Math.floor(now - this.#start) + 1];
  }

  /** The engine thread gets to it a moment later, with whatever came until then: group commit. */
  stepSoon() {
    if (this.stepping) return;
    this.stepping = true;
    this.clock.setTimeout(() => {
      this.stepping = false;
      if (this.up) this.#step();
    }, this.random() * 4);
  }

  #step() {
    this.shared?.sync();
    const [bytes, index] = this.#native.step(...this.#times());
    dispatch(bytes, index, this.#receiver);
    this.#arm();
    this.shared?.arm();
  }

  #receiver = {
    write: (id, frames) => this.connections.write(id, frames),
    close: (id, code) => this.connections.close(id, code),
    authenticate: (id, hello) => void this.connections.authenticate(id, hello),
    authorize: () => {},
    answer: (id, packet) => {
      this.#requests.get(id)?.(packet);
      this.#requests.delete(id);
    },
    event: () => {},
    wantsMessages: () => false,
    drained: () => this.connections.drained(),
    stopped: () => {},
  };

  #arm() {
    if (this.timer) this.clock.clearTimeout(this.timer);
    const deadline = this.#native.deadline();
    this.timer = null;
    if (deadline === Infinity) return;
    const wait = Math.max(1, deadline - this.#times()[1]);
    const { life } = this;
    this.timer = this.clock.setTimeout(() => {
      if (this.up && this.life === life) this.#step();
    }, wait);
  }
}
