// Names of people and conversations, and how they and times are shown.

const USER = /^[A-Za-z0-9_.@-]{1,64}$/;
const GROUP = /^[A-Za-z0-9_.@-]{1,96}$/;

/** @param {string} name */
export const isUser = (name) => USER.test(name) && name !== 'system';

/** @param {string} name */
export const isGroupName = (name) => GROUP.test(name);

/** The conversation of two people: the smaller name first. @param {string} a @param {string} b */
export const directConversation = (a, b) => (a < b ? `dm:${a}:${b}` : `dm:${b}:${a}`);

/** @param {string} conv */
export const isGroup = (conv) => conv.startsWith('g:');

/** @param {string} conv @param {string} me @returns {string} the other one's name; '' for a group */
export function partnerOf(conv, me) {
  if (isGroup(conv)) return '';
  const [, a, b] = conv.split(':');
  return a === me ? b : a;
}

/** @param {string} conv @param {string} me */
export const titleOf = (conv, me) => (isGroup(conv) ? conv.slice(2) : partnerOf(conv, me));

/** Names out of what somebody typed: by comma or space. @param {string} text */
export const namesIn = (text) => [...new Set(text.split(/[\s,;]+/).filter((name) => name !== ''))];

/** The same hue for the same name everywhere. @param {string} name @returns {number} degrees */
export function hueOf(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.charCodeAt(0)) % 3600;
  return (hash * 47) % 360;
}

/** @param {HTMLElement} node @param {string} name */
export function showAvatar(node, name) {
  node.textContent = [...name].slice(0, 2).join('').toUpperCase();
  node.style.setProperty('--hue', String(hueOf(name)));
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayOfThisYear = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayOfAnyYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** @param {number} at ms */
export const timeOf = (at) => clock.format(at);

/** A value that is the same for all moments of a local day. @param {number} at ms */
export const dayKey = (at) => new Date(at).toDateString();

/** @param {number} at ms @param {number} [now] ms */
export function dayName(at, now = Date.now()) {
  if (dayKey(at) === dayKey(now)) return 'Today';
  if (dayKey(at) === dayKey(now - 86_400_000)) return 'Yesterday';
  return (new Date(at).getFullYear() === new Date(now).getFullYear() ? dayOfThisYear : dayOfAnyYear).format(at);
}

/** For the list: the time of today, the date of before. @param {number} at ms */
export const shortTime = (at) => (dayKey(at) === dayKey(Date.now()) ? timeOf(at) : shortDay.format(at));

/** @param {unknown} body of a message @returns {string} */
export function textOf(body) {
  const text = /** @type {any} */ (body)?.text;
  return typeof text === 'string' ? text : JSON.stringify(body);
}

/** A change of members as a sentence. @param {any} body of a system.members message @param {string} me */
export function membersSentence(body, me) {
  const who = (/** @type {string} */ name) => (name === me ? 'you' : name);
  const list = (/** @type {string[]} */ names) => names.map(who).join(', ');
  const by = body?.by === me ? 'You' : (body?.by ?? 'Somebody');
  const added = Array.isArray(body?.add) ? body.add.filter((/** @type {string} */ name) => name !== body.by) : [];
  const removed = Array.isArray(body?.remove) ? body.remove : [];
  if (removed.length === 1 && removed[0] === body.by) return `${by} left`;
  const parts = [];
  if (added.length > 0) parts.push(`added ${list(added)}`);
  if (removed.length > 0) parts.push(`removed ${list(removed)}`);
  return `${by} ${parts.join(' and ') || 'made this group'}`;
}
