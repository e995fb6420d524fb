import { DEFAULT_PATH, EveryonceError, isDevice } from '../protocol/index.js';
import { systemClock } from './clock.js';
import { MemoryOutbox } from './outbox.js';

/**
 * @typedef {object} ClientOptions
 * @property {string} url of the server: `ws://`, `wss://`, `http://`, `https://`; without a path, `/everyonce`
 * @property {string} [token] who this is
 * @property {() => string | Promise<string>} [getToken] called before each connection, instead of `token`
 * @property {string} [device] 1 to 64 of A-Z a-z 0-9 _ -; default: random, kept with the outbox
 * @property {import('./outbox.js').JournalOutbox} [outbox] default: a MemoryOutbox
 * @property {number} [ackTimeout] ms, at least, before what is unanswered is sent again; default 500
 * @property {number} [retries] resends on one connection, and connections without an answer before `UNCONFIRMED`; default 3
 * @property {{ min?: number, max?: number }} [reconnect] ms between connections; default 250 to 15000
 * @property {'auto' | 'manual'} [backlog] whether what was missed comes to the handlers, or waits for offline(); default auto
 * @property {'retry' | 'abandon'} [onIncomplete] whether a package that the server could not put together is sent again, or
 *   rejects with `package_incomplete`; default retry
 * @property {any} [WebSocket] the class to connect with; default: the platform's
 * @property {number} [maxAttempts] calls of a handler that throws, before its message counts as handled; default 5
 * @property {number} [maxQueued] messages that the outbox holds, before send() rejects with `OUTBOX_FULL`; default 10000
 * @property {number} [requestTimeout] ms for the answer to anything but a send; default 30000
 * @property {import('./clock.js').Clock} [clock] for simulations
 * @property {import('./clock.js').Random} [random] for simulations
 */

/** @param {boolean} good @param {string} option @param {string} wanted */
function need(good, option, wanted) {
  if (!good) throw new EveryonceError('INVALID_ARGUMENT', `${option} must be ${wanted}`, { option });
}

/** @param {unknown} value @param {number} least */
const isNumber = (value, least) => typeof value === 'number' && Number.isFinite(value) && value >= least;

/**
 * The options, checked and completed.
 * @param {ClientOptions} options
 * @throws {EveryonceError} `INVALID_ARGUMENT` naming the option, or `NO_WEBSOCKET`
 */
export function readOptions(options) {
  need(typeof options === 'object' && options !== null, 'options', 'an object with a url');
  const { token, getToken, device, ackTimeout = 500, retries = 3, reconnect = {}, backlog = 'auto' } = options;
  const { maxAttempts = 5, maxQueued = 10_000, requestTimeout = 30_000, clock = systemClock, random } = options;
  const { onIncomplete = 'retry' } = options;
  const { min = 250, max = 15_000 } = reconnect;
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  const outbox = options.outbox ?? new MemoryOutbox();
  need(token === undefined || typeof token === 'string', 'token', 'a string');
  need(getToken === undefined || typeof getToken === 'function', 'getToken', 'a function');
  need(device === undefined || isDevice(device), 'device', '1 to 64 of A-Z a-z 0-9 _ -, and not server or system');
  need(typeof outbox?.append === 'function', 'outbox', 'a MemoryOutbox, IndexedDBOutbox or FileOutbox');
  need(isNumber(ackTimeout, 1), 'ackTimeout', 'a number of ms');
  need(Number.isInteger(retries) && retries >= 0, 'retries', 'an integer from 0');
  need(isNumber(min, 1) && isNumber(max, min), 'reconnect', '{ min, max } in ms, with min not above max');
  need(backlog === 'auto' || backlog === 'manual', 'backlog', "'auto' or 'manual'");
  need(onIncomplete === 'retry' || onIncomplete === 'abandon', 'onIncomplete', "'retry' or 'abandon'");
  need(Number.isInteger(maxAttempts) && maxAttempts >= 1, 'maxAttempts', 'an integer from 1');
  need(Number.isInteger(maxQueued) && maxQueued >= 1, 'maxQueued', 'an integer from 1');
  need(isNumber(requestTimeout, 1), 'requestTimeout', 'a number of ms');
  if (typeof WebSocket !== 'function') throw new EveryonceError('NO_WEBSOCKET', undefined, { option: 'WebSocket' });
  return {
    url: readUrl(options.url),
    token,
    getToken,
    device,
    outbox,
    ackTimeout,
    retries,
    reconnect: { min, max },
    backlog,
    onIncomplete,
    WebSocket,
    maxAttempts,
    maxQueued,
    requestTimeout,
    clock,
    random,
  };
}

/** @param {unknown} url @returns {string} */
function readUrl(url) {
  let parsed;
  try {
    parsed = new URL(String(url), globalThis.location?.href);
  } catch {
    throw new EveryonceError('INVALID_ARGUMENT', `url must be the address of the server, not ${String(url)}`, {
      option: 'url',
    });
  }
  const protocols = new Map([
    ['http:', 'ws:'],
    ['https:', 'wss:'],
  ]);
  parsed.protocol = protocols.get(parsed.protocol) ?? parsed.protocol;
  need(parsed.protocol === 'ws:' || parsed.protocol === 'wss:', 'url', 'a ws, wss, http or https address');
  if (parsed.pathname === '/') parsed.pathname = DEFAULT_PATH;
  parsed.hash = '';
  return parsed.href;
}
