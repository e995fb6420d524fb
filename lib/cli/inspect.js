// `everyonce inspect`: what a store holds, for a person, or a line of JSON each for a program.

import { parseArgs } from 'node:util';
import { EveryonceError } from '../protocol/errors.js';
import { checkConversation } from '../protocol/identifiers.js';
import { DEFAULTS } from '../server/defaults.js';
import { openDirectory } from './store.js';
import { timeOf, visible } from './text.js';

/** @typedef {{ out: (line: string) => void, err: (line: string) => void }} Say */

const CONVERSATIONS_PER_PAGE = 50;
const MESSAGES_PER_PAGE = 200;
const MAX_SHOWN_BODY = 200;

/**
 * @param {string[]} args
 * @param {Say} say
 */
export async function inspect(args, say) {
  const { values, positionals } = parseArgs({
    args,
    options: { data: { type: 'string' }, json: { type: 'boolean' } },
    strict: true,
    allowPositionals: true,
  });
  const [conv, ...more] = positionals;
  if (more.length > 0) {
    const message = `inspect shows one conversation at a time, not ${positionals.join(', ')}`;
    throw new EveryonceError('INVALID_ARGUMENT', message, { field: 'conv' });
  }
  if (conv !== undefined) checkConversation(conv);
  const directory = await openDirectory(values.data ?? DEFAULTS.data);
  try {
    const isJson = values.json === true;
    await (conv === undefined ? showAll(directory, isJson, say) : showOne(directory, conv, isJson, say));
  } finally {
    await directory.close();
  }
}

/**
 * @param {import('./store.js').DataDirectory} directory
 * @param {boolean} isJson
 * @param {Say} say
 */
async function showAll(directory, isJson, say) {
  let shown = 0;
  for (let after = '', more = true; more;) {
    const page = await directory.inspect(null, after, CONVERSATIONS_PER_PAGE);
    for (const summary of page.convs) {
      say.out(isJson ? JSON.stringify(summary) : lineOf(summary));
      after = summary.conv;
      shown += 1;
    }
    more = page.more;
  }
  if (shown === 0) say.err('the store holds no conversation');
}

/** @param {Record<string, any>} summary */
function lineOf({ conv, head, members, epoch, last, renew }) {
  const when = last === undefined ? '' : `, last ${timeOf(last)}`;
  return `${conv}: head ${head}, ${members} members, epoch ${epoch}${renew ? ' (a new one is due)' : ''}${when}`;
}

/**
 * @param {import('./store.js').DataDirectory} directory
 * @param {string} conv
 * @param {boolean} isJson
 * @param {Say} say
 */
async function showOne(directory, conv, isJson, say) {
  for (let after = 0, more = true; more;) {
    const page = await directory.inspect(conv, after, MESSAGES_PER_PAGE);
    if (after === 0) {
      if (isJson) say.out(JSON.stringify({ ...page.conv, names: page.names }));
      else describe(page.conv, page.names, say);
    }
    for (const message of page.messages) {
      say.out(isJson ? JSON.stringify(message) : messageLine(message));
      after = message.seq;
    }
    more = page.more;
  }
}

/**
 * @param {Record<string, any>} summary
 * @param {string[]} names
 * @param {Say} say
 */
function describe(summary, names, say) {
  say.out(lineOf(summary));
  say.out(`created ${timeOf(summary.created)}${summary.creator ? ` by ${summary.creator}` : ''}`);
  say.out(`members: ${names.join(' ')}`);
  for (const [epoch, first] of summary.epochs) say.out(`epoch ${epoch} from seq ${first}`);
}

/** @param {Record<string, any>} message */
function messageLine({ seq, at, from, device, n, type, id, body }) {
  const text = JSON.stringify(body);
  const shown = text.length > MAX_SHOWN_BODY ? `${text.slice(0, MAX_SHOWN_BODY)}… (${text.length} characters)` : text;
  const number = n === undefined ? '' : ` n ${n}`;
  return `${seq} ${timeOf(at)} ${from}/${device}${number} ${type} ${id} ${visible(shown)}`;
}
