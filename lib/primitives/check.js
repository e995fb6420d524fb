// What the primitives ask of their arguments. Whatever is wrong is told by name, before anything is done.

import { EveryonceError } from '../protocol/errors.js';

/** The longest key, in bytes of UTF-8. */
export const MAX_KEY_BYTES = 1024;
/** The longest span of time that is taken: ten years. */
export const MAX_MS = 10 * 366 * 86_400_000;

/**
 * @param {string} option
 * @param {string} wanted completes "… must be"
 * @param {'BAD_OPTION' | 'INVALID_ARGUMENT'} [code]
 * @returns {EveryonceError}
 */
export function refused(option, wanted, code = 'INVALID_ARGUMENT') {
  return new EveryonceError(code, `${option} must be ${wanted}`, { option });
}

/** Half of a surrogate pair would be stored as another character. @param {any} text @returns {boolean} */
const isWellFormed = (text) => text.isWellFormed();

/**
 * @param {unknown} value
 * @param {string} option
 * @param {{ most?: number, empty?: boolean, code?: 'BAD_OPTION' | 'INVALID_ARGUMENT' }} [rules] `most` in bytes
 * @returns {string} as it was given: well-formed, so that no two different ones are stored as the same bytes
 */
export function checkText(value, option, { most = MAX_KEY_BYTES, empty = false, code } = {}) {
  const fits =
    typeof value === 'string' &&
    (empty || value !== '') &&
    value.length <= most &&
    isWellFormed(value) &&
    (value.length * 3 <= most || Buffer.byteLength(value) <= most);
  if (fits) return /** @type {string} */ (value);
  throw refused(option, `a string of ${empty ? 'at most' : '1 to'} ${most} bytes of well-formed text`, code);
}

/**
 * @param {unknown} value
 * @param {string} option
 * @param {{ least?: number, most?: number, code?: 'BAD_OPTION' | 'INVALID_ARGUMENT' }} [rules]
 * @returns {number}
 */
export function checkInteger(value, option, { least = 0, most = Number.MAX_SAFE_INTEGER, code } = {}) {
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) return Number(value);
  throw refused(option, `an integer from ${least} to ${most}`, code);
}

/**
 * @param {unknown} value
 * @param {string} option
 * @param {{ least?: number, code?: 'BAD_OPTION' | 'INVALID_ARGUMENT' }} [rules]
 * @returns {number} milliseconds
 */
export function checkMs(value, option, { least = 1, code } = {}) {
  return checkInteger(value, option, { least, most: MAX_MS, code });
}

/**
 * @param {unknown} value
 * @param {string} option
 * @param {readonly string[]} [known] the members that there may be
 * @returns {Record<string, any>}
 */
export function checkOptions(value, option, known) {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refused(option, 'an object', 'BAD_OPTION');
  for (const name of known ? Object.keys(value) : []) {
    const wanted = `left out: there are ${known?.join(', ')}`;
    if (Reflect.get(value, name) !== undefined && !known?.includes(name)) throw refused(name, wanted, 'BAD_OPTION');
  }
  return value;
}
