/**
 * What a Client is made of, joined: the outbox is opened, the transport says hello, packets go to the sender, the receiver
 * or whoever asked, and the end of a connection is judged.
 */
import { CLOSE, EveryonceError, errorOf } from '../protocol/index.js';
import { randomId } from './clock.js';
import { readOptions } from './options.js';
import { Receiver } from './receiver.js';
import { Requests } from './requests.js';
import { Sender } from './sender.js';
import { TokenPool } from './tokens.js';
import { Transport } from './transport.js';

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./send.js').Send} Send
 * @typedef {import('./options.js').ClientOptions} ClientOptions
 * @typedef {{ id: string, conv: string, state: string, attempts: number, type: string, body: any, at: number, seq?: number, epoch?: number,
 *   mid?: string, parts?: { id: string, body: any }[] }} Outgoing `at`: when it was taken; once `acked`, with `seq`, `epoch` and
 *   `mid`, when the server took it; of a package, its first part's
 */

/** Time for the server to answer what the client asks for itself; then the connection is taken for dead, ms. */
const ANSWER_MS = 10_000;
/** Close codes that say that something is wrong which only a person can mend, though connecting goes on. */
const TELLING = new Set(
  /** @type {number[]} */ ([CLOSE.notUtf8, CLOSE.frameTooLarge, CLOSE.badPacket, CLOSE.rateLimited]),
);

export class Session {
  options;
  transport;
  requests;
  sender;
  receiver;
  tokens;
  /** The outbox is open, and what it held is in the lanes. @type {Promise<void>} */
  opened;
  /** @type {Promise<void> | null} */
  #renewing = null;
  /** @type {{ resolve: () => void, reject: (error: EveryonceError) => void }[]} */
  #connecting = [];
  limits = { body: Infinity, frame: Infinity };
  #refusedTokens = 0;
  #wasLive = true;
  closed = false;
  #stopWaking = () => {};

