// The conversations, newest first.
import { byId, el, reconcile, setAttribute, setText } from '../dom.js';
import { isGroup, membersSentence, partnerOf, shortTime, showAvatar, textOf, titleOf } from '../names.js';

/** @typedef {import('../conversation.js').Conversation} Conversation */

export class ListView {
  /** @param {import('../session.js').Session} session @param {(conv: string) => void} show */
  constructor(session, show) {
    this.state = session.state;
    this.show = show;
    this.items = byId('conversations');
    this.items.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.state.subscribe(() => this.update());
    this.update();
  }

  update() {
    const { sorted } = this.state;
    reconcile(this.items, sorted, {
      key: ({ conv }) => conv,
      create: ({ conv }) => this.#create(conv),
      update: (node, conversation) => this.#update(node.firstElementChild, conversation),
    });
    byId('list-empty').hidden = sorted.length > 0;
  }

  /** @param {string} conv */
  #create(conv) {
    const title = titleOf(conv, this.state.me);
    const avatar = el('span', { class: isGroup(conv) ? 'avatar group' : 'avatar', 'aria-hidden': 'true' });
    showAvatar(avatar, title);
    const text = el(
      'span',
      { class: 'row-text' },
      el('span', { class: 'row-title', text: title }),
      el('span', { class: 'row-preview' }),
    );
    const side = el('span', { class: 'row-side' }, el('span', { class: 'row-time' }), el('span', { class: 'badge' }));
    const button = el('button', { class: 'row', type: 'button', data: { conv } }, avatar, text, side);
    button.addEventListener('click', () => this.show(conv));
    return el('li', {}, button);
  }

  /** @param {HTMLElement} button @param {Conversation} conversation */
  #update(button, conversation) {
    const { conv, unread, lastAt } = conversation;
    setAttribute(button, 'aria-current', this.state.open === conv ? 'true' : null);
    setText(find(button, '.row-preview'), this.#preview(conversation));
    setText(find(button, '.row-time'), lastAt > 0 ? shortTime(lastAt) : '');
    const badge = find(button, '.badge');
    badge.hidden = unread === 0;
    setText(badge, unread > 999 ? '999+' : String(unread));
    setAttribute(badge, 'aria-label', `${unread} unread`);
  }

  /** @param {Conversation} conversation */
  #preview({ conv, typing, pending, last, head }) {
    const { me } = this.state;
    if (typing.size > 0) return isGroup(conv) ? `${[...typing.keys()].join(', ')} …` : 'typing …';
    const waiting = [...pending.values()].at(-1);
    if (waiting) return `You: ${textOf(waiting.body)}`;
    if (!last) return head > 0 ? 'Earlier messages are not on this device' : 'No messages yet';
    if (last.type === 'system.members') return membersSentence(last.body, me);
    const who = last.from === me ? 'You: ' : partnerOf(conv, me) === '' ? `${last.from}: ` : '';
    return who + textOf(last.body);
  }

  /** Up, down, Home and End walk through the list. @param {KeyboardEvent} event */
  #key(event) {
    const buttons = /** @type {HTMLElement[]} */ ([...this.items.querySelectorAll('.row')]);
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }

  /** @param {string | null} conv */
  focus(conv) {
    const buttons = /** @type {HTMLElement[]} */ ([...this.items.querySelectorAll('.row')]);
    (buttons.find((button) => button.dataset.conv === conv) ?? buttons[0] ?? byId('new-chat')).focus();
  }
}

/** @param {Element} node @param {string} selector @returns {HTMLElement} */
const find = (node, selector) => /** @type {HTMLElement} */ (node.querySelector(selector));
