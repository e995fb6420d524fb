// All open connections of one server: between the edge, which knows sockets, the engine, which knows packets, and the
// application, which knows who its users are.

import { CLOSE } from '../protocol/constants.js';
import { Connection, State } from './connection.js';
import { EDGE } from './defaults.js';
import { Pause } from './edge.js';
import { identify } from './identify.js';
import { Inbox } from './inbox.js';
import { bearerToken } from './origin.js';
import { Rates } from './rates.js';
import { Shares } from './shares.js';

/**
 * @typedef {import('./edge.js').EdgeConnection} EdgeConnection
 * @typedef {import('./native.js').Engine} Engine
 * @typedef {import('./authenticate.js').Authenticator} Authenticator
 * @typedef {import('node:http').IncomingMessage} IncomingMessage
 */

/**
 * @typedef {object} ConnectionsOptions
 * @property {Authenticator} authenticate
 * @property {number} [perUser] connections that a user may have at once; 0: no limit
 * @property {number} [userConnects] new connections of a user per second, averaged over 10 s; 0: no limit
 * @property {import('./wheel.js').Wheel} wheel
 * @property {import('./metrics.js').Metrics} metrics
 * @property {(error: import('../protocol/errors.js').EveryonceError) => void} fault what the application did wrong, for its `error` listeners
 * @property {(refused: { user?: string, device: string, reason: string }) => void} refused for the log
 */

/** @implements {EdgeHandler} */
export class Connections {
  /** @type {Map<number, Connection>} */
  #byId = new Map();
  /** @type {Set<Connection>} */
  #waiting = new Set();
  #lastId = 0;
  /** @type {Engine | undefined} */
  #engine;
  #inbox;
  #options;
  #users;
  #userConnects;
  /** The newest connection of each user's device. @type {Map<string, Connection>} */
  #byDevice = new Map();

