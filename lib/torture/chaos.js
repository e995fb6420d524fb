/** What happens to the network in a torture, one act after another, drawn from the seed. */
import { pick } from './random.js';

/** Each connection is met by something about this often, ms. */
const PER_CONNECTION_MS = 4_000;
const LEAST_PAUSE_MS = 20;

export class Chaos {
  #proxy;
  #faults;
  #random;
  #pauseMs;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();

  /**
   * @param {object} options
   * @param {import('./chaos-proxy.js').ChaosProxy} options.proxy
   * @param {{ repeat: number }} options.faults of the frames
   * @param {() => number} options.random
   * @param {number} options.connections
   */
  constructor({ proxy, faults, random, connections }) {
    this.#proxy = proxy;
    this.#faults = faults;
    this.#random = random;
    this.#pauseMs = Math.max(LEAST_PAUSE_MS, PER_CONNECTION_MS / connections);
  }

  start() {
    this.#faults.repeat = 0.02;
    this.#proxy.latencyMs = 10;
    this.#next();
  }

  /** The network is a good one again. */
  stop() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#faults.repeat = 0;
    this.#proxy.calm();
  }

  #next() {
    this.#after(this.#random() * 2 * this.#pauseMs, () => {
      this.#act();
      this.#next();
    });
  }

  #act() {
    const random = this.#random;
    const dice = pick(random, 100);
    if (dice < 45) this.#proxy.cutOne();
    else if (dice < 65) this.#proxy.stallOne(100 + random() * 3_000);
    else if (dice < 75) this.#proxy.stallOne(Infinity);
    else if (dice < 87) this.#proxy.throttleOne(2_000 + random() * 20_000, 500 + random() * 2_000);
    else if (dice < 96) this.#slow(random() * 400, 200 + random() * 1_500);
    else if (dice < 99) this.#refuse(random() * 1_000);
    else this.#proxy.cutAll();
  }

  /** @param {number} latencyMs @param {number} ms */
  #slow(latencyMs, ms) {
    this.#proxy.latencyMs = latencyMs;
    this.#after(ms, () => (this.#proxy.latencyMs = 10));
  }

  /** @param {number} ms */
  #refuse(ms) {
    this.#proxy.refuses = true;
    this.#after(ms, () => (this.#proxy.refuses = false));
  }

  /** @param {number} ms @param {() => void} act */
  #after(ms, act) {
    const timer = setTimeout(() => (this.#timers.delete(timer), act()), ms);
    this.#timers.add(timer);
  }
}
