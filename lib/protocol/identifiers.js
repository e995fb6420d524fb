/**
 * Shapes of the protocol's names (docs/protocol.md, Terms), as predicates and as checks that throw.
 * A check throws EveryonceError `INVALID_ARGUMENT` whose `field` names what is wrong.
 */
import { EveryonceError } from './errors.js';

const USER = /^[A-Za-z0-9_.@-]{1,64}$/;
const DEVICE = /^[A-Za-z0-9_-]{1,64}$/;
const GROUP = /^g:[A-Za-z0-9_.@-]{1,96}$/;
const MESSAGE_ID = /^[A-Za-z0-9_-]{8,64}$/;
const TYPE = /^[a-z0-9._-]{1,32}$/;

/** @param {unknown} value @returns {value is string} */
export const isUser = (value) => typeof value === 'string' && USER.test(value) && value !== 'system';

/** @param {unknown} value @returns {value is string} */
export const isDevice = (value) =>
  typeof value === 'string' && DEVICE.test(value) && value !== 'server' && value !== 'system';

/** @param {unknown} value @returns {value is string} */
export const isMessageId = (value) => typeof value === 'string' && MESSAGE_ID.test(value);

/** A type that an application may send: `system.*` is the server's. @param {unknown} value @returns {value is string} */
export const isType = (value) =>
  typeof value === 'string' && TYPE.test(value) && value !== 'system' && !value.startsWith('system.');

/**
 * The two users of a `dm:` conversation, in order.
 * @param {string} conv
 * @returns {[string, string] | null} null where it is not a well-formed dm
 */
export function dmMembers(conv) {
  if (!conv.startsWith('dm:')) return null;
  const parts = conv.slice(3).split(':');
  if (parts.length !== 2 || !isUser(parts[0]) || !isUser(parts[1])) return null;
  // User ids are ASCII, so comparing code units is comparing bytes.
  return parts[0] < parts[1] ? [parts[0], parts[1]] : null;
}

/** @param {unknown} value @returns {value is string} */
export const isConversation = (value) => typeof value === 'string' && (GROUP.test(value) || dmMembers(value) !== null);

/** @param {unknown} value @returns {value is string} */
export const isGroup = (value) => typeof value === 'string' && GROUP.test(value);

/**
 * The name of the conversation of two users: the smaller id in byte order first.
 * @param {string} a
 * @param {string} b
 * @returns {string}
 */
export function dmConversation(a, b) {
  check(isUser(a), 'a', a, 'a user id');
  check(isUser(b) && a !== b, 'b', b, 'the id of another user');
  return a < b ? `dm:${a}:${b}` : `dm:${b}:${a}`;
}

/**
 * @param {boolean} good
 * @param {string} field
 * @param {unknown} value
 * @param {string} wanted
 */
export function check(good, field, value, wanted) {
  if (good) return;
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : typeof value;
  throw new EveryonceError('INVALID_ARGUMENT', `${field} must be ${wanted}, not ${shown}`, { field });
}

/** @param {unknown} value */
export const checkConversation = (value) => check(isConversation(value), 'conv', value, 'dm:A:B or g:NAME');
/** @param {unknown} value */
export const checkDevice = (value) => check(isDevice(value), 'device', value, '1 to 64 of A-Z a-z 0-9 _ -');
/** @param {unknown} value */
export const checkMessageId = (value) => check(isMessageId(value), 'id', value, '8 to 64 of A-Z a-z 0-9 _ -');
/** @param {unknown} value */
export const checkType = (value) =>
  check(isType(value), 'type', value, '1 to 32 of a-z 0-9 . _ - and not begin with system.');

/**
 * @param {unknown} value
 * @param {string} field
 */
export function checkSeq(value, field) {
  check(Number.isSafeInteger(value) && Number(value) >= 0, field, value, 'an integer from 0 below 2^53');
}
