// What programs that are not in Node ask over HTTP: publish, and who is in a conversation. A request says who it is by
// `Authorization: Bearer`: the service key, which may act for everybody, or a user's own token.

import { createHash, timingSafeEqual } from 'node:crypto';
import { isMessageId, isUser } from '../protocol/identifiers.js';
import { LIMITS as PROTOCOL } from '../protocol/constants.js';
import { changeMembers, createConversation, issueTokens, publish } from './calls.js';
import { clientAddress } from './address.js';
import { EDGE } from './defaults.js';
import { drop, readJson } from './http-body.js';
import { HttpError, httpErrorOf } from './http-error.js';
import { identify } from './identify.js';
import { memberText } from './json-member.js';
import { bearerToken, isLoopbackAddress, isLoopbackHost, isOriginAllowed } from './origin.js';
import { Rates } from './rates.js';

/**
 * @typedef {import('node:http').IncomingMessage} IncomingMessage
 * @typedef {import('node:http').ServerResponse} ServerResponse
 * @typedef {import('./requests.js').Requests} Requests
 */

/**
 * @typedef {object} HttpCallsOptions
 * @property {Pick<import('./options.js').Settings, 'authenticate' | 'serviceKey' | 'origins' | 'loopbackOnly' | 'limits' | 'tokens' | 'trustProxy'>} settings
 * @property {Requests} requests
 * @property {() => boolean} isClosing
 * @property {() => number} clockMs does not go back
 * @property {(error: import('../protocol/errors.js').EveryonceError) => void} fault for mistakes of the `authenticate` hook
 */

/** Who asks: a user, or with `user` undefined whoever holds the service key. @typedef {{ user: string | undefined }} Caller */

/** @typedef {{ methods: readonly string[], answer: (request: IncomingMessage, caller: Caller, conv: string) => Promise<object> }} Route */

const MAX_KEY_CHARACTERS = 255;
/** So many tokens cost what one request does, as in the engine. */
const TOKENS_PER_RATE = 100;
const OK = Object.freeze({ ok: true });

export class HttpCalls {
  #options;
  #keyHash;
  #byAddress;
  #byUser;
  /** Keys of publications whose answer is not there yet. @type {Set<string>} */
  #inProgress = new Set();

  /** @param {HttpCallsOptions} options */
  constructor(options) {
    const { serviceKey, limits } = options.settings;
    this.#options = options;
    this.#keyHash = serviceKey === undefined ? undefined : sha256(serviceKey);
    this.#byAddress = new Rates(limits.rate * EDGE.addressRateFactor);
    this.#byUser = new Rates(limits.rate);
  }

  /**
   * @param {string} name the path below the server's own
   * @returns {boolean} whether it is one of these calls
   */
  owns(name) {
    return this.#route(name) !== undefined;
  }

