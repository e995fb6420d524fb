// What an application may ask of its server, as packets to the engine and answers back. The checks here are those that
// JavaScript must make; the grammar of names is checked where the packet is decoded.

import { randomUUID } from 'node:crypto';
import { LIMITS } from '../protocol/constants.js';
import { check, checkConversation, isUser } from '../protocol/identifiers.js';

/**
 * @typedef {{ conv: string, from: string, id?: string, type?: string, body: unknown }} Publication
 * @typedef {{ seq: number, epoch: number, mid: string, at: number, dup: boolean, id: string }} Published
 * @typedef {{ conv: string, creator?: string, members: string[], history?: 'all' }} NewConversation
 * @typedef {import('./requests.js').Requests} Requests
 */

/** On whose behalf a call is made that the server makes by itself. */
const SERVER_ITSELF = '';

/**
 * @param {Requests} requests
 * @param {Publication} publication without `id` a random one is taken, and calling again stores again
 * @returns {Promise<Published>}
 */
export async function publish(requests, publication) {
  const { conv, from, id = randomUUID(), type, body } = publication ?? {};
  checkUser(from, 'from');
  const packet = { t: 'send', conv, id, type, body };
  const { seq, epoch, mid, at, dup = false } = await requests.call(from, packet, { conv, id });
  return { id, seq, epoch, mid, at, dup };
}

/**
 * @param {Requests} requests
 * @param {NewConversation} conversation
 */
export async function createConversation(requests, { conv, creator, members, history }) {
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
 */
export async function changeMembers(requests, t, conv, users) {
  checkConversation(conv);
  checkMembers(users);
  for (const members of inPackets(users)) await requests.call(SERVER_ITSELF, { t, conv, members }, { conv });
}

/**
 * @param {Requests} requests
 * @param {string} user
 * @param {Record<string, any> & { t: string }} packet counts, pull or history
 * @returns {Promise<Record<string, any>>} the answer without `t` and `rid`
 */
export async function readAs(requests, user, packet) {
  if (user !== SERVER_ITSELF) checkUser(user, 'user');
  const answer = await requests.call(user, packet, { conv: packet.conv });
  return Object.fromEntries(Object.entries(answer).filter(([key]) => key !== 't' && key !== 'rid'));
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
  for (let at = 0; at < members.length; at += LIMITS.members) packets.push(members.slice(at, at + LIMITS.members));
  return packets;
}
