/**
 * One device in a run: sends numbered messages to its conversations, a few unanswered at a time, and records everything
 * that it does and is given.
 */
import { randomUUID } from 'node:crypto';
import { Client } from '../client-node.js';
import { hashBody } from '../checker/history.js';
import { pick } from './random.js';

/** The server is away often and for long: it must go on trying, and quickly. */
const DEFAULTS = { inFlight: 4, pauseMs: () => 10, reconnect: { min: 20, max: 300 } };
/** Codes after which the message is still on its way. */
const undecided = new Set(['UNCONFIRMED', 'CLOSED']);
const alphabet = ['a', 'b', ' ', '"', '\\', '\n', '\u0000', '<', 'é', '漢', '😀', '\u2028', '\ud800'];

/**
 * @typedef {import('../checker/history.js').History} History
 * @typedef {object} ParticipantOptions
 * @property {string} url
 * @property {string} user
 * @property {string} device
 * @property {import('../../lib/client/outbox.js').JournalOutbox} outbox
 * @property {History} history
 * @property {string[]} convs
 * @property {Record<string, number>} [starts] the seq behind which it is shown a conversation; 0 for those not named
 * @property {() => number} random
 * @property {() => string | Promise<string>} [getToken] default: the token is the user's name
 * @property {any} [WebSocket]
 * @property {number} [inFlight] unanswered sends per conversation
 * @property {(conv: string) => number} [pauseMs] the longest pause before the next send
 * @property {{ min: number, max: number }} [reconnect]
 */

export class Participant {
  /** What it was given, and what its own messages got, by conversation. @type {Map<string, Seqs>} */
  #had = new Map();
  connections = 0;
  #options;
  #client;
  #sending = false;
  /** Messages without an answer. */
  #open = 0;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();

