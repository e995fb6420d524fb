// An http server of our own, for who has none.

import { createServer as createHttpServer } from 'node:http';
import { EveryonceError } from '../protocol/errors.js';
import { EDGE } from './defaults.js';

/**
 * @typedef {object} Listening
 * @property {import('node:http').Server} httpServer
 * @property {import('node:net').AddressInfo} address
 */

/**
 * Starts listening; resolves when connections are accepted.
 *
 * @param {import('node:http').Server} httpServer
 * @param {number} port 0: any free one
 * @param {string} host
 * @returns {Promise<import('node:net').AddressInfo>}
 * @throws {EveryonceError} with the system's code (EADDRINUSE, EACCES, ENOTFOUND …), `port` and `host`
 */
export async function listen(httpServer, port, host) {
  await new Promise((resolve, reject) => {
    /** @param {NodeJS.ErrnoException} cause */
    const onError = (cause) => {
      const code = cause.code ?? 'LISTEN_FAILED';
      const message = `can't listen on ${host}:${port}: ${WHY[code] ?? cause.message}`;
      reject(new EveryonceError(code, message, { cause, port, host, retryable: code === 'EADDRINUSE' }));
    };
    httpServer.once('error', onError);
    httpServer.listen(port, host, () => {
      httpServer.off('error', onError);
      resolve(undefined);
    });
  });
  return /** @type {import('node:net').AddressInfo} */ (httpServer.address());
}

/** @type {Record<string, string>} */
const WHY = {
  EADDRINUSE: 'the port is in use by another process',
  EACCES: 'this user may not open that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
};

/**
 * An http server that answers nothing by itself, and waits for nobody who sends a request letter by letter, or none.
 *
 * @param {{ headersMs?: number, requestMs?: number, checkEveryMs?: number }} [times] from the accepted connection to the end of
 *   the head, to the end of the request; how often that is looked at
 * @returns {import('node:http').Server}
 */
export function makeHttpServer({
  headersMs = EDGE.headersTimeoutMs,
  requestMs = EDGE.requestTimeoutMs,
  checkEveryMs = EDGE.requestCheckMs,
} = {}) {
  const times = { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: checkEveryMs };
  return createHttpServer(times, (_request, response) => {
    response.writeHead(404, { 'Content-Type': 'application/json' });
    response.end('{"error":{"code":"not_found","message":"there is nothing here"}}');
  });
}

/**
 * Stops listening and lets go of connections that only wait for another request.
 *
 * @param {import('node:http').Server} httpServer
 */
export function stopListening(httpServer) {
  const closed = new Promise((resolve) => httpServer.close(resolve));
  httpServer.closeIdleConnections();
  return {
    /** Cuts what is left. WebSockets are the edge's, not counted here. */
    async finish() {
      httpServer.closeAllConnections();
      await closed;
    },
  };
}
