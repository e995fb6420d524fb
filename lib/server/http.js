// HTTP beside the WebSocket: health, metrics, the browser's client; calls go on to http-calls.js.

import { clientFiles } from './client-files.js';

/**
 * @typedef {import('node:http').IncomingMessage} IncomingMessage
 * @typedef {import('node:http').ServerResponse} ServerResponse
 */

/**
 * @typedef {object} HttpSource
 * @property {() => Promise<import('./readiness.js').Health>} health whether messages are taken
 * @property {Pick<import('./http-calls.js').HttpCalls, 'owns' | 'handle'>} calls
 * @property {() => Promise<string>} metrics
 * @property {() => string} metricsType
 */

const PLAIN = { 'X-Content-Type-Options': 'nosniff' };

/** The endpoints below one path. */
export class HttpEndpoints {
  #source;
  #path;

  /**
   * @param {string} path without a slash at its end; '' for the root
   * @param {HttpSource} source
   */
  constructor(path, source) {
    this.#path = path;
    this.#source = source;
  }

  /**
   * @param {IncomingMessage} request
   * @returns {boolean} whether its path is the server's: this one or one below it
   */
  owns(request) {
    const path = pathOf(request);
    return path === (this.#path || '/') || path.startsWith(`${this.#path}/`);
  }

  /**
   * @param {IncomingMessage} request
   * @returns {boolean} whether its path is where WebSockets are opened
   */
  ownsUpgrade(request) {
    return pathOf(request) === (this.#path || '/');
  }

  /**
   * Answers a request that `owns` claimed.
   *
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  handle(request, response) {
    const name = pathOf(request).slice(this.#path.length + 1);
    if (this.#source.calls.owns(name)) {
      void this.#source.calls.handle(name, request, response);
      return;
    }
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const file = clientFiles().get(name);
    if (name !== '' && name !== 'healthz' && name !== 'metrics' && !file) {
      this.#fail(request, response, 404, 'not_found', 'there is nothing here');
    } else if (!isRead) {
      response.setHeader('Allow', 'GET, HEAD');
      this.#fail(request, response, 405, 'bad_request', 'GET or HEAD');
    } else if (name === '') {
      response.setHeader('Upgrade', 'websocket');
      this.#fail(request, response, 426, 'bad_request', 'this is a WebSocket: upgrade');
    } else if (name === 'healthz') {
      this.#health(request, response);
    } else if (name === 'metrics') {
      this.#metrics(request, response);
    } else if (file) {
      this.#file(request, response, file);
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  #health(request, response) {
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...PLAIN };
    void this.#source.health().then((status) => {
      send(request, response, status === 'ok' ? 200 : 503, headers, JSON.stringify({ status }));
    });
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  #metrics(request, response) {
    this.#source.metrics().then(
      (text) => {
        const headers = { 'Content-Type': this.#source.metricsType(), 'Cache-Control': 'no-store', ...PLAIN };
        send(request, response, 200, headers, text);
      },
      (error) => this.#fail(request, response, 500, 'unavailable', String(error)),
    );
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   * @param {import('./client-files.js').ClientFile} file
   */
  #file(request, response, { text, etag, immutable }) {
    const headers = {
      'Content-Type': 'text/javascript; charset=utf-8',
      'Cache-Control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      ETag: etag,
      // Public code: pages of any origin may import it; whether they may connect is decided at the upgrade.
      'Access-Control-Allow-Origin': '*',
      'Cross-Origin-Resource-Policy': 'cross-origin',
      ...PLAIN,
    };
    const known = request.headers['if-none-match']?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
    if (known) response.writeHead(304, headers).end();
    else send(request, response, 200, headers, text);
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  #fail(request, response, status, code, message) {
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...PLAIN };
    send(request, response, status, headers, JSON.stringify({ error: { code, message } }));
  }
}

/**
 * @param {IncomingMessage} request
 * @returns {string} without the query
 */
function pathOf({ url = '/' }) {
  const end = url.search(/[?#]/);
  return end < 0 ? url : url.slice(0, end);
}

/**
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 * @param {number} status
 * @param {import('node:http').OutgoingHttpHeaders} headers
 * @param {string} text
 */
function send(request, response, status, headers, text) {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) });
  response.end(request.method === 'HEAD' ? undefined : text);
}
