/**
 * Time, timers and chance, given to every part of the client from outside, so that a simulation can drive it.
 *
 * @typedef {{
 *   now: () => number,
 *   setTimeout: (callback: () => void, ms: number) => any,
 *   clearTimeout: (timer: any) => void,
 * }} Clock `now` is in ms since 1970 and never steps back
 * @typedef {() => number} Random a number from 0 (with) to 1 (without)
 */

/** The machine's own clock: monotonic, so that a corrected wall clock can not stall or fire a timer. @type {Clock} */
export const systemClock = {
  now: () => performance.timeOrigin + performance.now(),
  setTimeout: (callback, ms) => globalThis.setTimeout(callback, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * An unguessable id of 132 bits: a message id or a device id. `crypto.randomUUID` is missing on plain http, so bytes
 * are drawn here.
 * @param {Random} [random] for simulations; default: the platform's cryptographic source
 * @returns {string} 22 characters of A-Z a-z 0-9 - _
 */
export function randomId(random) {
  const bytes = random
    ? Uint8Array.from({ length: 22 }, () => Math.floor(random() * 256))
    : globalThis.crypto.getRandomValues(new Uint8Array(22));
  return Array.from(bytes, (byte) => ALPHABET[byte & 63]).join('');
}

/**
 * The wait before try number `attempt` (from 0): doubling from `min` to at most `max`, and drawn at random between
 * `min` and that, so that many clients do not come back at the same moment.
 * @param {{ min: number, max: number }} bounds ms
 * @param {number} attempt
 * @param {Random} random
 * @returns {number} ms
 */
export function backoff({ min, max }, attempt, random) {
  const ceiling = Math.min(max, min * 2 ** Math.min(attempt + 1, 20));
  return min + random() * Math.max(0, ceiling - min);
}
