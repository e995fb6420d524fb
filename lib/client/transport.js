/**
 * One client's way to the server: a WebSocket at a time, opened again after it is lost. Knows hello, welcome, silence
 * and back-off; what the packets in between mean is for others. Time, chance and the WebSocket class are given.
 */
import {
  CLOSE,
  EveryonceError,
  LIMITS,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  badKeyOfServerPacket,
  decodeFrame,
  encodePacket,
  joinFrame,
  utf8Bytes,
} from '../protocol/index.js';
import { backoff } from './clock.js';

/** A connection that is not welcomed after this time is given up, ms. */
const WELCOME_MS = 10_000;
/** A hello that was given up unanswered may take effect so much later, where a store stood still meanwhile. */
const LATE_HELLO_MS = 60_000;
/** Output that waits in the socket, above which nothing more is offered to it, bytes. */
const OUTPUT_BYTES = 1_048_576;

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {'offline' | 'connecting' | 'online' | 'replaced' | 'closed'} State
 *
 * @typedef {object} TransportOptions
 * @property {any} WebSocket
 * @property {string} url
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {{ min: number, max: number }} reconnect ms
 * @property {() => Promise<Packet>} hello makes the first packet; what it throws ends the connecting
 *
 * @typedef {object} TransportEvents
 * @property {(state: State, about: Record<string, unknown>) => void} onState
 * @property {(welcome: Packet) => void} onWelcome
 * @property {(packet: Packet, bytes: number) => void} onPacket any packet after the welcome
 * @property {() => void} onLost a welcomed connection is over
 * @property {(close: { code: number, reason: string, error: Packet | null, helloIsDue: boolean }) => 'retry' | 'now' | EveryonceError} onClose
 *   decides what follows a connection's end: try again after a back-off, at once, or give up with this error. `helloIsDue`: an
 *   earlier hello of this client went unanswered, and may only now have come to its end
 * @property {(error: EveryonceError) => void} onGivenUp
 * @property {(error: EveryonceError) => void} onBadPacket
 */

export class Transport {
  /** @type {State} */
  state = 'offline';
  /** How many connections were welcomed: tells what was sent on which. */
  connection = 0;
  /** The server said `bye`: finish, start nothing. */
  leaving = false;
  /** @type {TransportOptions} */
  #options;
  /** @type {TransportEvents} */
  #events;
  /** @type {any} */
  #socket = null;
  /** The last `error` packet before the close, which says why. @type {Packet | null} */
  #lastError = null;
  /** @type {string[]} */
  #frame = [];
  #frameBytes = 0;
  #frameLimit = 65_536;
  #heardAt = 0;
  #pinged = false;
  #attempt = 0;
  #waitedMs = 0;
  #openedAt = 0;
  /** @type {any} */
  #silenceTimer = null;
  /** @type {any} */
  #retryTimer = null;
  /** After `bye`: not before this moment. */
  #notBefore = 0;
  /** A hello is out, and not answered. */
  #helloIsOut = false;
  /** Until then a hello that was given up may still take effect at the server. */
  #helloIsDueUntil = 0;

  /** @param {TransportOptions} options @param {TransportEvents} events */
  constructor(options, events) {
    this.#options = options;
    this.#events = events;
  }

  /** Starts connecting, also after `replaced` or `closed`. */
  start() {
    if (this.state !== 'offline' && this.state !== 'replaced' && this.state !== 'closed') return;
    this.#attempt = 0;
    this.#cancelRetry();
    void this.#open();
  }

  /** Ends for good, until start(). @param {State} [state] */
  stop(state = 'closed') {
    this.#cancelRetry();
    this.#abandon(CLOSE.normal);
    this.#enter(state);
  }

  /** Gives the connection up and opens another at once: it is taken for dead, or has to say another hello. @param {string} reason */
  restart(reason) {
    if (this.state === 'replaced' || this.state === 'closed') return;
    this.#cancelRetry();
    this.#abandon(CLOSE.normal, reason);
    void this.#open();
  }

  /** The network may be back, or the machine awake: what waits is tried now, what is open is asked. */
  wake() {
    if (this.#retryTimer && this.#notBefore <= this.#options.clock.now()) {
      this.#cancelRetry();
      void this.#open();
    } else if (this.state === 'online') {
      this.#ping();
    }
  }

  /** Whether the socket takes more for now. */
  get writable() {
    return this.state === 'online' && !this.leaving && this.#socket.bufferedAmount < OUTPUT_BYTES;
  }

