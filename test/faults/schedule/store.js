/** The store of a stopped server, as events for the judge, and what each user's marks must count. */
import { openDirectory } from '../../../lib/cli/store.js';
import { hashBody } from '../../../lib/checker/history.js';
import { Visibility } from '../../../lib/checker/visibility.js';

const conversationsPerPage = 50;
const messagesPerPage = 200;

/** @typedef {import('../../../lib/checker/history.js').HistoryEvent} HistoryEvent */

/** @param {string} data @returns {Promise<HistoryEvent[]>} all that it holds, as `log` events that no user read */
export async function readStore(data) {
  const directory = await openDirectory(data);
  /** @type {HistoryEvent[]} */
  const events = [];
  try {
    for (let after = '', more = true; more;) {
      const page = await directory.inspect(null, after, conversationsPerPage);
      for (const { conv, historyAll } of page.convs) {
        events.push(...(await readConversation(directory, conv, historyAll)));
        after = conv;
      }
      more = page.more;
    }
  } finally {
    await directory.close();
  }
  return events;
}

/** @param {import('../../../lib/cli/store.js').DataDirectory} directory @param {string} conv @param {boolean | undefined} historyAll */
async function readConversation(directory, conv, historyAll) {
  /** @type {HistoryEvent[]} */
  const events = [];
  for (let after = 0, more = true; more;) {
    const page = await directory.inspect(conv, after, messagesPerPage);
    for (const { seq, epoch, mid, from, device, n, id, type, body } of page.messages) {
      const change = type === 'system.members' ? { change: body, historyAll } : {};
      const message = { conv, epoch, seq, mid, from, fromDevice: device, number: n, id, type, hash: hashBody(body) };
      events.push({ op: 'log', user: '', device: '', ...message, ...change });
      after = seq;
    }
    more = page.more;
  }
  return events;
}

/** @param {HistoryEvent[]} stored one conversation, in order @param {string} user @param {number} read its mark @returns {number} what the server must count as unread */
export function unreadOf(stored, user, read) {
  const visible = new Visibility(stored);
  return stored.filter(
    ({ seq = 0, from, type = '' }) =>
      seq > read && from !== user && !type.startsWith('system.') && visible.shows(user, seq),
  ).length;
}
