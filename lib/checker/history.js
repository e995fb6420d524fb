/**
 * What happened in a run, as a list of small events: what was sent, what was answered, what each device was given, and
 * what the log held at the end. judge.js says whether that is right.
 *
 * @typedef {object} HistoryEvent
 * @property {Operation} op
 * @property {string} user of the device that the event happened at; of the reader for `log`
 * @property {string} device
 * @property {string} [conv]
 * @property {string} [id] of the message
 * @property {string} [from] who sent it (`deliver`, `log`)
 * @property {string} [fromDevice]
 * @property {number} [n] place of an `invoke` among those of its device and conversation: 1, 2, 3 …
 * @property {number} [epoch]
 * @property {number} [seq]
 * @property {string} [mid]
 * @property {string} [type]
 * @property {string} [hash] of the body
 * @property {string} [code] of a `nack`
 * @property {number | null} [number] the producer's number (`n` on the wire) of an `invoke`, `log` or `skip`; null: it goes without,
 *   so that its order is nobody's to keep
 * @property {string} [pkg] the package that an `invoke` is a part of
 * @property {boolean} [dup] of an `ack`: the server says that it had the message already
 * @property {number} [to] end of a span that begins at `seq` (`confirm`, `gone`) or `number` (`skip`); what there was to tell (`told`)
 * @property {string[]} [except] `watch`: devices of the user whose messages need not come
 * @property {'push' | 'page' | 'history'} [how] a `see` came
 * @property {{ add?: string[], remove?: string[] }} [change] of the members, by a `log`
 * @property {boolean} [historyAll] `log`: the conversation shows a new member everything
 * @property {number} [t] ms on a clock that all processes of one machine share
 *
 * @typedef {'watch' | 'invoke' | 'keep' | 'ack' | 'nack' | 'skip' | 'see' | 'confirm' | 'told' | 'deliver' | 'restart' | 'log' | 'gone' | 'void'} Operation
 *   - `watch`: this device is to be given every message of `conv` that its user may see, those above `seq` where it has one
 *   - `invoke`: the application hands a message over; it may be sent, or not
 *   - `keep`: it is in the outbox for good: from here on it must arrive
 *   - `ack`, `nack`: the server's answer; a `nack` is one that is final
 *   - `skip`: the device gave the numbers `number` to `to` up, unused
 *   - `see`: the device got this message, however often; what it makes of it is `deliver`
 *   - `confirm`: the server has taken the device's ack of `seq` to `to`: none of it is to come again
 *   - `told`: at a quiet moment the device has been told of everything up to `seq`, and `to` is stored
 *   - `deliver`: the device's handler was given a message
 *   - `restart`: the device's process was killed, so the last deliveries may come again
 *   - `log`: a fresh device of `user` read this message from the server after the end
 *   - `void`: the store went back: what was told of places above `seq` in epochs up to `epoch` is void, and may come elsewhere
 *   - `gone`: it was told that retention has removed `seq` to `to`, so that what was acked there is taken at the ack's word
 */
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';

/**
 * @param {unknown} body a JSON value
 * @returns {string}
 */
export const hashBody = (body) => createHash('sha1').update(JSON.stringify(body)).digest('base64url');

/** Milliseconds on the machine's monotonic clock: comparable between processes. */
export const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;

/** Records events in memory, or, with a path, in a file: those survive a kill of the process that wrote them. */
export class History {
  /** @type {HistoryEvent[]} */
  events = [];
  #file = -1;
  /** @type {Map<string, number>} */
  #numbers = new Map();
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {string} [path] appended to; what is there already is taken in, so that numbering goes on */
  constructor(path) {
    if (path === undefined) return;
    appendFileSync(path, '');
    // A kill in the middle of a write leaves its beginning, where a page of the file ends.
    const text = readFileSync(path);
    truncateSync(path, text.lastIndexOf('\n') + 1);
    this.events = readHistory(path);
    for (const event of this.events) if (event.op === 'invoke') this.#number(event);
    this.#file = openSync(path, 'a');
  }

  /** @param {HistoryEvent} event */
  record(event) {
    event.t ??= now();
    if (event.op === 'invoke') event.n = this.#number(event);
    // One write of a whole line, before anything that follows from the event: a kill can't take it back, or leaves half of it.
    if (this.#file >= 0) writeSync(this.#file, `${JSON.stringify(event)}\n`);
    this.events.push(event);
    for (const listener of this.#listeners) listener();
  }

  /**
   * @param {() => boolean} condition looked at after each event, and at once
   * @param {number} timeoutMs
   * @param {string} what for the error
   * @returns {Promise<void>}
   */
  until(condition, timeoutMs, what) {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const listener = () => condition() && end(resolve);
      const timer = setTimeout(() => end(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`))), timeoutMs);
      const end = (/** @type {() => void} */ settle) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        settle();
      };
      this.#listeners.add(listener);
    });
  }

  /** @param {string} user @param {string} device @param {string} conv @returns {number} the `n` of its next `invoke` */
  next(user, device, conv) {
    return (this.#numbers.get(`${user} ${device} ${conv}`) ?? 0) + 1;
  }

  close() {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  /** @param {HistoryEvent} event */
  #number({ user, device, conv }) {
    const key = `${user} ${device} ${conv}`;
    const n = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, n);
    return n;
  }
}

/**
 * @param {string} path
 * @returns {HistoryEvent[]} without a last line that a kill cut short
 */
export function readHistory(path) {
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line));
}
