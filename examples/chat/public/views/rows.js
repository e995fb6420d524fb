// The rows of a thread: what stands between the messages, and the messages.
import { el, icon, reconcile, setAttribute, setText } from '../dom.js';
import { dayKey, dayName, hueOf, membersSentence, textOf, timeOf } from '../names.js';

/** Messages of one sender closer together than this stand as one block, ms. */
const BLOCK_MS = 5 * 60_000;

/**
 * @typedef {import('../conversation.js').Conversation} Conversation
 * @typedef {object} Row
 * @property {string} key
 * @property {'day' | 'new' | 'line' | 'message'} kind
 * @property {string} text
 * @property {string} [id] client message id
 * @property {number} [seq]
 * @property {string} [from]
 * @property {boolean} [isOwn]
 * @property {boolean} [isFirst] of its block
 * @property {boolean} [showsName]
 * @property {number} [at]
 * @property {string} [state]
 * @property {string} [reason]
 *
 * @typedef {{ retry: (id: string) => void, discard: (id: string) => void }} Actions
 */

/** What each state of an own message is called. @type {Record<string, string>} */
const STATES = {
  waiting: 'waiting',
  accepted: 'accepted',
  delivered: 'delivered',
  read: 'read',
  unconfirmed: 'not confirmed: it may have arrived',
  failed: 'not sent',
};

/** @param {Conversation} conversation @returns {Row[]} */
export function rowsOf(conversation) {
  const { conv, me, messages, pending, newFrom } = conversation;
  const isGroup = conv.startsWith('g:');
  /** @type {Row[]} */
  const rows = [];
  let day = '';
  let before = { from: '', at: 0 };
  let marked = newFrom === 0;
  const place = (/** @type {string} */ from, /** @type {number} */ at, isNew = false) => {
    if (dayKey(at) !== day) {
      day = dayKey(at);
      before = { from: '', at: 0 };
      rows.push({ key: `day ${day}`, kind: 'day', text: dayName(at) });
    }
    if (isNew) {
      before = { from: '', at: 0 };
      rows.push({ key: 'new', kind: 'new', text: 'New' });
    }
    const isFirst = before.from !== from || at - before.at > BLOCK_MS;
    before = { from, at };
    return { from, at, isOwn: from === me, isFirst, showsName: isGroup && isFirst && from !== me };
  };
  for (const message of messages) {
    const { seq, from, device, id, type, body, at } = message;
    const isLine = type.startsWith('system.');
    const isNew = !marked && !isLine && seq >= newFrom && from !== me;
    marked ||= isNew;
    const placed = place(from, at, isNew);
    const key = `${from}/${device}/${id}`;
    if (isLine) {
      before = { from: '', at: 0 };
      rows.push({ key, kind: 'line', text: type === 'system.members' ? membersSentence(body, me) : type, seq });
    } else {
      const state = from === me ? conversation.stateOf(seq) : undefined;
      rows.push({ ...placed, key: from === me ? id : key, kind: 'message', text: textOf(body), id, seq, state });
    }
  }
  for (const { id, body, at, status, reason } of pending.values()) {
    rows.push({ ...place(me, at), key: id, kind: 'message', text: textOf(body), id, state: status, reason });
  }
  return rows;
}

/** @param {Element} list @param {Row[]} rows @param {Actions} actions */
export function showRows(list, rows, actions) {
  reconcile(list, rows, {
    key: (row) => row.key,
    create: (row) => (row.kind === 'message' ? createMessage(row, actions) : createLine(row)),
    update: (node, row) =>
      row.kind === 'message' ? updateMessage(node, row) : setText(node.firstElementChild, row.text),
  });
}

/** @param {Row} row */
function createLine({ kind, text }) {
  return el('li', { class: kind }, el('span', { text }));
}

/** @param {Row} row @param {Actions} actions */
function createMessage({ id = '', from = '', isOwn, text, at = 0 }, actions) {
  const name = el('span', { class: 'sender', text: from });
  name.style.setProperty('--hue', String(hueOf(from)));
  const time = el('time', { datetime: new Date(at).toISOString(), text: timeOf(at) });
  const meta = el('span', { class: 'meta' }, time, isOwn ? el('span', { class: 'ticks', role: 'img' }) : null);
  const bubble = el('div', { class: 'bubble' }, name, el('span', { class: 'text', text }), meta);
  const help = el(
    'div',
    { class: 'help', hidden: true },
    el('span', { class: 'help-text' }),
    el('button', { class: 'link retry', type: 'button', text: 'Try again', on: { click: () => actions.retry(id) } }),
    el('button', { class: 'link discard', type: 'button', text: 'Discard', on: { click: () => actions.discard(id) } }),
  );
  return el('li', { class: 'message', data: { id } }, bubble, isOwn ? help : null);
}

/** @param {HTMLElement} node @param {Row} row */
function updateMessage(node, { isOwn = false, isFirst = false, showsName = false, state, seq, at = 0, reason = '' }) {
  node.classList.toggle('own', isOwn);
  node.classList.toggle('first', isFirst);
  if (seq !== undefined) setAttribute(node, 'data-seq', String(seq));
  /** @type {HTMLElement} */ (node.querySelector('.sender')).hidden = !showsName;
  setText(/** @type {Element} */ (node.querySelector('time')), timeOf(at));
  if (!isOwn || node.dataset.state === state || state === undefined) return;
  node.dataset.state = state;
  const ticks = /** @type {HTMLElement} */ (node.querySelector('.ticks'));
  const picture = state === 'read' ? 'delivered' : state === 'failed' ? 'unconfirmed' : state;
  ticks.replaceChildren(icon(/** @type {any} */ (picture)));
  ticks.setAttribute('aria-label', STATES[state]);
  ticks.title = STATES[state];
  const help = /** @type {HTMLElement} */ (node.querySelector('.help'));
  help.hidden = state !== 'unconfirmed' && state !== 'failed';
  setText(
    /** @type {Element} */ (node.querySelector('.help-text')),
    state === 'failed' ? `Not sent. ${reason}` : 'No answer yet: it may have arrived.',
  );
  /** @type {HTMLElement} */ (node.querySelector('.retry')).hidden = state !== 'unconfirmed';
}
