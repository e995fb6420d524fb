/**
 * Frames to packets and back. Pure: strings in, objects out. A frame is one JSON object or an array of them.
 */
import { EveryonceError } from './errors.js';

/** @typedef {{ t: string } & Record<string, any>} Packet */

/** @param {unknown} value @returns {value is Record<string, any>} */
export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The packets of one frame, in order.
 * @param {string} text
 * @returns {Packet[]}
 * @throws {EveryonceError} `bad_request` where it is no JSON, or not all of it are packets
 */
export function decodeFrame(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EveryonceError('bad_request', 'the frame is not JSON', { cause });
  }
  const packets = Array.isArray(value) ? value : [value];
  for (const packet of packets) {
    if (!isObject(packet) || typeof packet.t !== 'string') {
      throw new EveryonceError('bad_request', 'a packet is an object with a string t', { field: 't' });
    }
  }
  return packets;
}

/**
 * One packet as text; several texts make a frame with joinFrame.
 * @param {Packet} packet
 * @returns {string}
 */
export function encodePacket(packet) {
  return JSON.stringify(packet);
}

/**
 * A `send` whose body is given as the JSON text that was made when the message was first taken, so that every
 * transmission carries the same bytes.
 * @param {{ conv: string, id: string, n?: number, type?: string, bodyText: string, pkg?: { id: string, i: number, total: number } }} message
 * @returns {string}
 */
export function encodeSend({ conv, id, n, type, bodyText, pkg }) {
  const named = type === undefined || type === 'text' ? {} : { type };
  const head = JSON.stringify({ t: 'send', conv, id, n, ...named, pkg });
  return `${head.slice(0, -1)},"body":${bodyText}}`;
}

/**
 * @param {string[]} packets packets as text, at least one
 * @returns {string}
 */
export function joinFrame(packets) {
  return packets.length === 1 ? packets[0] : `[${packets.join(',')}]`;
}

/**
 * Length of a string in UTF-8, in bytes; a lone surrogate counts as the three bytes of its replacement.
 * @param {string} text
 * @returns {number}
 */
export function utf8Bytes(text) {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i += 1;
    } else bytes += 2;
  }
  return bytes;
}

const count = (/** @type {unknown} */ value) => Number.isSafeInteger(value) && Number(value) >= 0;
const text = (/** @type {unknown} */ value) => typeof value === 'string';
const any = (/** @type {unknown} */ value) => value !== undefined;
const isRate = (/** @type {unknown} */ value) => Number.isFinite(value) && Number(value) >= 0;
const rid = (/** @type {unknown} */ value) => text(value) || Number.isSafeInteger(value);

const maybe = (/** @type {(value: unknown) => boolean} */ is) => (/** @type {unknown} */ value) =>
  value === undefined || is(value);
/** @param {(value: any) => boolean} is */
const listOf = (is) => (/** @type {unknown} */ value) => Array.isArray(value) && value.every(is);
/** @param {Record<string, (value: unknown) => boolean>} shape */
const shaped = (shape) => (/** @type {unknown} */ value) => isObject(value) && badKeyOf(value, shape) === null;

const GRANTED = {
  frame: maybe(count),
  body: maybe(count),
  window: maybe(count),
  page: maybe(count),
  rate: maybe(isRate),
};
const PLACE = { conv: text, epoch: count, head: count, got: count, read: maybe(count), unread: maybe(count), keep: maybe(count) }; // prettier-ignore
const FOUND = { id: text, n: maybe(count), seq: count, epoch: count, mid: text, at: count };
const COUNTED = { conv: text, epoch: count, unread: count, head: count, got: count };
const isItem = (/** @type {unknown} */ item) =>
  isObject(item) && (item.t === 'msg' || item.t === 'hole') && badKeyOf(item, SERVER_SHAPES[item.t]) === null;
const isCover = (/** @type {unknown} */ span) =>
  Array.isArray(span) && span.length === 4 && text(span[0]) && span.slice(1).every(count);

/**
 * What a server's packet must be for a client to act on it, down to the entries of its lists: what a client does with an
 * answer has no place for doubts.
 * @type {Record<string, Record<string, (value: unknown) => boolean>>}
 */
const SERVER_SHAPES = {
  welcome: { user: text, device: text, limits: shaped(GRANTED), convs: listOf(shaped(PLACE)) },
  resume: { rid, convs: listOf(shaped(PLACE)) },
  bye: {},
  ack: { conv: text, id: text, seq: count, epoch: count, mid: text, at: count },
  nack: { conv: text, id: text, code: text },
  status: { rid, conv: text, found: listOf(shaped(FOUND)), unknown: listOf(text) },
  ok: { rid },
  tokens: { rid, tokens: listOf(text) },
  msg: {
    conv: text,
    epoch: count,
    seq: count,
    mid: text,
    from: text,
    device: text,
    id: text,
    type: text,
    body: any,
    at: count,
  },
  head: { conv: text, epoch: count, head: count, got: count },
  hole: { conv: text, epoch: count, from: count, to: count },
  counts: { rid, total: count, convs: listOf(shaped(COUNTED)) },
  page: { rid, items: listOf(isItem), covers: maybe(listOf(isCover)), next: maybe(text) },
  receipt: { conv: text, user: text, got: count, read: count },
  signal: { conv: text, from: text, body: any },
  epoch: { conv: text, epoch: count, keep: count },
  error: { code: text },
  ping: {},
  pong: {},
};

/**
 * The key that keeps a server's packet from being usable.
 * @param {Packet} packet
 * @returns {string | null} null where it is well-formed; `t` for a type that this version does not know
 */
export function badKeyOfServerPacket(packet) {
  if (!Object.hasOwn(SERVER_SHAPES, packet.t)) return 't';
  return badKeyOf(packet, SERVER_SHAPES[packet.t]);
}

/** @param {Record<string, any>} object @param {Record<string, (value: unknown) => boolean>} shape @returns {string | null} */
function badKeyOf(object, shape) {
  for (const key of Object.keys(shape)) {
    if (!shape[key](Object.hasOwn(object, key) ? object[key] : undefined)) return key;
  }
  return null;
}