  /**
   * @param {ClientOptions} options
   * @param {{ emit: (event: string, ...about: any[]) => unknown, listeners: (event: string) => readonly ((...args: any[]) => any)[] }} events
   * @throws {EveryonceError} `INVALID_ARGUMENT` naming the option; `NO_WEBSOCKET`
   */
  constructor(options, events) {
    this.options = readOptions(options);
    this.events = events;
    const { clock, outbox, url, WebSocket, reconnect, requestTimeout, ackTimeout, retries, maxAttempts, backlog } =
      this.options;
    const random = this.options.random ?? Math.random;
    const emit = (/** @type {string} */ event, /** @type {any[]} */ ...about) => void this.events.emit(event, ...about);
    const ask = (/** @type {Packet} */ question, { sticky = false } = {}) =>
      sticky ? this.ask(question) : this.#askNow(question);
    this.requests = new Requests(clock, (packet) => this.write(packet, true), requestTimeout);
    this.transport = new Transport(
      { WebSocket, url, clock, random, reconnect, hello: () => this.#hello() },
      {
        onState: (state, about) => this.#onState(state, about),
        onWelcome: (welcome) => this.#onWelcome(welcome),
        onPacket: (packet, bytes) => this.#onPacket(packet, bytes),
        onLost: () => this.#onLost(),
        onClose: (close) => this.#onClose(close),
        onGivenUp: (error) => this.#onGivenUp(error),
        onBadPacket: (error) => emit('error', error),
      },
    );
    this.receiver = new Receiver({
      clock,
      random,
      outbox,
      maxAttempts,
      backlog,
      ask,
      emit,
      handlers: () => (this.closed ? [] : this.events.listeners('message')),
      watched: () => this.events.listeners('message').length + this.events.listeners('conversation').length > 0,
      write: (packet) => void this.write(packet, false),
      voided: (conv, epoch, keep) => this.sender.onVoid(conv, epoch, keep),
      lost: (conv, epoch, head) => this.sender.onTailLost(conv, epoch, head),
    });
    this.tokens = new TokenPool({ clock, random, ask: (question) => this.#askNow(question) });
    this.sender = new Sender({
      tokens: this.tokens,
      newId: () => randomId(this.options.random),
      clock,
      random,
      outbox,
      ask,
      options: { ackTimeout, retries, onIncomplete: this.options.onIncomplete },
      write: (text) => this.transport.writable && this.transport.send(text),
      changed: (send, error) => this.#onChanged(send, error),
      own: (conv, epoch, seq) => this.receiver.onOwn(conv, epoch, seq),
      connectionIsDead: (reason) => this.transport.restart(reason),
      deviceIsTaken: () => {
        if (this.#renewDevice()) this.transport.restart('new device');
      },
    });
    this.opened = this.#open();
    this.opened.catch(() => {});
  }

  /** See Client. */
  async connect() {
    this.throwIfClosed();
    await this.opened;
    this.throwIfClosed();
    if (this.transport.state === 'online') return;
    const welcomed = new Promise((resolve, reject) =>
      this.#connecting.push({ resolve: () => resolve(undefined), reject }),
    );
    this.#wakeWithThePage();
    this.#refusedTokens = 0;
    this.transport.start();
    await welcomed;
  }

  /** See Client. */
  async close() {
    if (this.closed) return;
    this.closed = true;
    this.#stopWaking();
    this.receiver.flushAcks();
    this.transport.stop();
    const error = new EveryonceError('CLOSED');
    this.sender.stop(error);
    this.tokens.onLost();
    this.receiver.onLost();
    this.requests.end(error);
    for (const { reject } of this.#connecting.splice(0)) reject(error);
    const opened = await this.opened.then(
      () => true,
      () => false,
    );
    await this.#renewing?.catch(() => {});
    if (opened) await this.options.outbox.close();
  }

  throwIfClosed() {
    if (this.closed) throw new EveryonceError('CLOSED');
  }

  /** A network that is back, or a page that is shown again, need not wait for a timer. */
  #wakeWithThePage() {
    if (typeof globalThis.addEventListener !== 'function' || typeof globalThis.document !== 'object') return;
    this.#stopWaking();
    const wake = () => this.transport.wake();
    const shown = () => document.visibilityState === 'visible' && wake();
    globalThis.addEventListener('online', wake);
    document.addEventListener('visibilitychange', shown);
    this.#stopWaking = () => {
      globalThis.removeEventListener('online', wake);
      document.removeEventListener('visibilitychange', shown);
    };
  }

  async #open() {
    const { outbox, device } = this.options;
    await outbox.open({ device, newDevice: () => randomId(this.options.random) });
    this.sender.restore();
    outbox.onAdded = (entry) => void this.sender.add(entry);
    for (const warning of outbox.warnings) this.events.emit('error', warning);
  }

  async #hello() {
    await this.#renewing;
    const { getToken, token: fixed, outbox } = this.options;
    const token = getToken ? await getToken() : fixed;
    const { device, pe } = outbox.state;
    // A client that never handles messages lets the server know, instead of leaving what is pushed unacked.
    this.#wasLive = this.transport.connection === 0 || this.events.listeners('message').length > 0;
    const live = this.#wasLive ? {} : { live: false };
    return {
      t: 'hello',
      device,
      pe,
      ...(token === undefined ? {} : { token }),
      at: this.receiver.positions(),
      ...live,
    };
  }

  /** @param {Packet} welcome */
  #onWelcome(welcome) {
    const { outbox } = this.options;
    if (outbox.state.user && outbox.state.user !== welcome.user) {
      const error = new EveryonceError(
        'OUTBOX_USER',
        `the outbox belongs to ${outbox.state.user}, the token to ${welcome.user}`,
      );
      this.transport.stop();
      return this.#onGivenUp(error);
    }
    // Only a guard against mixing users up: nothing waits for its write.
    if (!outbox.state.user) outbox.setUser(welcome.user).catch(() => {});
    this.#refusedTokens = 0;
    this.limits = { body: welcome.limits.body ?? Infinity, frame: welcome.limits.frame ?? Infinity };
    outbox.setTokensRequired(welcome.tokens === 'required');
    this.receiver.onWelcome(welcome);
    this.tokens.onOnline(welcome);
    this.sender.onOnline(welcome, this.transport.connection);
    this.requests.onOnline();
    for (const { resolve } of this.#connecting.splice(0)) resolve();
  }

  /** @param {Packet} packet @param {number} bytes */
  #onPacket(packet, bytes) {
    if (packet.rid !== undefined && this.requests.onAnswer(packet)) return;
    switch (packet.t) {
      case 'ack':
        this.sender.onAck(packet);
        return this.receiver.onOwn(packet.conv, packet.epoch, packet.seq);
      case 'nack':
        return this.sender.onNack(packet);
      case 'msg':
      case 'hole':
        return this.receiver.onPush(packet, bytes);
      case 'head':
        return this.receiver.onHead(packet);
      case 'epoch':
        return this.receiver.onEpoch(packet);
      case 'receipt':
        return this.receiver.onReceipt(packet);
      case 'signal':
        return void this.events.emit('signal', { conv: packet.conv, from: packet.from, body: packet.body });
      case 'error':
        return void (packet.rid === undefined && this.events.emit('error', errorOf(packet)));
    }
  }