  /**
   * Puts a packet into the frame that leaves at the end of this turn.
   * @param {Packet | string} packet an object, or its text
   * @returns {boolean} false where there is no connection
   */
  send(packet) {
    if (this.state !== 'online') return false;
    this.#put(packet);
    return true;
  }

  /** @param {Packet | string} packet */
  #put(packet) {
    const text = typeof packet === 'string' ? packet : encodePacket(packet);
    const bytes = utf8Bytes(text) + 1;
    if (this.#frame.length > 0 && this.#frameBytes + bytes + 1 > this.#frameLimit) this.#flush();
    if (this.#frame.length === 0) {
      const socket = this.#socket;
      queueMicrotask(() => {
        if (socket === this.#socket) this.#flush();
      });
    }
    this.#frame.push(text);
    this.#frameBytes += bytes;
  }

  #flush() {
    if (this.#frame.length === 0) return;
    const frame = joinFrame(this.#frame);
    this.#frame = [];
    this.#frameBytes = 0;
    try {
      this.#socket?.send(frame);
    } catch {
      // A socket that is closing: its close event follows, and what was sent is sent again.
    }
  }

  async #open() {
    this.#enter('connecting');
    const mark = {};
    this.#socket = mark;
    let hello;
    try {
      hello = await this.#options.hello();
    } catch (cause) {
      if (this.#socket !== mark) return;
      this.#socket = null;
      const final = cause instanceof EveryonceError && !cause.retryable;
      if (final) this.#giveUp(/** @type {EveryonceError} */ (cause));
      else this.#wait(cause instanceof Error ? cause.message : String(cause));
      return;
    }
    if (this.#socket === mark) this.#dial(hello);
  }

  /** @param {Packet} hello */
  #dial(hello) {
    const { WebSocket, url, clock } = this.#options;
    let socket;
    try {
      socket = new WebSocket(url, SUBPROTOCOL);
    } catch (cause) {
      this.#socket = null;
      return this.#giveUp(
        new EveryonceError('INVALID_ARGUMENT', `url can not be opened: ${url}`, { option: 'url', cause }),
      );
    }
    this.#socket = socket;
    this.#lastError = null;
    this.leaving = false;
    this.#openedAt = clock.now();
    this.#silenceTimer = clock.setTimeout(() => this.#lose('no welcome'), WELCOME_MS);
    const current = (/** @type {(event: any) => void} */ handle) => (/** @type {any} */ event) => {
      if (this.#socket === socket) handle(event);
    };
    socket.onopen = current(() => {
      this.#helloIsOut = true;
      this.#put({ ...hello, t: 'hello', v: PROTOCOL_VERSION });
    });
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#closed(Number(event?.code ?? 1006), String(event?.reason ?? '')));
    // What went wrong is told by the close that follows.
    socket.onerror = () => {};
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#heardAt = this.#options.clock.now();
    this.#pinged = false;
    const socket = this.#socket;
    let packets;
    try {
      packets = decodeFrame(typeof data === 'string' ? data : '');
    } catch (cause) {
      return this.#events.onBadPacket(new EveryonceError('PROTOCOL', undefined, { cause }));
    }
    const bytes = typeof data === 'string' ? data.length / Math.max(1, packets.length) : 0;
    for (const packet of packets) {
      // A packet may have ended the connection; what stands behind it in the frame belongs to no one.
      if (this.#socket !== socket) return;
      this.#handle(packet, bytes);
    }
  }

  /** @param {Packet} packet @param {number} bytes */
  #handle(packet, bytes) {
    const bad = badKeyOfServerPacket(packet);
    if (bad !== null) {
      // A type of a newer server is none of this client's business.
      if (bad !== 't')
        this.#events.onBadPacket(
          new EveryonceError('PROTOCOL', `a ${packet.t} without a usable ${bad}`, { field: bad }),
        );
      return;
    }
    if (packet.t === 'welcome' && this.state === 'connecting') return this.#welcomed(packet);
    if (packet.t === 'error' && packet.rid === undefined) this.#lastError = packet;
    if (this.state !== 'online') return;
    if (packet.t === 'ping') this.send({ t: 'pong' });
    else if (packet.t === 'bye') this.#bye(packet);
    else if (packet.t !== 'pong') this.#events.onPacket(packet, bytes);
  }

  /** @param {Packet} welcome */
  #welcomed(welcome) {
    this.connection += 1;
    this.#helloIsOut = false;
    if (Number.isSafeInteger(welcome.limits.frame) && welcome.limits.frame > 0) this.#frameLimit = welcome.limits.frame;
    this.#clearSilence();
    this.#watchSilence();
    this.#enter('online', { node: welcome.node });
    this.#events.onWelcome(welcome);
  }

