// What an application may ask of its server, as packets to the engine and answers back. The checks here are those that
// JavaScript must make; the grammar of names is checked where the packet is decoded.

import { randomUUID } from 'node:crypto';
import { LIMITS as PROTOCOL } from '../protocol/constants.js';
import { check, checkConversation, checkDevice, checkSeq, isUser } from '../protocol/identifiers.js';
import { LIMITS } from './defaults.js';

/**
 * @typedef {{ conv: string, from: string, id?: string, type?: string, body: unknown }} Publication
 * @typedef {{ seq: number, epoch: number, mid: string, at: number, dup: boolean, id: string }} Published
 * @typedef {{ conv: string, creator?: string, members: string[], history?: 'all' }} NewConversation
 * @typedef {{ before?: number, after?: number, limit?: number }} HistoryRange
 * @typedef {{ conv?: string, limit?: number, order?: 'oldest' | 'newest', next?: string, hold?: boolean }} PullPage
 * @typedef {Record<string, any> & { t: 'msg' | 'hole' }} Item a packet of protocol.md, Receiving
 * @typedef {{ conv: string, epoch: number, unread: number, head: number, got: number }} Count
 * @typedef {import('./requests.js').Requests} Requests
 */

/** On whose behalf a call is made that the server makes by itself. */
const SERVER_ITSELF = '';

/** Tokens of one call of the application. */
const MAX_TOKENS = 100_000;

/** Lowered to `limits.page`. */
const FULL_PAGE = LIMITS.page.max;

/**
 * @param {Requests} requests
 * @param {Publication} publication without `id` a random one is taken, and calling again stores again
 * @param {{ bodyJson?: string, forClient?: boolean }} [how] `bodyJson`: the body as JSON text, in place of `body`, stored byte
 *   for byte; `forClient`: somebody else asks, whose `id` is judged as a device's
 * @returns {Promise<Published>}
 */
export async function publish(requests, publication, how = {}) {
  const { conv, from, id = randomUUID(), type, body } = publication ?? {};
  checkUser(from, 'from');
  const packet = { t: 'send', conv, id, type, body };
  const { seq, epoch, mid, at, dup = false } = await requests.call(from, packet, { conv, id }, how);
  return { id, seq, epoch, mid, at, dup };
}

/**
 * @param {Requests} requests
 * @param {NewConversation} conversation
 */
export async function createConversation(requests, conversation) {
  const { conv, creator, members, history } = conversation ?? {};
  checkConversation(conv);
  checkMembers(members);
  if (creator !== undefined) checkUser(creator, 'creator');
  check(history === undefined || history === 'all', 'history', history, "'all' or left out");
  const [first = [], ...more] = inPackets(members);
  const packet = { t: 'create', conv, members: first, history };
  await requests.call(creator ?? SERVER_ITSELF, packet, { conv });
  for (const part of more) await requests.call(SERVER_ITSELF, { t: 'add', conv, members: part }, { conv });
}

/**
 * @param {Requests} requests
 * @param {'add' | 'remove'} t
 * @param {string} conv
 * @param {string[]} users
 * @param {string} [by] with this user's rights only; else as the server itself, which may always
 */
export async function changeMembers(requests, t, conv, users, by = SERVER_ITSELF) {
  checkConversation(conv);
  checkMembers(users);
  for (const members of inPackets(users)) await requests.call(by, { t, conv, members }, { conv });
}

/**
 * Reads back as the server itself, which sees everything.
 *
 * @param {Requests} requests
 * @param {string} conv
 * @param {HistoryRange} range
 * @returns {Promise<{ items: Item[], more: boolean }>} ascending by seq
 */
export async function history(requests, conv, { before, after, limit = FULL_PAGE }) {
  checkConversation(conv);
  if (before !== undefined) checkSeq(before, 'before');
  if (after !== undefined) checkSeq(after, 'after');
  checkLimit(limit);
  const { items, more } = await requests.call(SERVER_ITSELF, { t: 'history', conv, before, after, limit }, { conv });
  return { items, more };
}

/**
 * @param {Requests} requests
 * @param {string} user
 * @param {string} device
 * @returns {Promise<{ total: number, convs: Count[] }>} all of the user's conversations, in byte order
 */
export async function counts(requests, user, device) {
  checkUser(user, 'user');
  checkDevice(device);
  /** @type {Count[]} */
  const convs = [];
  for (;;) {
    const packet = { t: 'counts', after: convs.at(-1)?.conv };
    const answer = await requests.call(user, packet, { user }, { device });
    convs.push(...answer.convs);
    if (!answer.more || answer.convs.length === 0) return { total: answer.total, convs };
  }
}

/**
 * Pulls as a device: `next` acks its page for that device, whose connection, if there is one, goes on.
 *
 * @param {Requests} requests
 * @param {string} user
 * @param {string} device
 * @param {PullPage} page
 * @returns {Promise<{ items: Item[], covers: [string, number, number, number][], next?: string }>}
 */
export async function pull(requests, user, device, { conv, limit = FULL_PAGE, order, next, hold }) {
  checkUser(user, 'user');
  checkDevice(device);
  if (conv !== undefined) checkConversation(conv);
  checkLimit(limit);
  const packet = { t: 'pull', conv, limit, order, next, hold };
  const answer = await requests.call(user, packet, { user, conv }, { device });
  return { items: answer.items, covers: answer.covers, ...(answer.next === undefined ? {} : { next: answer.next }) };
}

/**
 * @param {Requests} requests
 * @param {string} user
 * @param {number} count
 * @returns {Promise<string[]>} ids, each good for one message of this user
 */
export async function issueTokens(requests, user, count) {
  checkUser(user, 'user');
  const good = Number.isSafeInteger(count) && count >= 1 && count <= MAX_TOKENS;
  check(good, 'count', count, `a whole number from 1 to ${MAX_TOKENS}`);
  /** @type {string[]} */
  const tokens = [];
  while (tokens.length < count) {
    const packet = { t: 'tokens', count: Math.min(PROTOCOL.tokens, count - tokens.length) };
    tokens.push(...(await requests.call(user, packet, { user })).tokens);
  }
  return tokens;
}

/** @param {unknown} limit */
function checkLimit(limit) {
  check(Number.isSafeInteger(limit) && Number(limit) >= 1, 'limit', limit, 'a whole number from 1');
}

/**
 * @param {unknown} user
 * @param {string} field
 */
function checkUser(user, field) {
  check(isUser(user), field, user, '1 to 64 of A-Z a-z 0-9 _ . @ - and not `system`');
}

/** @param {unknown} members */
function checkMembers(members) {
  check(Array.isArray(members), 'members', members, 'an array of users');
  for (const member of /** @type {unknown[]} */ (members)) checkUser(member, 'members');
}

/** @param {string[]} members */
function inPackets(members) {
  const packets = [];
  for (let at = 0; at < members.length; at += PROTOCOL.members) packets.push(members.slice(at, at + PROTOCOL.members));
  return packets;
}
