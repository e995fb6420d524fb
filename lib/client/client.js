/**
 * The client: messages that are sent arrive once, and messages that arrive are shown once, in order, whatever the
 * network, the server or this process do in between. What to do when is decided in lane.js, inbox.js and transport.js;
 * this file joins them and is the public face.
 */
import {
  CLOSE,
  EveryonceError,
  LIMITS,
  check,
  checkConversation,
  checkMessageId,
  checkSeq,
  checkType,
  encodeSend,
  errorOf,
  isGroup,
  isUser,
  utf8Bytes,
} from '../protocol/index.js';
import { messageOf, offlinePages } from './backlog.js';
import { randomId } from './clock.js';
import { Emitter } from './emitter.js';
import { readOptions } from './options.js';
import { Receiver } from './receiver.js';
import { Requests } from './requests.js';
import { Sender } from './sender.js';
import { Transport } from './transport.js';

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./send.js').Sent} Sent
 * @typedef {import('./send.js').Send} Send
 * @typedef {import('./inbox.js').Message} Message
 * @typedef {import('./options.js').ClientOptions} ClientOptions
 * @typedef {{ id: string, conv: string, state: string, attempts: number, type: string, body: any, at: number }} Outgoing
 */

/** Time for the server to answer what the client asks for itself; then the connection is taken for dead, ms. */
const ANSWER_MS = 10_000;
/** Close codes that say that something is wrong which only a person can mend, though connecting goes on. */
const TELLING = new Set(
  /** @type {number[]} */ ([CLOSE.notUtf8, CLOSE.frameTooLarge, CLOSE.badPacket, CLOSE.rateLimited]),
);

/**
 * Events: `message` (awaited, see there), `state` (state, about), `outbox` (entry), `receipt`, `signal`, `gap`, `epoch`,
 * `conversation` (heads and unread counts), `read`, `device` (a new id was taken), `error`.
 */
export class Client extends Emitter {
  #options;
  #transport;
  #requests;
  #sender;
  #receiver;
  /** The outbox is open, and what it held is in the lanes. @type {Promise<void>} */
  #opened;
  /** @type {Promise<void> | null} */
  #renewing = null;
  /** @type {{ resolve: () => void, reject: (error: EveryonceError) => void }[]} */
  #connecting = [];
  /** Sends whose outbox write is under way. @type {Map<string, Promise<Sent>>} */
  #appending = new Map();
  #limits = { body: Infinity, frame: Infinity };
  #refusedTokens = 0;
  #wasLive = true;
  #closed = false;
  #stopWaking = () => {};

