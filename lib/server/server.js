// createServer: one engine on one store, its sockets, and what an application calls.

import { EventEmitter } from 'node:events';
import { CLOSE } from '../protocol/constants.js';
import { SERVER_CODES } from '../protocol/codes.js';
import { EveryonceError, errorOf } from '../protocol/errors.js';
import { Authorization } from './authorize.js';
import { dispatch } from './batch.js';
import { changeMembers, counts, createConversation, history, issueTokens, publish, pull } from './calls.js';
import { Connections } from './connections.js';
import { Control } from './control.js';
import { DEFAULTS, DRAIN, EDGE } from './defaults.js';
import { Feeds } from './feeds.js';
import { HttpCalls } from './http-calls.js';
import { HttpEndpoints } from './http.js';
import { listen, makeHttpServer, stopListening } from './listen.js';
import { Metrics } from './metrics.js';
import { mount } from './mount.js';
import { STORE_OF, loadAddon } from './native.js';
import { need, readOptions } from './options.js';
import { isLoopbackHost } from './origin.js';
import { Readiness } from './readiness.js';
import { Requests } from './requests.js';
import { Wheel } from './wheel.js';
import { WsEdge } from './ws-edge.js';

/**
 * @typedef {import('./options.js').ServerOptions} ServerOptions
 * @typedef {import('node:net').AddressInfo} AddressInfo
 */

/** Codes that the addon throws when it can't open a store. */
const STORE_CODES = /^STORE_[A-Z]+$/;

/**
 * Opens the store and makes a server for it. Nothing listens yet: attach it to an http server, or let it listen.
 *
 * @param {ServerOptions} [options]
 * @returns {Server}
 * @throws {EveryonceError} BAD_OPTION, UNSUPPORTED (`option`); STORE_LOCKED, STORE_UNWRITABLE, STORE_VERSION,
 *   STORE_CORRUPT (`data`); ADDON_MISSING
 */
export function createServer(options) {
  return new Server(readOptions(options), loadAddon().Engine);
}

/**
 * Events: `message` (m), `connect` ({ user, device }), `disconnect` ({ user, device }), `error` (EveryonceError; only
 * logged where nobody listens).
 */
export class Server extends EventEmitter {
  #settings;
  #engine;
  #wheel = new Wheel(EDGE.wheelSlotMs);
  #metrics;
  #connections;
  #edge;
  #requests;
  #feeds;
  /** @type {Authorization | undefined} */
  #authorization;
  /** What `everyonce backup` and `inspect` ask; none where the store is in memory. @type {Control | undefined} */
  #control;
  #readiness;
  #httpCalls;
  /** @type {(() => void)[]} */
  #unmounts = [];
  /** @type {import('node:http').Server | undefined} */
  #own;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** The engine's counters when it stopped. @type {Record<string, any> | undefined} */
  #lastStats;
  /** @type {() => void} */
  #whenStopped = () => {};
  /** @type {Promise<boolean>} */
  #stopped = new Promise((resolve) => (this.#whenStopped = () => resolve(true)));

