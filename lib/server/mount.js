// A server's place in an http server that may have other users: requests and upgrades below our path are ours, all else
// goes on to whoever else listens.

import { refuseUpgrade } from './ws-edge.js';

/**
 * @typedef {import('node:http').Server | import('node:https').Server} HttpServer
 * @typedef {import('./http.js').HttpEndpoints} HttpEndpoints
 */

/** Upgrade listeners of all everyonce servers, to know whether anybody else is there to answer. @type {WeakSet<Function>} */
const ours = new WeakSet();

/**
 * @param {HttpServer} httpServer listeners for `request` that it has by now get what is not ours
 * @param {HttpEndpoints} endpoints
 * @param {import('./ws-edge.js').WsEdge} edge
 * @returns {() => void} takes it off again
 */
export function mount(httpServer, endpoints, edge) {
  const others = /** @type {((...args: any[]) => void)[]} */ (httpServer.listeners('request'));
  /** @type {import('node:http').RequestListener} */
  const onRequest = (request, response) => {
    if (endpoints.owns(request)) endpoints.handle(request, response);
    else for (const other of others) other.call(httpServer, request, response);
  };
  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:stream').Duplex} socket
   * @param {Buffer} head
   */
  const onUpgrade = (request, socket, head) => {
    if (endpoints.ownsUpgrade(request)) {
      edge.upgrade(request, /** @type {import('node:net').Socket} */ (socket), head);
      return;
    }
    const listeners = httpServer.listeners('upgrade');
    // Node leaves the socket to the listeners: with none to answer it, it would hang.
    if (listeners.every((listener) => ours.has(listener)) && listeners.at(-1) === onUpgrade) refuseUpgrade(socket, 404);
  };
  ours.add(onUpgrade);
  httpServer.removeAllListeners('request');
  httpServer.on('request', onRequest);
  httpServer.on('upgrade', onUpgrade);
  return () => {
    httpServer.off('upgrade', onUpgrade);
    httpServer.off('request', onRequest);
    for (const other of others) httpServer.on('request', other);
  };
}
