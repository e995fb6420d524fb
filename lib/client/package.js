/**
 * Packages: several messages under one number, stored together or not at all (docs/protocol.md "Sending"). In the
 * outbox a package is one entry, whose id is the package's; its messages have ids of their own.
 */
import { EveryonceError, LIMITS, check, encodeSend, utf8Bytes } from '../protocol/index.js';

/**
 * @typedef {import('./outbox-state.js').Entry} Entry
 * @typedef {import('./outbox-state.js').Part} Part
 * @typedef {import('../protocol/index.js').Packet} Packet
 */

/** What an entry is on the wire: of a package, all its parts. @param {Entry} entry @returns {string[]} */
export function encodeEntry(entry) {
  const { conv, id, n, type, bodyText, parts } = entry;
  const ids = idsOf(entry);
  if (!parts) return [encodeSend({ conv, id: ids[0], n, type, bodyText })];
  const total = parts.length;
  return parts.map((part, i) => encodeSend({ conv, n, type, ...part, id: ids[i], pkg: { id, i, total } }));
}

/** The ids that the application knows, of its parts where it is a package. @param {Entry} entry @returns {string[]} */
const namesOf = ({ id, parts }) => (parts ? parts.map((part) => part.id) : [id]);

/** The ids under which the server knows an entry. @param {Entry} entry @returns {string[]} */
export const idsOf = (entry) => entry.tokens ?? namesOf(entry);

/** The highest seq of an entry that was accepted. @param {Entry} entry @returns {number} */
export const lastSeqOf = ({ accepted, parts }) => (accepted ? accepted.seq + (parts?.length ?? 1) - 1 : 0);

/**
 * Whether the server would refuse the entry for its size.
 * @param {{ bodies: string[], texts: string[] }} entry its bodies as JSON text, and what it is on the wire
 * @param {{ body: number, frame: number }} limits
 * @returns {boolean}
 */
export function isTooLarge({ bodies, texts }, limits) {
  const sizes = bodies.map(utf8Bytes);
  return (
    sizes.some((bytes) => bytes > limits.body) ||
    texts.some((text) => utf8Bytes(text) > limits.frame) ||
    (sizes.length > 1 && sizes.reduce((sum, bytes) => sum + bytes, 0) > LIMITS.packageBytes)
  );
}

/** @param {Entry} entry @returns {string[]} */
export const bodiesOf = ({ bodyText, parts }) => (parts ? parts.map((part) => part.bodyText) : [bodyText]);

/** @param {unknown} bodies @returns {asserts bodies is unknown[]} */
export function checkBodies(bodies) {
  const good = Array.isArray(bodies) && bodies.length >= 1 && bodies.length <= LIMITS.packageParts;
  check(good, 'bodies', bodies, `a list of 1 to ${LIMITS.packageParts} bodies`);
}

/**
 * What an application gets for what was accepted: of a package, one for each part.
 * @param {Entry} entry
 * @param {Packet[]} places of its parts, in order
 */
export function sentOf(entry, places) {
  const { conv, parts } = entry;
  const [names, ids] = [namesOf(entry), idsOf(entry)];
  const sent = places.map(({ seq, epoch, mid, at, dup, safe }, i) => ({
    id: names[i],
    ...(ids[i] === names[i] ? {} : { token: ids[i] }),
    conv,
    seq,
    epoch,
    mid,
    at,
    dup: dup === true,
    ...(safe === undefined ? {} : { safe }),
  }));
  return parts ? sent : sent[0];
}

/** The error of a package that is given up because it could not be put together. @param {Entry} entry @param {Packet} nack */
export const incompleteError = ({ id, conv }, nack) =>
  new EveryonceError('package_incomplete', nack.message, { id, conv });
