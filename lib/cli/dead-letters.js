// `everyonce dead-letters`: messages that a Consumer has given up, to be looked at, handled again, or dropped.

import { parseArgs } from 'node:util';
import { EveryonceError } from '../protocol/errors.js';
import { DEFAULTS } from '../server/defaults.js';
import { createServer } from '../server/server.js';
import { REDIS_FLAGS, readRedisFlags } from './redis-flags.js';
import { groupsOf, openGroups } from './store.js';
import { timeOf, visible } from './text.js';

/** @typedef {{ out: (line: string) => void, err: (line: string) => void }} Say */
/** @typedef {import('../server/feeds.js').Letter} Letter */
/** @typedef {import('./store.js').Groups} Groups */

const ACTS = ['list', 'show', 'replay', 'drop'];
const LETTERS_PER_PAGE = 100;
const MAX_SHOWN = 200;

/**
 * @param {string[]} args
 * @param {Say} say
 * @returns {Promise<boolean>} false: not all was done that was asked for; what failed was told
 */
export async function deadLetters(args, say) {
  const { act, ids, group, all, limit, json, data, redis } = read(args);
  const groups = redis ? groupsOf(createServer({ redis, insecure: true })) : await openGroups(data);
  try {
    if (group === undefined) return await listGroups(groups, json, say);
    if (act === 'list') return await list(groups, { group, limit, json }, say);
    const wanted = all ? await allIds(groups, group) : ids;
    let good = true;
    for (const id of wanted) {
      try {
        await actOn(groups, { act, group, id, json }, say);
      } catch (/** @type {any} */ error) {
        if (wanted.length === 1) throw error;
        say.err(`${id}: ${error.code ?? 'error'}: ${visible(String(error.message))}`);
        good = false;
      }
    }
    return good;
  } finally {
    await groups.close();
  }
}

/** @param {string[]} args */
function read(args) {
  const { values, positionals } = parseArgs({
    args,
    options: {
      data: { type: 'string' },
      ...REDIS_FLAGS,
      group: { type: 'string' },
      all: { type: 'boolean' },
      limit: { type: 'string', default: '100' },
      json: { type: 'boolean' },
    },
    strict: true,
    allowPositionals: true,
  });
  const [act = 'list', ...ids] = positionals;
  const { group, all = false, json = false, data = DEFAULTS.data } = values;
  const redis = readRedisFlags(values);
  const limit = Number(values.limit);
  need(ACTS.includes(act), 'dead-letters', `one of ${ACTS.join(', ')}, not ${act}`);
  need(Number.isInteger(limit) && limit >= 1, 'limit', 'a number from 1 on');
  need(group !== undefined || positionals.length === 0, 'group', `given for ${act}`);
  if (act !== 'list') need(all ? act !== 'show' && ids.length === 0 : ids.length > 0, 'ID', 'given, or --all');
  else need(ids.length === 0, 'ID', 'left out of list');
  for (const id of ids) need(/^[1-9][0-9]{0,18}$/.test(id), 'ID', `the id of a dead letter, not ${id}`);
  return { act, ids, group, all, limit, json, data, redis };
}

/** @param {boolean} good @param {string} option @param {string} wanted */
function need(good, option, wanted) {
  if (!good) throw new EveryonceError('INVALID_ARGUMENT', `${option} must be ${wanted}`, { option });
}

/** @param {Groups} groups @param {boolean} json @param {Say} say */
async function listGroups(groups, json, say) {
  const all = await groups.list();
  for (const { group, at } of all) {
    let letters = 0;
    for await (const page of pages(groups, group)) letters += page.length;
    say.out(json ? JSON.stringify({ group, at, letters }) : `${group}: ${letters} dead letters, made ${timeOf(at)}`);
  }
  if (all.length === 0) say.err('there is no consumer group');
  return true;
}

/** @param {Groups} groups @param {{ group: string, limit: number, json: boolean }} asked @param {Say} say */
async function list(groups, { group, limit, json }, say) {
  let left = limit;
  for await (const page of pages(groups, group)) {
    for (const letter of page.slice(0, left)) say.out(json ? jsonOf(letter) : lineOf(letter));
    left -= page.length;
    if (left <= 0) break;
  }
  return true;
}

/** @param {Groups} groups @param {string} group */
async function* pages(groups, group) {
  for (let after = '0', more = true; more;) {
    const page = await groups.letters(group, { after, limit: LETTERS_PER_PAGE });
    yield page.letters;
    after = page.letters.at(-1)?.message.mid ?? after;
    more = page.more;
  }
}

/** @param {Groups} groups @param {string} group */
async function allIds(groups, group) {
  const ids = [];
  for await (const page of pages(groups, group)) ids.push(...page.map(({ message }) => message.mid));
  return ids;
}

/** @param {Groups} groups @param {{ act: string, group: string, id: string, json: boolean }} asked @param {Say} say */
async function actOn(groups, { act, group, id, json }, say) {
  const { letters } = await groups.letters(group, { after: String(BigInt(id) - 1n), limit: 1 });
  const [letter] = letters;
  if (letter?.message.mid !== id) throw new EveryonceError('NOT_FOUND', `there is no dead letter ${id} of ${group}`);
  if (act === 'show') {
    say.out(json ? jsonOf(letter) : visible(JSON.stringify(letter, null, 2)));
  } else if (act === 'drop') {
    await groups.forget(group, id);
    say.out(`dropped ${id}: it never has its effect`);
  } else {
    await groups.replay(group, id);
    say.out(`handled ${id}`);
  }
}

/** @param {Letter} letter */
const jsonOf = (letter) => JSON.stringify({ id: letter.message.mid, ...letter });

/** @param {Letter} letter */
function lineOf({ message, attempts, error, at }) {
  const shown = error.length > MAX_SHOWN ? `${error.slice(0, MAX_SHOWN)}…` : error;
  const { mid, conv, seq, from } = message;
  return `${mid} ${conv} seq ${seq} from ${from}, ${attempts} attempts, ${timeOf(at)}: ${visible(shown)}`;
}