  #watchSilence() {
    const { clock } = this.#options;
    const due = this.#heardAt + LIMITS.pingAfterMs - clock.now();
    this.#silenceTimer = clock.setTimeout(
      () => {
        if (clock.now() - this.#heardAt >= LIMITS.pingAfterMs) this.#ping();
        else this.#watchSilence();
      },
      Math.max(1, due),
    );
  }

  /** Asks for a sign of life, and gives the connection up if none comes. A timer that ran late asks first, too. */
  #ping() {
    this.#clearSilence();
    this.#pinged = true;
    this.send({ t: 'ping' });
    this.#silenceTimer = this.#options.clock.setTimeout(() => {
      if (this.#pinged) this.#lose('silence');
      else this.#watchSilence();
    }, LIMITS.silenceMs - LIMITS.pingAfterMs);
  }

  #clearSilence() {
    this.#options.clock.clearTimeout(this.#silenceTimer);
    this.#silenceTimer = null;
  }

  /** @param {Packet} packet */
  #bye(packet) {
    const { clock, random, reconnect } = this.#options;
    const after = Number.isFinite(packet.after) ? Math.min(Math.max(0, packet.after), 60_000) : 0;
    const waitMs = after + random() * Math.max(after, reconnect.min);
    this.leaving = true;
    this.#notBefore = clock.now() + waitMs;
    // A server that does not close by itself is left when it said it would be gone.
    this.#cancelRetry();
    this.#retryTimer = clock.setTimeout(() => {
      this.#retryTimer = null;
      if (this.leaving) this.restart('bye');
    }, waitMs);
  }

  /** @param {string} reason */
  #lose(reason) {
    this.#abandon(CLOSE.normal, reason);
    this.#wait(reason);
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    const error = this.#lastError;
    this.#socket = null;
    if (code === CLOSE.replaced) this.#helloIsOut = false; // that is an answer
    this.#ended();
    const helloIsDue = this.#options.clock.now() < this.#helloIsDueUntil;
    const next = this.#events.onClose({ code, reason, error, helloIsDue });
    if (next instanceof EveryonceError) return this.#giveUp(next);
    if (next === 'now') return void this.#open();
    this.#wait(reason || `closed with ${code}`, code === CLOSE.rateLimited);
  }

  /** @param {EveryonceError} error */
  #giveUp(error) {
    this.#cancelRetry();
    this.#enter(error.code === 'REPLACED' ? 'replaced' : 'closed', { error });
    this.#events.onGivenUp(error);
  }

  /** Lets go of the socket, whose events count no more. @param {number} code @param {string} [reason] */
  #abandon(code, reason = '') {
    const socket = this.#socket;
    if (this.state === 'online') this.#flush();
    this.#socket = null;
    this.#ended();
    try {
      socket?.close?.(code, reason);
    } catch {
      // Not open yet: `ws` and browsers then fail the connection by themselves.
    }
  }

  #ended() {
    this.#clearSilence();
    this.#frame = [];
    this.#frameBytes = 0;
    this.#pinged = false;
    if (this.#helloIsOut) this.#helloIsDueUntil = this.#options.clock.now() + LATE_HELLO_MS;
    this.#helloIsOut = false;
    // A connection that lived longer than the wait for it counts as a sound one; so flapping is met with patience.
    if (this.state === 'online' && this.#options.clock.now() - this.#openedAt > this.#waitedMs) this.#attempt = 0;
    const wasOnline = this.state === 'online';
    this.state = 'offline';
    this.leaving = false;
    if (wasOnline) this.#events.onLost();
  }

  /** @param {string} reason @param {boolean} [longest] */
  #wait(reason, longest = false) {
    const { clock, random, reconnect } = this.#options;
    this.#cancelRetry();
    const drawn = longest ? reconnect.max * (1 + random()) : backoff(reconnect, this.#attempt, random);
    const waitMs = Math.max(drawn, this.#notBefore - clock.now());
    this.#attempt += 1;
    this.#waitedMs = waitMs;
    this.#enter('offline', { reason, retryInMs: waitMs });
    this.#retryTimer = clock.setTimeout(() => {
      this.#retryTimer = null;
      void this.#open();
    }, waitMs);
  }

  #cancelRetry() {
    this.#options.clock.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }

  /** @param {State} state @param {Record<string, unknown>} [about] */
  #enter(state, about = {}) {
    this.state = state;
    this.#events.onState(state, about);
  }
}