  /**
   * Use createServer.
   *
   * @param {import('./options.js').Settings} settings
   * @param {import('./native.js').EngineConstructor} Engine
   */
  constructor(settings, Engine) {
    super();
    this.#settings = settings;
    this.#engine = this.#open(Engine);
    this.#requests = new Requests((id, user, packet, device, forClient) =>
      this.#engine.request(id, user, packet, device, forClient),
    );
    this.#feeds = new Feeds(
      (call) => this.#requests.run((id) => this.#engine.feed(id, call), { group: call.group }),
      (error) => this.#fault(error),
    );
    this.#readiness = new Readiness(this.#requests);
    this.#httpCalls = new HttpCalls({
      settings,
      requests: this.#requests,
      isClosing: () => this.#closing !== undefined,
      clockMs: () => this.#wheel.clockMs(),
      fault: (error) => this.#fault(error),
    });
    this.#authorization =
      settings.authorize &&
      new Authorization(
        settings.authorize,
        (question, allowed) => this.#engine.authorized(question, allowed),
        (error) => this.#fault(error),
      );
    this.#metrics = new Metrics({
      stats: () => this.#counters(),
      connections: () => this.#connections.size,
      inboxBytes: () => this.#connections.inboxBytes,
      requests: () => this.#requests.size,
      feeds: this.#feeds,
    });
    this.#connections = new Connections({
      authenticate: settings.authenticate,
      perUser: settings.limits.perUser,
      userConnects: settings.limits.userConnects,
      wheel: this.#wheel,
      metrics: this.#metrics,
      fault: (error) => this.#fault(error),
      refused: (who) => settings.logger.debug(who, 'everyonce: not authenticated'),
    });
    this.#edge = new WsEdge(settings, this.#connections, this.#wheel);
    this.#connections.connect(this.#engine);
    // The engine writes messages out for the application only where somebody listens.
    this.on('newListener', (event) => {
      if (event === 'message') this.#engine.setEvents(true);
    });
    this.on('removeListener', (event) => {
      if (event === 'message' && this.listenerCount('message') === 0) this.#engine.setEvents(false);
    });
    settings.archive?.attach(this, (error) => this.#fault(errorFrom(error)));
    this.#wheel.start();
    this.#control = this.#openControl();
  }

  /**
   * Serves WebSockets at `path` and HTTP below it on an http server that may have other uses. Attach after the
   * application's own `request` listeners are there.
   *
   * @param {import('./mount.js').HttpServer} httpServer
   * @param {{ path?: string }} [options]
   * @returns {this}
   */
  attach(httpServer, { path = DEFAULTS.path } = {}) {
    this.#needOpen();
    need(typeof httpServer?.on === 'function', 'httpServer', httpServer, 'an http.Server or https.Server');
    const isPath = typeof path === 'string' && (path === '/' || /^(\/[A-Za-z0-9_.~-]+)+$/.test(path));
    need(isPath, 'path', path, 'a path like /everyonce');
    const endpoints = new HttpEndpoints(path === '/' ? '' : path, {
      health: async () => (this.#closing ? 'closing' : this.#readiness.check()),
      calls: this.#httpCalls,
      metrics: () => this.metrics(),
      metricsType: () => this.#metrics.contentType,
    });
    this.#unmounts.push(mount(httpServer, endpoints, this.#edge));
    return this;
  }

  /**
   * Listens by itself, with an http server of its own.
   *
   * @param {number} port 0: any that is free
   * @param {string} [host] default: this machine only
   * @param {{ path?: string }} [options]
   * @returns {Promise<AddressInfo>} when connections are accepted
   * @throws {EveryonceError} EADDRINUSE and its like; the server is to be closed, or may try another port
   */
  async listen(port, host = DEFAULTS.host, { path } = {}) {
    this.#needOpen();
    need(Number.isInteger(port) && port >= 0 && port <= 65_535, 'port', port, 'an integer from 0 to 65535');
    need(typeof host === 'string' && host !== '', 'host', host, 'a name or an address');
    need(!this.#own, 'port', port, 'listened on once: this server listens already');
    const isSafe = !this.#settings.loopbackOnly || isLoopbackHost(host);
    need(
      isSafe,
      'insecure',
      undefined,
      `left out where others can connect (${host}): use a loopback host or real tokens`,
    );
    const own = makeHttpServer();
    this.attach(own, { path });
    this.#own = own;
    try {
      // Whoever sees it listen may ask it for a backup; where it can't be asked, that is told already.
      await this.#control?.open().catch(() => {});
      this.#needOpen();
      return await listen(own, port, host);
    } catch (error) {
      this.#own = undefined;
      this.#unmounts.pop()?.();
      throw error;
    }
  }

  /**
   * Stores a message in a user's name and delivers it: once for each (conv, from, id), however often it is called.
   *
   * @param {import('./calls.js').Publication} publication
   * @returns {Promise<import('./calls.js').Published>} when it is as durable as the server makes it
   */
  async publish(publication) {
    this.#needOpen();
    return publish(this.#requests, publication);
  }

  /** @param {import('./calls.js').NewConversation} conversation calling again with the same is fine */
  async createConversation(conversation) {
    this.#needOpen();
    await createConversation(this.#requests, conversation);
  }

  /**
   * @param {string} conv
   * @param {string[]} users
   */
  async addMembers(conv, users) {
    this.#needOpen();
    await changeMembers(this.#requests, 'add', conv, users);
  }

  /**
   * @param {string} conv
   * @param {string[]} users
   */
  async removeMembers(conv, users) {
    this.#needOpen();
    await changeMembers(this.#requests, 'remove', conv, users);
  }

  /**
   * Reads back, everything that the conversation holds: with `after` the oldest above it, else the newest below `before`.
   *
   * @param {string} conv
   * @param {import('./calls.js').HistoryRange} [range]
   */
  async history(conv, range = {}) {
    this.#needOpen();
    return history(this.#requests, conv, range);
  }

  /**
   * What waits for a device: unread messages over all, and each conversation.
   *
   * @param {string} user
   * @param {string} device
   */
  async counts(user, device) {
    this.#needOpen();
    return counts(this.#requests, user, device);
  }

  /**
   * A page of what a device has not acked, for who brings messages to devices by other ways. `next` acks the page before.
   *
   * @param {string} user
   * @param {string} device
   * @param {import('./calls.js').PullPage} [page]
   */
  async pull(user, device, page = {}) {
    this.#needOpen();
    return pull(this.#requests, user, device, page);
  }

  /**
   * Tokens for messages of a user: ids that are good for one message each, for `dedup.tokenTtlMs`. Nothing is stored for
   * them until they are used.
   *
   * @param {string} user
   * @param {number} count 1 to 100000
   * @returns {Promise<string[]>}
   * @throws {EveryonceError} UNSUPPORTED where `dedup.tokens` is 'off'; INVALID_ARGUMENT (`field`); CLOSED
   */
  async issueTokens(user, count) {
    this.#needOpen();
    if (this.#settings.tokens === 'off') throw new EveryonceError('UNSUPPORTED', "dedup.tokens is 'off'", { option: 'dedup.tokens' }); // prettier-ignore
    return issueTokens(this.#requests, user, count);
  }

  /**
   * For primitives whose `store` is this server: the same Redis, where it is on one.
   * @returns {import('./native.js').StoreSource | { redis: import('../primitives/redis/store.js').RedisPlace }}
   */
  [STORE_OF]() {
    this.#needOpen();
    const { redis } = this.#settings;
    if (!redis) return { engine: this.#engine };
    const { nodes, cluster, tls } = redis;
    return { redis: { nodes, cluster, ...(tls && { tls }) } };
  }

  /**
   * Consumer groups: `Consumer` of everyonce/idempotency reads them; `list()` and `drop(group)` are for who looks after them.
   */
  get feeds() {
    return this.#feeds;
  }

  /** Counters since the start, the engine's and the server's. */
  stats() {
    return { ...this.#counters(), connections: this.#connections.size, requests: this.#requests.size };
  }

  /** @returns {Promise<string>} Prometheus text */
  metrics() {
    return this.#metrics.text();
  }

  /**
   * Goes down in order: tells clients to reconnect, gives them a moment, finishes what was taken, closes the store, closes
   * the rest with 1012. Calling again waits for the same.
   *
   * @returns {Promise<void>}
   */
  close() {
    return (this.#closing ??= this.#close());
  }

  async #close() {
    this.#edge.stopAccepting();
    const own = this.#own && stopListening(this.#own);
    if (this.#connections.size > 0) {
      this.#engine.drain(DRAIN.afterMs);
      await this.#edge.idle(DRAIN.waitMs);
    }
    this.#connections.disconnect();
    await Promise.race([this.#feeds.close(), after(DRAIN.stopMs)]);
    // Where the store hangs, what was asked of it is not waited for.
    await Promise.race([this.#control?.close(), after(DRAIN.stopMs)]);
    this.#lastStats = this.#engine.stats();
    this.#engine.stop();
    // The last answers are written while the engine stops, so the sockets are closed after it.
    const isStopped = await Promise.race([this.#stopped, after(DRAIN.stopMs)]);
    this.#edge.closeAll(CLOSE.restart);
    await this.#edge.emptied(EDGE.closeTimeoutMs);
    this.#requests.abandon();
    for (const unmount of this.#unmounts.splice(0)) unmount();
    await own?.finish();
    this.#wheel.stop();
    this.#metrics.stop();
    if (!isStopped) throw new EveryonceError('STORE_STUCK', `the store did not close within ${DRAIN.stopMs} ms`);
  }

  /** A server that can't be asked serves all the same. */
  #openControl() {
    const { data, logger } = this.#settings;
    if (data === null) return undefined;
    const store = {
      inspect: (/** @type {string | null} */ conv, /** @type {string | number} */ after, /** @type {number} */ limit) =>
        this.#requests.run((id) => this.#engine.inspect(id, conv, after, limit), { conv }),
      checkpoint: (/** @type {string} */ dir) => this.#requests.run((id) => this.#engine.checkpoint(id, dir), { data }),
      feeds: this.#feeds,
    };
    const warn = (/** @type {Error} */ error) => logger.warn({ err: error }, `everyonce: ${error.message}`);
    const control = new Control(data, store, warn);
    control.open().catch(warn);
    return control;
  }

  /** @param {import('./native.js').EngineConstructor} Engine */
  #open(Engine) {
    const { data, redis, fsync, restored, node, limits, dedupWindowMs } = this.#settings;
    const { tokens, tokenTtlMs, tokenKey, retention, logger } = this.#settings;
    const { frame, body, window, page, rate, userRate, addressRate, packageTimeout } = limits;
    const engineLimits = { frame, body, window, page, rate, userRate, addressRate, packageTimeout };
    const dedup = { dedupWindowMs, tokens, tokenTtlMs, tokenKey };
    const options = { data, redis, fsync, restored, node, limits: engineLimits, ...dedup, retention };
    try {
      const authorize = this.#settings.authorize !== undefined;
      const archive = this.#settings.archive?.group ?? this.#settings.archive !== undefined;
      const engine = new Engine({ ...options, authorize, archive, events: { message: false } }, (bytes, index) =>
        this.#received(bytes, index),
      );
      for (const warning of engine.warnings()) logger.warn({ redis: true }, `everyonce: ${warning}`);
      return engine;
    } catch (cause) {
      const { code = '', message, field = '' } = /** @type {NodeJS.ErrnoException & { field?: string }} */ (cause);
      if (redis !== null && Object.hasOwn(SERVER_CODES, code)) {
        throw new EveryonceError(code, message, { cause, option: field.startsWith('redis.') ? field : 'redis' });
      }
      if (STORE_CODES.test(code)) throw new EveryonceError(code, message, { cause, data, option: 'data' });
      throw cause;
    }
  }

  /**
   * @param {Buffer} bytes
   * @param {Uint32Array} index
   */
  #received(bytes, index) {
    dispatch(bytes, index, this.#receiver);
  }

  /** @type {import('./batch.js').BatchReceiver} */
  #receiver = {
    write: (id, frames) => this.#connections.write(id, frames),
    close: (id, code) => this.#connections.close(id, code),
    authenticate: (id, hello) => void this.#connections.authenticate(id, hello),
    authorize: (question, asked) => void this.#authorization?.ask(question, asked),
    answer: (id, packet) => this.#requests.answer(id, packet),
    event: (event) => this.#tell(event),
    wantsMessages: () => this.listenerCount('message') > 0,
    archive: (question, holes) => void this.#readArchive(question, holes),
    drained: () => this.#connections.drained(),
    stopped: () => this.#whenStopped(),
  };

  /**
   * @param {number} question
   * @param {[string, number, number, number][]} holes
   */
  async #readArchive(question, holes) {
    let texts = null;
    try {
      texts = (await this.#settings.archive?.fill(holes)) ?? null;
    } catch (error) {
      this.#fault(errorFrom(error));
    }
    this.#engine.archived(question, texts);
  }

  /** @param {Record<string, any> & { event: string }} record */
  #tell({ event, ...about }) {
    if (event === 'error') {
      this.#fault(errorOf(about));
      return;
    }
    if (event === 'feed') {
      this.#feeds.news(about.group);
      return;
    }
    if (this.listenerCount(event) === 0) return;
    const told = event === 'message' ? withoutType(about.message) : { user: about.user, device: about.device };
    // Not from here: what a listener throws would take the rest of the batch with it.
    process.nextTick(() => this.emit(event, told));
  }

  /** @param {EveryonceError} error that no call can be given */
  #fault(error) {
    this.#settings.logger.error({ err: error }, `everyonce: ${error.message}`);
    if (this.listenerCount('error') > 0) process.nextTick(() => this.emit('error', error));
  }

  #counters() {
    return this.#lastStats ?? this.#engine.stats();
  }

  #needOpen() {
    if (this.#closing) throw new EveryonceError('CLOSED', 'the server is closed');
  }
}

/** @param {unknown} error of the archive @returns {EveryonceError} */
function errorFrom(error) {
  if (error instanceof EveryonceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new EveryonceError('unavailable', `The archive: ${reason}`, { cause: error });
}

/** @param {Record<string, any>} packet a `msg` */
function withoutType({ t: _t, ...message }) {
  return message;
}

/**
 * @param {number} ms
 * @returns {Promise<false>}
 */
function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}