  #onLost() {
    this.sender.onLost();
    this.tokens.onLost();
    this.receiver.onLost();
    this.requests.onLost();
  }

  /**
   * @param {{ code: number, reason: string, error: Packet | null, helloIsDue: boolean }} close
   * @returns {'retry' | 'now' | EveryonceError}
   */
  #onClose({ code, reason, error, helloIsDue }) {
    if (code === CLOSE.replaced && error?.code === 'stale_device') {
      void this.#renewDevice();
      return 'now';
    }
    // The other one may be this client itself: a hello that it gave up, and that the store took behind the next.
    if (code === CLOSE.replaced) return helloIsDue ? 'retry' : new EveryonceError('REPLACED');
    if (code === CLOSE.notAuthenticated) {
      this.#refusedTokens += 1;
      const told = error?.message ? `the server refused the token: ${error.message}` : undefined;
      return this.options.getToken && this.#refusedTokens === 1 ? 'now' : new EveryonceError('UNAUTHENTICATED', told);
    }
    if (TELLING.has(code)) {
      const why = error?.message ?? reason;
      this.events.emit(
        'error',
        new EveryonceError('CONNECTION_REFUSED', `closed with ${code}${why ? `: ${why}` : ''}`, { closeCode: code }),
      );
    }
    return 'retry';
  }

  /** @param {EveryonceError} error */
  #onGivenUp(error) {
    const waiting = this.#connecting.splice(0);
    for (const { reject } of waiting) reject(error);
    this.events.emit('error', error);
  }

  /** @param {import('./transport.js').State} state @param {Record<string, unknown>} about */
  #onState(state, about) {
    this.events.emit('state', state, about);
  }

  /** Another copy of this outbox used its numbers: what waits is asked about, and the rest sent as a new device's. */
  #renewDevice() {
    if (this.#renewing) return false;
    const { outbox } = this.options;
    const previous = outbox.state.device;
    this.sender.onLost();
    this.#renewing = outbox
      .renewDevice(randomId(this.options.random))
      .catch(() => outbox.durable())
      .then(() => void this.events.emit('device', { device: outbox.state.device, previous }))
      .catch((error) => void this.events.emit('error', error))
      .finally(() => (this.#renewing = null));
    return true;
  }

  /** @param {Packet} packet @param {boolean} counted by the server's rate limit @returns {boolean} */
  write(packet, counted) {
    const sent = this.transport.send(packet);
    if (sent && counted) this.sender.spend();
    return sent;
  }

  /** A message handler was added. */
  handlerAdded() {
    if (this.transport.state !== 'online') return;
    if (this.#wasLive) this.receiver.wake();
    else this.transport.restart('a handler was added');
  }

  /** @param {Send} send @param {EveryonceError} [error] */
  #onChanged(send, error) {
    if (!send.entry.skip || send.status === 'rejected')
      this.events.emit('outbox', { ...outgoing(send), ...(error ? { error } : {}) });
  }

  /** What the client's own rules ask: an answer on this connection, or none. @param {Packet} question @returns {Promise<Packet>} */
  async #askNow(question) {
    const { connection } = this.transport;
    try {
      return await this.requests.ask(question, { timeoutMs: ANSWER_MS });
    } catch (error) {
      const silent =
        error instanceof EveryonceError && error.code === 'TIMEOUT' && connection === this.transport.connection;
      if (silent && this.transport.state === 'online') this.transport.restart(error.message);
      throw error;
    }
  }

  /** What the application asks: over as many connections as it takes. @param {Packet} question @returns {Promise<Packet>} */
  ask(question) {
    if (this.closed) return Promise.reject(new EveryonceError('CLOSED'));
    return this.requests.ask(question, { sticky: true });
  }
}

/** What the application sees of a message on its way. @param {Send} send @returns {Outgoing} */
export function outgoing({ entry, status, attempts, place }) {
  const { id, conv, type = 'text', bodyText, parts, at } = entry;
  const shown = {
    id,
    conv,
    state: status,
    attempts,
    type,
    body: bodyText === '' ? null : JSON.parse(bodyText),
    at,
    ...place,
  };
  if (!parts) return shown;
  return { ...shown, parts: parts.map((part) => ({ id: part.id, body: JSON.parse(part.bodyText) })) };
}