  /** @param {ConnectionsOptions} options */
  constructor(options) {
    this.#options = options;
    this.#users = new Shares(options.perUser ?? 0);
    this.#userConnects = new Rates(options.userConnects ?? 0);
    this.#inbox = new Inbox({
      submit: (bytes, index, count) => this.#engine?.submit(bytes, index, count) ?? count,
      pauseAll: () => this.#pauseAll(),
      resumed: () => this.#resumeWaiting(),
    });
  }

  /** @param {Engine} engine to which all goes from now on */
  connect(engine) {
    this.#engine = engine;
  }

  /** Hands over what was received; nothing goes to the engine after this. */
  disconnect() {
    this.#inbox.flush();
    this.#inbox.stop();
    this.#engine = undefined;
  }

  /** Connections that are open. */
  get size() {
    return this.#byId.size;
  }

  /** Bytes of received frames that the engine has not taken. */
  get inboxBytes() {
    return this.#inbox.bytes;
  }

  // What the edge calls.

  /**
   * @param {EdgeConnection} edge
   * @param {IncomingMessage} request
   * @returns {number}
   */
  opened(edge, request) {
    const id = this.#nextId();
    const connection = new Connection(id, edge, request, (expired, code) => this.#expired(expired, code));
    this.#byId.set(id, connection);
    this.#engine?.open(id, edge.remoteAddress);
    connection.expect(this.#options.wheel, EDGE.helloTimeoutMs, CLOSE.noHello);
    return id;
  }

  /**
   * @param {number} id
   * @param {Uint8Array} frame
   */
  frame(id, frame) {
    this.#options.metrics.received(frame.length);
    if (this.#inbox.push(id, frame)) return;
    const connection = this.#byId.get(id);
    if (connection) this.#wait(connection);
  }

  /**
   * @param {number} id
   * @param {boolean} lagging
   */
  lagging(id, lagging) {
    this.#engine?.lagging(id, lagging);
  }

  /**
   * @param {number} id
   * @param {number} code
   */
  closed(id, code) {
    const connection = this.#byId.get(id);
    if (!connection) return;
    this.#byId.delete(id);
    this.#waiting.delete(connection);
    this.#options.metrics.closed(code);
    connection.state = State.CLOSED;
    this.#giveShare(connection);
    if (connection.deviceKey && this.#byDevice.get(connection.deviceKey) === connection) {
      this.#byDevice.delete(connection.deviceKey);
    }
    connection.request = undefined;
    // What it sent before it went has arrived: it counts.
    if (this.#inbox.frames > 0) this.#inbox.flush();
    this.#engine?.close(id);
  }

  /** @param {Connection} connection gives back its part of its user's connections, once */
  #giveShare(connection) {
    if (connection.user !== undefined) this.#users.give(connection.user);
    connection.user = undefined;
  }

  // What the engine's records mean.

  /**
   * @param {number} id
   * @param {Buffer} frames
   */
  write(id, frames) {
    const connection = this.#byId.get(id);
    if (!connection) return;
    this.#options.metrics.wrote(frames.length);
    connection.edge.write(frames, true);
  }

  /**
   * @param {number} id
   * @param {number} code
   */
  close(id, code) {
    this.#byId.get(id)?.edge.close(code);
  }

  /** The engine takes frames again. */
  drained() {
    this.#inbox.drained();
  }

  /**
   * A hello waits for the answer to: who is this?
   *
   * @param {number} id
   * @param {{ token: string | null, device: string }} hello
   * @returns {Promise<void>} for tests; never rejects
   */
  async authenticate(id, { token, device }) {
    const connection = this.#byId.get(id);
    if (!connection || connection.state !== State.NEW || !connection.request) return;
    const { request } = connection;
    connection.state = State.AUTHENTICATING;
    connection.edge.pause(Pause.AUTHENTICATE);
    connection.expect(this.#options.wheel, EDGE.authenticateTimeoutMs, CLOSE.notAuthenticated);
    let identity;
    try {
      const asked = { request, token: token ?? bearerToken(request.headers), device };
      identity = await identify(this.#options.authenticate, asked, this.#options.fault);
    } catch (error) {
      this.#refuse(connection, device, error);
      return;
    }
    if (connection.state === State.AUTHENTICATING) this.#accept(connection, device, identity);
  }

  /**
   * @param {Connection} connection
   * @param {string} device
   * @param {import('./authenticate.js').Identity} identity
   */
  #accept(connection, device, { user, expiresAt }) {
    const waitMs = this.#userConnects.take(user, this.#options.wheel.clockMs());
    if (waitMs > 0) {
      connection.edge.close(CLOSE.rateLimited, `too many new connections of this user, again in ${waitMs} ms`);
      return;
    }
    // The engine will close the device's older connection (4409): its share is this one's, also at the limit.
    const key = `${user} ${device}`;
    const older = this.#byDevice.get(key);
    if (older) this.#giveShare(older);
    if (!this.#users.take(user)) {
      connection.edge.close(CLOSE.overloaded);
      return;
    }
    connection.state = State.ACCEPTED;
    connection.user = user;
    connection.deviceKey = key;
    this.#byDevice.set(key, connection);
    connection.request = undefined;
    connection.expectNothing();
    this.#engine?.accept(connection.id, user);
    if (expiresAt !== undefined) {
      connection.expect(this.#options.wheel, Math.max(0, expiresAt - Date.now()), CLOSE.notAuthenticated);
    }
    connection.edge.resume(Pause.AUTHENTICATE);
  }

  /**
   * @param {Connection} connection
   * @param {string} device
   * @param {unknown} error
   */
  #refuse(connection, device, error) {
    this.#options.refused({ device, reason: error instanceof Error ? error.message : String(error) });
    connection.edge.close(CLOSE.notAuthenticated);
  }

  /**
   * @param {Connection} connection
   * @param {number} code
   */
  #expired(connection, code) {
    if (code === CLOSE.noHello && connection.edge.isPaused) {
      // Its hello may lie in the socket that we do not read.
      connection.expect(this.#options.wheel, EDGE.helloTimeoutMs, code);
      return;
    }
    connection.edge.close(code);
  }

  #nextId() {
    do this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    while (this.#byId.has(this.#lastId));
    return this.#lastId;
  }

  /** @param {Connection} connection */
  #wait(connection) {
    if (this.#waiting.has(connection)) return;
    this.#waiting.add(connection);
    connection.edge.pause(Pause.INBOX);
  }

  #pauseAll() {
    for (const connection of this.#byId.values()) this.#wait(connection);
  }

  #resumeWaiting() {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const connection of waiting) connection.edge.resume(Pause.INBOX);
  }
}

/** @typedef {import('./edge.js').EdgeHandler} EdgeHandler */