  /**
   * Answers a request that `owns` claimed. Never rejects.
   *
   * @param {string} name
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async handle(name, request, response) {
    let status = 200;
    let headers = {};
    let answer;
    try {
      answer = await this.#answer(name, request);
    } catch (error) {
      const refusal = httpErrorOf(error);
      ({ status, headers } = refusal);
      answer = { error: { code: refusal.code, message: refusal.message } };
    }
    if (response.destroyed) return;
    const text = JSON.stringify(answer);
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Content-Length': Buffer.byteLength(text),
      ...headers,
    });
    response.end(text);
    drop(request, EDGE.closeTimeoutMs);
  }

  /**
   * @param {string} name
   * @param {IncomingMessage} request
   * @returns {Promise<object>}
   */
  async #answer(name, request) {
    const { methods, answer, conv } = /** @type {Route & { conv: string }} */ (this.#route(name));
    if (!methods.includes(request.method ?? '')) {
      throw new HttpError(405, 'bad_request', methods.join(' or '), { headers: { Allow: methods.join(', ') } });
    }
    if (this.#options.isClosing()) throw new HttpError(503, 'unavailable', 'the server closes', { retryMs: 1000 });
    const caller = await this.#callerOf(request);
    return answer(request, caller, conv);
  }

  /**
   * @param {string} name
   * @returns {(Route & { conv: string }) | undefined}
   */
  #route(name) {
    if (name === 'publish') return { ...this.#routes.publish, conv: '' };
    if (name === 'tokens') return { ...this.#routes.tokens, conv: '' };
    if (name === 'conversations') return { ...this.#routes.conversations, conv: '' };
    const conv = /^conversations\/([^/]+)\/members$/.exec(name)?.[1];
    return conv === undefined ? undefined : { ...this.#routes.members, conv };
  }

  /** @type {Record<'publish' | 'tokens' | 'conversations' | 'members', Route>} */
  #routes = {
    publish: { methods: ['POST'], answer: (request, caller) => this.#publish(request, caller) },
    tokens: { methods: ['POST'], answer: (request, caller) => this.#tokens(request, caller) },
    conversations: { methods: ['POST'], answer: (request, caller) => this.#create(request, caller) },
    members: { methods: ['POST', 'DELETE'], answer: (request, caller, conv) => this.#members(request, caller, conv) },
  };

  /**
   * Who asks, and whether this often.
   *
   * @param {IncomingMessage} request
   * @returns {Promise<Caller>}
   */
  async #callerOf(request) {
    const { settings, clockMs, fault } = this.#options;
    const { headers, socket } = request;
    const address = clientAddress(headers, socket.remoteAddress, settings.trustProxy);
    if (!isOriginAllowed(headers, settings.origins)) {
      throw new HttpError(403, 'forbidden', 'pages of this origin may not connect');
    }
    if (settings.loopbackOnly && !(isLoopbackAddress(socket.remoteAddress) && isLoopbackHost(headers.host))) {
      throw new HttpError(403, 'forbidden', 'this server is for its own machine only');
    }
    const token = bearerToken(headers);
    if (this.#isServiceKey(token)) return { user: undefined };
    needRate(this.#byAddress.take(address, clockMs()));
    let user;
    try {
      ({ user } = await inTime(identify(settings.authenticate, { request, token, device: 'server' }, fault)));
    } catch {
      throw new HttpError(401, 'unauthenticated', 'Authorization: Bearer must bring a valid token or the service key', {
        headers: { 'WWW-Authenticate': 'Bearer' },
      });
    }
    needRate(this.#byUser.take(user, clockMs()));
    return { user };
  }

  /** @param {string | null} token */
  #isServiceKey(token) {
    // Hashes of one length: how long it takes tells nothing about how much of the key was right.
    return token !== null && this.#keyHash !== undefined && timingSafeEqual(sha256(token), this.#keyHash);
  }

  /**
   * @param {IncomingMessage} request
   * @param {Caller} caller
   */
  async #publish(request, caller) {
    const id = idOf(request.headers['idempotency-key']);
    const { text, value } = await this.#read(request);
    const from = behalfOf(caller, value.from, 'from', true);
    const bodyJson = memberText(text, 'body');
    if (bodyJson === undefined) throw new HttpError(400, 'bad_request', 'body is missing');
    const conv = stringOf(value.conv, 'conv');
    const type = value.type === undefined ? undefined : stringOf(value.type, 'type');
    const key = `${conv}\n${from}\n${id}`;
    if (this.#inProgress.has(key)) {
      throw new HttpError(409, 'in_progress', 'a request with this key is under way', { retryMs: 1000 });
    }
    this.#inProgress.add(key);
    try {
      const publication = { conv, from: /** @type {string} */ (from), id, type, body: undefined };
      const { seq, epoch, mid, at, dup } = await publish(this.#options.requests, publication, {
        bodyJson,
        forClient: true,
      });
      return { seq, epoch, mid, at, dup };
    } finally {
      this.#inProgress.delete(key);
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {Caller} caller
   */
  async #tokens({ url = '' }, caller) {
    const { settings, clockMs, requests } = this.#options;
    if (settings.tokens === 'off') throw new HttpError(501, 'unsupported', 'this server works without message tokens');
    const query = new URL(url, 'http://server').searchParams;
    const user = /** @type {string} */ (behalfOf(caller, query.get('user') ?? undefined, 'user', true));
    const count = /^[0-9]{1,4}$/.test(query.get('count') ?? '') ? Number(query.get('count')) : 0;
    if (count < 1 || count > PROTOCOL.tokens) {
      throw new HttpError(400, 'bad_request', `count must be an integer from 1 to ${PROTOCOL.tokens}`);
    }
    // The request itself was counted once; every hundred tokens count as one.
    const more = Math.ceil(count / TOKENS_PER_RATE) - 1;
    if (caller.user !== undefined && more > 0) needRate(this.#byUser.take(user, clockMs(), more));
    return { tokens: await issueTokens(requests, user, count) };
  }

  /**
   * @param {IncomingMessage} request
   * @param {Caller} caller
   */
  async #create(request, caller) {
    const { value } = await this.#read(request);
    const creator = behalfOf(caller, value.creator, 'creator', false);
    const conversation = /** @type {import('./calls.js').NewConversation} */ ({ ...value, creator });
    await createConversation(this.#options.requests, conversation);
    return OK;
  }

  /**
   * @param {IncomingMessage} request
   * @param {Caller} caller
   * @param {string} encoded the conversation as it stands in the path
   */
  async #members(request, caller, encoded) {
    const { value } = await this.#read(request);
    let conv;
    try {
      conv = decodeURIComponent(encoded);
    } catch {
      throw new HttpError(400, 'bad_request', 'the conversation in the path must be URL-encoded UTF-8');
    }
    const change = request.method === 'DELETE' ? 'remove' : 'add';
    await changeMembers(this.#options.requests, change, conv, /** @type {string[]} */ (value.members), caller.user);
    return OK;
  }

  /** @param {IncomingMessage} request */
  #read(request) {
    return readJson(request, { maxBytes: this.#options.settings.limits.frame, timeoutMs: EDGE.bodyTimeoutMs });
  }
}

/**
 * The message id that an Idempotency-Key stands for: the key itself where it has the grammar of one, else its hash, the
 * same on every server and for ever.
 *
 * @param {string | string[] | undefined} key
 */
export function idOf(key) {
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY_CHARACTERS) {
    throw new HttpError(400, 'bad_request', `Idempotency-Key must be there, 1 to ${MAX_KEY_CHARACTERS} characters`);
  }
  return isMessageId(key) ? key : sha256(key).toString('base64url');
}

/**
 * In whose name: a user's own, always; anybody's with the service key.
 *
 * @param {Caller} caller
 * @param {unknown} named
 * @param {string} field
 * @param {boolean} required whether the service key must name somebody
 * @returns {string | undefined}
 */
function behalfOf({ user }, named, field, required) {
  if (named !== undefined && !isUser(named)) throw new HttpError(400, 'bad_request', `${field} must be a user`);
  if (user === undefined) {
    if (required && named === undefined) throw new HttpError(400, 'bad_request', `${field} is missing`);
    return named;
  }
  if (named !== undefined && named !== user) {
    throw new HttpError(403, 'forbidden', `${field} must be the user of the token: others need the service key`);
  }
  return user;
}

/**
 * @param {unknown} value
 * @param {string} field
 * @returns {string}
 */
function stringOf(value, field) {
  if (typeof value !== 'string') throw new HttpError(400, 'bad_request', `${field} must be a string`);
  return value;
}

/** @param {number} retryMs */
function needRate(retryMs) {
  if (retryMs > 0) throw new HttpError(429, 'rate_limited', 'more requests than limits.rate allows', { retryMs });
}

/**
 * @template T
 * @param {Promise<T>} answer of the application's hook
 * @returns {Promise<T>} rejects where it takes too long
 */
function inTime(answer) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('authenticate took too long')), EDGE.authenticateTimeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** @param {string} text */
function sha256(text) {
  return createHash('sha256').update(text).digest();
}