  /** @param {ParticipantOptions} options */
  constructor(options) {
    this.#options = { ...DEFAULTS, ...options };
    const { url, user, device, outbox, history, convs, getToken = () => user, WebSocket, reconnect } = this.#options;
    this.#client = new Client({ url, getToken, device, outbox, reconnect, WebSocket });
    const { starts = {} } = this.#options;
    for (const conv of convs) {
      this.#had.set(conv, new Seqs(starts[conv] ?? 0));
      history.record({ op: 'watch', user, device, conv, seq: starts[conv] });
    }
    // Of an earlier process of this device.
    for (const { op, user: of, device: at, conv = '', seq = 0 } of history.events)
      if ((op === 'deliver' || op === 'ack') && of === user && at === device) this.#take(conv, seq);
    this.#client.on('message', (/** @type {any} */ message) => this.#given(message));
    // What is not to come, and what was given already at another place.
    this.#client.on('gap', (/** @type {any} */ { conv, from, to }) => this.#take(conv, from, to));
    this.#client.on('moved', (/** @type {any} */ { conv, seq }) => this.#take(conv, seq));
    this.#client.on('outbox', (/** @type {any} */ entry) => {
      if (entry.state === 'queued') this.#record('keep', entry);
    });
    this.#client.on('state', (/** @type {string} */ state) => (this.connections += state === 'online' ? 1 : 0));
    this.#client.on('error', (/** @type {any} */ error) => this.#failed(error));
  }

  /** Errors that the client reported and no fault explains. @type {string[]} */
  errors = [];

  get client() {
    return this.#client;
  }

  /** Connects, in its own time, and hands over again what an earlier process left without an answer. */
  start() {
    this.#client.connect().catch((error) => this.#failed(error));
    const answered = new Set();
    const { history, user, device } = this.#options;
    // Others may share the history.
    const events = history.events.filter((event) => event.user === user && event.device === device);
    for (const { op, id } of events) if (op === 'ack' || op === 'nack') answered.add(id);
    const left = events.filter(({ op, id }) => op === 'invoke' && !answered.has(id));
    for (const { conv = '', id = '', n = 0 } of left) this.#send(conv, id, this.#body(conv, n));
  }

  /** Begins to send, or ends: what is on its way goes on. @param {boolean} on */
  load(on) {
    if (this.#sending === on) return;
    this.#sending = on;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    if (!on) return;
    const { convs, inFlight } = this.#options;
    for (const conv of convs) for (let i = 0; i < inFlight; i++) this.#sendLater(conv);
  }

  /** One message to each conversation. */
  sendOnce() {
    for (const conv of this.#options.convs) this.#sendNew(conv);
  }

  /** Everything that was handed over is answered. */
  get isSettled() {
    return this.#open === 0;
  }

  /** How many were handed over and are not answered yet. */
  get unanswered() {
    return this.#open;
  }

  /** Whether it has all up to there: what comes behind its own newest message may be under way. @param {Record<string, number>} heads by conversation */
  hasReached(heads) {
    return [...this.#had].every(([conv, had]) => had.to >= (heads[conv] ?? 0));
  }

  async close() {
    this.load(false);
    await this.#client.close();
  }

  /** @param {string} conv */
  #sendLater(conv) {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#sendNew(conv).then(() => this.#sending && this.#sendLater(conv));
      },
      this.#options.random() * this.#options.pauseMs(conv),
    );
    this.#timers.add(timer);
  }

  /** @param {string} conv */
  #sendNew(conv) {
    const { history, user, device } = this.#options;
    const id = randomUUID();
    const n = history.next(user, device, conv);
    const body = this.#body(conv, n);
    history.record({ op: 'invoke', user, device, conv, id, n, hash: hashBody(body) });
    return this.#send(conv, id, body);
  }

  /** @param {string} conv @param {string} id @param {unknown} body @returns {Promise<void>} when it is answered */
  async #send(conv, id, body) {
    this.#open += 1;
    try {
      const { seq, epoch, mid } = await this.#untilDecided(conv, id, body);
      this.#open -= 1;
      this.#take(conv, seq);
      this.#record('ack', { conv, id }, { seq, epoch, mid });
    } catch (error) {
      const code = String(/** @type {any} */ (error).code);
      if (code === 'CLOSED') return;
      this.#open -= 1;
      this.#failed(error);
      this.#record('nack', { conv, id }, { code });
    }
  }

  /** @param {string} conv @param {string} id @param {unknown} body */
  async #untilDecided(conv, id, body) {
    for (let promise = this.#client.send(conv, body, { id }); ;) {
      try {
        return await promise;
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'UNCONFIRMED') throw error;
        promise = this.#client.retry(id);
      }
    }
  }

  /** The body of the n-th message, the same whenever it is asked for. @param {string} conv @param {number} n */
  #body(conv, n) {
    const { user } = this.#options;
    const letters = Array.from({ length: (n * 7) % 60 }, (_, i) => alphabet[(n * 31 + i * i) % alphabet.length]);
    return { user, conv, n, text: letters.join(''), numbers: [n / 3, -0.5, 1e21 * n, null, true] };
  }

  /** @param {any} message */
  async #given({ conv, epoch, seq, mid, from, device: fromDevice, id, type, body }) {
    this.#take(conv, seq);
    this.#record('deliver', { conv, id }, { epoch, seq, mid, from, fromDevice, type, hash: hashBody(body) });
    // Now and then a handler that takes its time: what comes meanwhile has to wait.
    if (pick(this.#options.random, 8) === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  /** @param {string} conv @param {number} from @param {number} [to] */
  #take(conv, from, to = from) {
    this.#had.get(conv)?.add(from, to);
  }

  /** @param {import('../checker/history.js').Operation} op @param {{ conv: string, id: string }} message @param {object} [more] */
  #record(op, { conv, id }, more = {}) {
    const { user, device, history } = this.#options;
    history.record({ op, user, device, conv, id, ...more });
  }

  /** @param {any} error */
  #failed(error) {
    if (!undecided.has(error?.code)) this.errors.push(String(error?.stack ?? error));
  }
}

/** Which seqs of a conversation are there, and up to where there is no gap. */
class Seqs {
  /** @type {Set<number>} above `to` */
  #beyond = new Set();

  /** @param {number} to */
  constructor(to) {
    this.to = to;
  }

  /** @param {number} from @param {number} to */
  add(from, to) {
    if (from <= this.to + 1) this.to = Math.max(this.to, to);
    else for (let seq = from; seq <= to; seq++) this.#beyond.add(seq);
    while (this.#beyond.delete(this.to + 1)) this.to += 1;
  }
}
