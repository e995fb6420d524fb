/** What the functions of this kit take and keep: keys, options, fingerprints, results. */
import { createHash } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';

/** A key is an index entry in every store; MySQL's index takes 3072 bytes, and names of business objects are short. */
export const MAX_KEY_BYTES = 512;
/** A result is read back by every repeat. */
export const MAX_RESULT_BYTES = 1 << 20;

/** Text that every store keeps as it is: no NUL, no half of a surrogate pair. @param {string} text */
export const isClean = (text) => !text.includes('\0') && !/\p{Surrogate}/u.test(text);

/** @param {string} option @param {string} wanted @returns {EveryonceError} */
export const badOption = (option, wanted) =>
  new EveryonceError('INVALID_ARGUMENT', `${option} must be ${wanted}`, { option });

/**
 * @param {unknown} value @param {string} option
 * @returns {Record<string, any>}
 */
export function checkObject(value, option) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw badOption(option, 'an object');
  return value;
}

/** @param {unknown} value @param {string} option @returns {Function} */
export function checkFunction(value, option) {
  if (typeof value !== 'function') throw badOption(option, 'a function');
  return value;
}

/**
 * @param {unknown} value @param {string} option
 * @param {{ least?: number, most?: number }} [range]
 * @returns {number}
 */
export function checkWhole(value, option, { least = 1, most = Number.MAX_SAFE_INTEGER } = {}) {
  if (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most) return Number(value);
  throw badOption(option, `a whole number from ${least} to ${most}`);
}

/** A timer takes 2^31 - 1 ms and fires at once for more; that is 24 days. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The text of an idempotency key. Numbers are taken by their digits.
 *
 * @param {unknown} value a string of 1 to 512 bytes, a whole number or a bigint
 * @param {string} [option]
 * @returns {string} throws INVALID_ARGUMENT; lone surrogates and NUL are refused, for they are not the same in each store
 */
export function checkKey(value, option = 'key') {
  const text = Number.isSafeInteger(value) || typeof value === 'bigint' ? String(value) : value;
  const good = typeof text === 'string' && text !== '' && Buffer.byteLength(text) <= MAX_KEY_BYTES && isClean(text);
  if (good) return text;
  throw badOption(option, `a string of 1 to ${MAX_KEY_BYTES} bytes, or a whole number`);
}

/** @param {unknown} value that sets keys of one use apart from those of others @returns {string} */
export function checkScope(value) {
  if (typeof value === 'string' && /^[A-Za-z0-9._-]{0,64}$/.test(value)) return value;
  throw badOption('scope', 'a string of up to 64 of A-Z a-z 0-9 . _ -');
}

/**
 * @param {unknown} value the payload's bytes, as they came: JSON that is written again may differ in order and escapes
 * @returns {string | undefined} what is kept of it; undefined for undefined
 */
export function fingerprintOf(value) {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw badOption('fingerprint', 'a string or bytes of the payload');
  }
  return createHash('sha256').update(value).digest('base64url');
}

/**
 * A result as it is kept. JSON, so that every caller gets the same, the first one too.
 *
 * @param {unknown} result
 * @returns {string | undefined} undefined for undefined; throws BAD_RESULT
 */
export function encodeResult(result) {
  if (result === undefined) return undefined;
  let text;
  try {
    text = JSON.stringify(result);
  } catch (cause) {
    throw new EveryonceError('BAD_RESULT', undefined, { cause });
  }
  if (text === undefined) throw new EveryonceError('BAD_RESULT', `A ${typeof result} can not be kept as JSON.`);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_RESULT_BYTES) {
    throw new EveryonceError('BAD_RESULT', `The result is ${bytes} bytes of JSON; the most is ${MAX_RESULT_BYTES}.`);
  }
  return text;
}

/** @param {string | null | undefined} text empty, null or undefined: there was no result @returns {any} */
export const decodeResult = (text) => (text ? JSON.parse(text) : undefined);

/**
 * The key of a row of the application's own table, in the type of its column.
 * @param {unknown} value
 */
export function checkRowKey(value) {
  const good =
    typeof value === 'bigint' ||
    Number.isSafeInteger(value) ||
    (value instanceof Uint8Array && value.length > 0) ||
    (typeof value === 'string' && value !== '' && isClean(value));
  if (!good) throw badOption('key', 'a string, a whole number, a bigint or bytes');
  return value;
}
