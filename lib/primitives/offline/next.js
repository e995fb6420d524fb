// `next` of a page of the offline table: which places the page had, behind a check sum over them and over whose walk it is of,
// so that what was cut or mixed up acks nothing.

import { createHash } from 'node:crypto';
import { refused } from '../check.js';

/** @typedef {{ receiver: string, sender: string, newest: boolean }} Walk */

/**
 * @param {{ place: string }[]} page places as decimal numbers
 * @param {Walk} walk
 */
export function encodeNext(page, walk) {
  const places = page.map(({ place }) => BigInt(place).toString(36)).join('.');
  return `${checkSum(places, walk)}.${places}`;
}

/** @param {string} places @param {Walk} walk */
function checkSum(places, { receiver, sender, newest }) {
  const text = `${newest}\0${receiver}\0${sender}\0${places}`;
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

/**
 * @param {string} next
 * @param {Walk} walk
 * @returns {string[]} the places of the page's items, as decimal numbers
 * @throws {EveryonceError} INVALID_ARGUMENT
 */
export function decodeNext(next, walk) {
  const at = next.indexOf('.');
  const places = next.slice(at + 1);
  if (at < 0 || next.slice(0, at) !== checkSum(places, walk)) {
    throw refused('next', 'of a page of this receiver, sender and order');
  }
  return places.split('.').map((place) => {
    let value = 0n;
    for (const digit of place) value = value * 36n + BigInt(parseInt(digit, 36));
    return String(value);
  });
}
