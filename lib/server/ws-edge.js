// The edge on the `ws` package: upgrades, and who may have one.

import { WebSocketServer } from 'ws';
import { CLOSE, SUBPROTOCOL } from '../protocol/constants.js';
import { clientAddress } from './address.js';
import { EDGE } from './defaults.js';
import { isLoopbackAddress, isLoopbackHost, isOriginAllowed } from './origin.js';
import { Rates } from './rates.js';
import { Shares } from './shares.js';
import { WsConnection } from './ws-connection.js';

/**
 * @typedef {object} EdgeOptions
 * @property {{ frame: number, connections: number, perAddress?: number, addressConnects?: number, buffered: number }} limits
 *   bytes, sockets, sockets, sockets per second, bytes
 * @property {number} [trustProxy] proxies in front, see clientAddress
 * @property {ReadonlySet<string> | null} origins see isOriginAllowed
 * @property {boolean} loopbackOnly refuse whoever is not on this machine
 */

export class WsEdge {
  #server;
  #options;
  /** @type {Set<WsConnection>} */
  #connections = new Set();
  #addresses;
  #addressConnects;
  #open = true;
  /** @type {(() => void) | undefined} */
  #whenEmpty;

  /**
   * @param {EdgeOptions} options
   * @param {import('./edge.js').EdgeHandler} handler
   * @param {import('./wheel.js').Wheel} wheel
   */
  constructor(options, handler, wheel) {
    this.#options = options;
    this.handler = handler;
    this.wheel = wheel;
    this.bufferedBytes = options.limits.buffered;
    this.#addresses = new Shares(options.limits.perAddress ?? 0);
    this.#addressConnects = new Rates(options.limits.addressConnects ?? 0);
    /** @type {import('ws').ServerOptions & { closeTimeout: number }} its types lag behind */
    const wsOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.limits.frame,
      skipUTF8Validation: false,
      closeTimeout: EDGE.closeTimeoutMs,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    };
    this.#server = new WebSocketServer(wsOptions);
  }

  /** Sockets that are open or closing. */
  get size() {
    return this.#connections.size;
  }

  /**
   * Answers an `upgrade` event for the server's path.
   *
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:net').Socket} socket
   * @param {Buffer} head
   */
  upgrade(request, socket, head) {
    const refusal = this.#refusal(request, socket);
    if (refusal !== 0) {
      refuseUpgrade(socket, refusal);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      const address = clientAddress(request.headers, socket.remoteAddress, this.#options.trustProxy ?? 0);
      const waitMs = this.#addressConnects.take(address, this.wheel.clockMs());
      const isFull = this.#connections.size >= this.#options.limits.connections;
      if (waitMs > 0 || isFull || !this.#addresses.take(address)) {
        ws.on('error', () => {});
        if (waitMs > 0) ws.close(CLOSE.rateLimited, `too many new connections of this address, again in ${waitMs} ms`);
        else ws.close(CLOSE.overloaded);
        return;
      }
      const connection = new WsConnection(ws, socket, this, address);
      this.#connections.add(connection);
      connection.open(request);
    });
  }

  /** @param {WsConnection} connection its socket is gone */
  forget(connection) {
    if (this.#connections.delete(connection)) this.#addresses.give(connection.remoteAddress);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /** Takes no more upgrades (503). */
  stopAccepting() {
    this.#open = false;
  }

  /**
   * @param {number} code close code for all who are still here
   */
  closeAll(code) {
    for (const connection of this.#connections) connection.close(code);
  }

  /**
   * Waits for all sockets to be gone; cuts those that still are there.
   *
   * @param {number} waitMs
   */
  async emptied(waitMs) {
    await this.idle(waitMs);
    for (const connection of [...this.#connections]) connection.terminate();
    // A destroyed socket says so in a later turn of the loop.
    await this.idle(EDGE.closeTimeoutMs);
  }

  /**
   * @param {number} waitMs
   * @returns {Promise<void>} when no socket is left, or the time is over
   */
  idle(waitMs) {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#whenEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:net').Socket} socket
   * @returns {number} HTTP status, 0: none
   */
  #refusal({ headers }, socket) {
    if (!this.#open) return 503;
    if (!isOriginAllowed(headers, this.#options.origins)) return 403;
    // A page elsewhere can give this machine's address a name of its own (DNS rebinding): then Host is that name.
    const isLocal = isLoopbackAddress(socket.remoteAddress) && isLoopbackHost(headers.host);
    if (this.#options.loopbackOnly && !isLocal) return 403;
    const offered = headers['sec-websocket-protocol'];
    if (offered !== undefined && !offered.split(',').some((name) => name.trim() === SUBPROTOCOL)) return 400;
    return 0;
  }
}

const REASONS = new Map([
  [400, `400 Bad Request\r\nX-Everyonce: the subprotocol is ${SUBPROTOCOL}`],
  [403, '403 Forbidden'],
  [404, '404 Not Found'],
  [503, '503 Service Unavailable\r\nRetry-After: 1'],
]);

/**
 * Answers an upgrade with an HTTP error and ends the socket.
 *
 * @param {import('node:stream').Duplex} socket
 * @param {number} status
 */
export function refuseUpgrade(socket, status) {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${REASONS.get(status)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