  /**
   * @param {ClientOptions} options
   * @throws {EveryonceError} `INVALID_ARGUMENT` naming the option; `NO_WEBSOCKET`
   */
  constructor(options) {
    super();
    this.#options = readOptions(options);
    const { clock, outbox, url, WebSocket, reconnect, requestTimeout, ackTimeout, retries, maxAttempts, backlog } =
      this.#options;
    const random = this.#options.random ?? Math.random;
    const emit = (/** @type {string} */ event, /** @type {any[]} */ ...about) => void this.emit(event, ...about);
    const ask = (/** @type {Packet} */ question, { sticky = false } = {}) =>
      sticky ? this.#ask(question) : this.#askNow(question);
    this.#requests = new Requests(clock, (packet) => this.#write(packet, true), requestTimeout);
    this.#transport = new Transport(
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
    this.#receiver = new Receiver({
      clock,
      random,
      outbox,
      maxAttempts,
      backlog,
      ask,
      emit,
      handlers: () => (this.#closed ? [] : this.listeners('message')),
      watched: () => this.listeners('message').length + this.listeners('conversation').length > 0,
      write: (packet) => void this.#write(packet, false),
      voided: (conv, epoch, keep) => this.#sender.onVoid(conv, epoch, keep),
    });
    this.#sender = new Sender({
      clock,
      random,
      outbox,
      ask,
      options: { ackTimeout, retries },
      write: (text) => this.#transport.writable && this.#transport.send(text),
      changed: (send, error) => this.#onChanged(send, error),
      own: (conv, epoch, seq) => this.#receiver.onOwn(conv, epoch, seq),
      connectionIsDead: (reason) => this.#transport.restart(reason),
      deviceIsTaken: () => {
        if (this.#renewDevice()) this.#transport.restart('new device');
      },
    });
    this.#opened = this.#open();
    this.#opened.catch(() => {});
  }

  /** Who this is, as the server said; '' before the first welcome of this outbox. */
  get user() {
    return this.#options.outbox.state.user;
  }

  /** The id of this installation; '' before the outbox is open. */
  get device() {
    return this.#options.outbox.state.device;
  }

  /** 'offline' (it may be waiting to connect again), 'connecting', 'online', 'replaced' or 'closed'. */
  get state() {
    return this.#transport.state;
  }

  // Connecting

  /**
   * Connects, and from then on connects again by itself.
   * @returns {Promise<void>} resolves at the server's welcome; rejects with `UNAUTHENTICATED`, `REPLACED`, `OUTBOX_LOCKED`,
   *   `OUTBOX_USER` or `CLOSED`. A server that can't be reached is tried until it can.
   */
  async connect() {
    this.#throwIfClosed();
    await this.#opened;
    this.#throwIfClosed();
    if (this.state === 'online') return;
    const welcomed = new Promise((resolve, reject) =>
      this.#connecting.push({ resolve: () => resolve(undefined), reject }),
    );
    this.#wakeWithThePage();
    this.#refusedTokens = 0;
    this.#transport.start();
    await welcomed;
  }

  /** Ends the connection and lets the outbox go. What is unanswered stays in a kept outbox; its promises reject with `CLOSED`. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaking();
    this.#transport.stop();
    const error = new EveryonceError('CLOSED');
    this.#sender.stop(error);
    this.#receiver.onLost();
    this.#requests.end(error);
    for (const { reject } of this.#connecting.splice(0)) reject(error);
    const opened = await this.#opened.then(
      () => true,
      () => false,
    );
    await this.#renewing?.catch(() => {});
    if (opened) await this.#options.outbox.close();
  }

  #throwIfClosed() {
    if (this.#closed) throw new EveryonceError('CLOSED');
  }

  /** A network that is back, or a page that is shown again, need not wait for a timer. */
  #wakeWithThePage() {
    if (typeof globalThis.addEventListener !== 'function' || typeof globalThis.document !== 'object') return;
    this.#stopWaking();
    const wake = () => this.#transport.wake();
    const shown = () => document.visibilityState === 'visible' && wake();
    globalThis.addEventListener('online', wake);
    document.addEventListener('visibilitychange', shown);
    this.#stopWaking = () => {
      globalThis.removeEventListener('online', wake);
      document.removeEventListener('visibilitychange', shown);
    };
  }

  async #open() {
    const { outbox, device } = this.#options;
    await outbox.open({ device, newDevice: () => randomId(this.#options.random) });
    this.#sender.restore();
    for (const warning of outbox.warnings) this.emit('error', warning);
  }

  async #hello() {
    await this.#renewing;
    const { getToken, token: fixed, outbox } = this.#options;
    const token = getToken ? await getToken() : fixed;
    const { device, pe } = outbox.state;
    // A client that never handles messages lets the server know, instead of leaving what is pushed unacked.
    this.#wasLive = this.#transport.connection === 0 || this.listeners('message').length > 0;
    const live = this.#wasLive ? {} : { live: false };
    return {
      t: 'hello',
      device,
      pe,
      ...(token === undefined ? {} : { token }),
      at: this.#receiver.positions(),
      ...live,
    };
  }

  /** @param {Packet} welcome */
  #onWelcome(welcome) {
    const { outbox } = this.#options;
    if (outbox.state.user && outbox.state.user !== welcome.user) {
      const error = new EveryonceError(
        'OUTBOX_USER',
        `the outbox belongs to ${outbox.state.user}, the token to ${welcome.user}`,
      );
      this.#transport.stop();
      return this.#onGivenUp(error);
    }
    // Only a guard against mixing users up: nothing waits for its write.
    if (!outbox.state.user) outbox.setUser(welcome.user).catch(() => {});
    this.#refusedTokens = 0;
    this.#limits = { body: welcome.limits.body ?? Infinity, frame: welcome.limits.frame ?? Infinity };
    this.#receiver.onWelcome(welcome);
    this.#sender.onOnline(welcome, this.#transport.connection);
    this.#requests.onOnline();
    for (const { resolve } of this.#connecting.splice(0)) resolve();
  }

  /** @param {Packet} packet @param {number} bytes */
  #onPacket(packet, bytes) {
    if (packet.rid !== undefined && this.#requests.onAnswer(packet)) return;
    switch (packet.t) {
      case 'ack':
        this.#sender.onAck(packet);
        return this.#receiver.onOwn(packet.conv, packet.epoch, packet.seq);
      case 'nack':
        return this.#sender.onNack(packet);
      case 'msg':
      case 'hole':
        return this.#receiver.onPush(packet, bytes);
      case 'head':
        return this.#receiver.onHead(packet);
      case 'epoch':
        return this.#receiver.onEpoch(packet);
      case 'receipt':
        return this.#receiver.onReceipt(packet);
      case 'signal':
        return void this.emit('signal', { conv: packet.conv, from: packet.from, body: packet.body });
      case 'error':
        return void (packet.rid === undefined && this.emit('error', errorOf(packet)));
    }
  }

  #onLost() {
    this.#sender.onLost();
    this.#receiver.onLost();
    this.#requests.onLost();
  }

  /**
   * @param {{ code: number, reason: string, error: Packet | null }} close
   * @returns {'retry' | 'now' | EveryonceError}
   */
  #onClose({ code, reason, error }) {
    if (code === CLOSE.replaced && error?.code === 'stale_device') {
      void this.#renewDevice();
      return 'now';
    }
    if (code === CLOSE.replaced) return new EveryonceError('REPLACED');
    if (code === CLOSE.notAuthenticated) {
      this.#refusedTokens += 1;
      const told = error?.message ? `the server refused the token: ${error.message}` : undefined;
      return this.#options.getToken && this.#refusedTokens === 1 ? 'now' : new EveryonceError('UNAUTHENTICATED', told);
    }
    if (TELLING.has(code)) {
      const why = error?.message ?? reason;
      this.emit(
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
    this.emit('error', error);
  }

  /** @param {import('./transport.js').State} state @param {Record<string, unknown>} about */
  #onState(state, about) {
    this.emit('state', state, about);
  }

  /** Another copy of this outbox used its numbers: what waits is asked about, and the rest sent as a new device's. */
  #renewDevice() {
    if (this.#renewing) return false;
    const { outbox } = this.#options;
    const previous = outbox.state.device;
    this.#sender.onLost();
    this.#renewing = outbox
      .renewDevice(randomId(this.#options.random))
      .catch(() => outbox.durable())
      .then(() => void this.emit('device', { device: outbox.state.device, previous }))
      .catch((error) => void this.emit('error', error))
      .finally(() => (this.#renewing = null));
    return true;
  }

  /** @param {Packet} packet @param {boolean} counted by the server's rate limit @returns {boolean} */
  #write(packet, counted) {
    const sent = this.#transport.send(packet);
    if (sent && counted) this.#sender.spend();
    return sent;
  }

  /** @param {string} event @override */
  listenerAdded(event) {
    if (event !== 'message' || this.state !== 'online') return;
    if (this.#wasLive) this.#receiver.wake();
    else this.#transport.restart('a handler was added');
  }

  /**
   * @param {string} event
   * @param {...any} about
   * @override
   */
  emit(event, ...about) {
    const heard = super.emit(event, ...about);
    if (event === 'error' && !heard) console.error('everyonce:', about[0]);
    return heard;
  }

  // Sending

  /**
   * Sends a message. Works offline and before connect(): it waits in the outbox.
   * @param {string} conv
   * @param {unknown} body any JSON value; taken as it is now
   * @param {{ type?: string, id?: string }} [options] `id`: the same id again is the same message, sent once
   * @returns {Promise<Sent>} resolves when the server has stored it; rejects with the server's code (`forbidden`, `too_large` …),
   *   `UNCONFIRMED` (it stays in the outbox and is offered on), `DISCARDED`, `OUTBOX_FULL`, `OUTBOX_FAILED` or `CLOSED`
   */
  async send(conv, body, { type, id = randomId(this.#options.random) } = {}) {
    checkConversation(conv);
    checkMessageId(id);
    if (type !== undefined) checkType(type);
    const bodyText = textOf(body);
    this.#throwIfClosed();
    await this.#opened;
    this.#throwIfClosed();
    const { outbox, maxQueued, clock } = this.#options;
    const known = this.#appending.get(id) ?? this.#sender.find(id)?.promise();
    if (known) return known;
    const accepted = outbox.state.acked.get(conv)?.find((entry) => entry.id === id)?.accepted;
    if (accepted) return { id, conv, ...accepted, dup: true };
    if (outbox.state.size >= maxQueued)
      throw new EveryonceError('OUTBOX_FULL', undefined, { id, conv, option: 'maxQueued' });
    const message = { conv, id, bodyText, at: Math.floor(clock.now()), ...(type === undefined ? {} : { type }) };
    // A number of the usual length stands in for the one that it will get.
    const wire = utf8Bytes(encodeSend({ ...message, n: Number.MAX_SAFE_INTEGER }));
    if (utf8Bytes(bodyText) > this.#limits.body || wire > this.#limits.frame)
      throw new EveryonceError('too_large', undefined, { id, conv });
    const sent = outbox.append(message).then((entry) => {
      const promise = this.#sender.add(entry).promise();
      if (this.#closed) this.#sender.stop(new EveryonceError('CLOSED'));
      return promise;
    });
    this.#appending.set(id, sent);
    const forget = () => void this.#appending.delete(id);
    sent.then(forget, forget);
    return sent;
  }

  /**
   * Several messages that are stored together or not at all. Not in this version.
   * @param {string} conv
   * @param {unknown[]} _bodies
   * @returns {Promise<Sent[]>}
   */
  async sendPackage(conv, _bodies) {
    throw new EveryonceError('UNSUPPORTED', 'packages are not sent by this version', { conv });
  }

  /** What waits for the server, in order within each conversation; empty until the outbox is open. @returns {Outgoing[]} */
  outbox() {
    return this.#sender
      .all()
      .filter((send) => !send.entry.skip)
      .map(outgoing);
  }

  /**
   * Offers an unconfirmed message now.
   * @param {string} id
   * @returns {Promise<Sent>} as send()
   */
  async retry(id) {
    return this.#sender.retry(this.#find(id));
  }

  /**
   * Takes a message back, if the server has not stored it.
   * @param {string} id
   * @returns {Promise<void>} rejects with `ALREADY_ACCEPTED`; or `TIMEOUT`, where the server could not be asked
   */
  async discard(id) {
    await this.#sender.discard(this.#find(id));
  }

  /** @param {string} id @returns {Send} */
  #find(id) {
    const send = this.#sender.find(id);
    if (!send || send.entry.skip) throw new EveryonceError('NOT_FOUND', undefined, { id });
    return send;
  }

  /** @param {Send} send @param {EveryonceError} [error] */
  #onChanged(send, error) {
    if (!send.entry.skip || send.status === 'rejected')
      this.emit('outbox', { ...outgoing(send), ...(error ? { error } : {}) });
  }

  // Receiving and asking

  /** What is known of each conversation. */
  conversations() {
    return this.#receiver.conversations();
  }

  /**
   * Pages of what this device missed, for `backlog: 'manual'`.
   * @param {import('./backlog.js').OfflineOptions} [options]
   */
  offline(options = {}) {
    if (options.conv !== undefined) checkConversation(options.conv);
    return offlinePages(
      {
        ask: (question) => this.#ask(question),
        taken: (page) => this.#receiver.pageTaken(page),
        finished: (conv) => this.#receiver.backlogTaken(conv),
      },
      options,
    );
  }

  /**
   * How much is unread, over all conversations, without pulling it.
   * @returns {Promise<{ total: number, convs: { conv: string, epoch: number, unread: number, head: number, got: number }[] }>}
   */
  async counts() {
    const convs = [];
    for (;;) {
      const after = convs.at(-1)?.conv;
      const answer = await this.#ask({ t: 'counts', ...(after === undefined ? {} : { after }) });
      convs.push(...answer.convs);
      if (!answer.more || answer.convs.length === 0) return { total: answer.total, convs };
    }
  }

  /**
   * Reads back; acks nothing.
   * @param {string} conv
   * @param {{ before?: number, after?: number, limit?: number }} [options]
   * @returns {Promise<{ items: Message[], more: boolean }>} ascending by seq
   */
  async history(conv, { before, after, limit = 50 } = {}) {
    checkConversation(conv);
    const range = { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
    const page = await this.#ask({ t: 'history', conv, limit, ...range });
    return {
      items: page.items.filter((/** @type {Packet} */ item) => item.t === 'msg').map(messageOf),
      more: page.more === true,
    };
  }

  /** The user has read the conversation up to `seq`; told to the server now or when it is back. @param {string} conv @param {number} seq */
  read(conv, seq) {
    checkConversation(conv);
    checkSeq(seq, 'seq');
    this.#receiver.read(conv, seq);
  }

  /**
   * Something of the moment, like typing: to members who are online, not stored.
   * @param {string} conv
   * @param {unknown} body
   * @returns {boolean} false where it was dropped, because there is no connection
   */
  signal(conv, body) {
    checkConversation(conv);
    textOf(body);
    return this.#transport.writable && this.#write({ t: 'signal', conv, body }, true);
  }

  /**
   * @param {string} conv `g:NAME`
   * @param {string[]} members
   * @param {{ history?: 'all' }} [options] `all`: who joins later sees everything
   */
  async createConversation(conv, members, { history } = {}) {
    await this.#askMembers('create', conv, members, history === undefined ? {} : { history });
  }

  /** @param {string} conv @param {string[]} members */
  async addMembers(conv, members) {
    await this.#askMembers('add', conv, members);
  }

  /** @param {string} conv @param {string[]} members */
  async removeMembers(conv, members) {
    await this.#askMembers('remove', conv, members);
  }

  /** @param {string} conv */
  async leave(conv) {
    check(isGroup(conv), 'conv', conv, 'g:NAME');
    await this.#ask({ t: 'leave', conv });
  }

  /** @param {string} t @param {string} conv @param {string[]} members @param {Record<string, unknown>} [more] */
  async #askMembers(t, conv, members, more = {}) {
    check(isGroup(conv), 'conv', conv, 'g:NAME');
    const good = Array.isArray(members) && members.length <= LIMITS.members && members.every(isUser);
    check(good, 'members', members, `at most ${LIMITS.members} user ids`);
    await this.#ask({ t, conv, members, ...more });
  }

  /** What the client's own rules ask: an answer on this connection, or none. @param {Packet} question @returns {Promise<Packet>} */
  async #askNow(question) {
    const { connection } = this.#transport;
    try {
      return await this.#requests.ask(question, { timeoutMs: ANSWER_MS });
    } catch (error) {
      const silent =
        error instanceof EveryonceError && error.code === 'TIMEOUT' && connection === this.#transport.connection;
      if (silent && this.state === 'online') this.#transport.restart(error.message);
      throw error;
    }
  }

  /** What the application asks: over as many connections as it takes. @param {Packet} question @returns {Promise<Packet>} */
  #ask(question) {
    if (this.#closed) return Promise.reject(new EveryonceError('CLOSED'));
    return this.#requests.ask(question, { sticky: true });
  }
}

/** @param {unknown} body @returns {string} */
function textOf(body) {
  let text;
  try {
    text = JSON.stringify(body);
  } catch (cause) {
    throw new EveryonceError('INVALID_ARGUMENT', 'body must be a JSON value', { field: 'body', cause });
  }
  check(text !== undefined, 'body', body, 'a JSON value');
  return text;
}

/** @param {Send} send @returns {Outgoing} */
function outgoing({ entry, status, attempts }) {
  const { id, conv, type = 'text', bodyText, at } = entry;
  return { id, conv, state: status, attempts, type, body: bodyText === '' ? null : JSON.parse(bodyText), at };
}
