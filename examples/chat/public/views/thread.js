// One conversation: its messages, where one stands in them, and what has been read.
import { byId, labelled, setAttribute, setText } from '../dom.js';
import { isGroup, partnerOf, showAvatar, titleOf } from '../names.js';
import { Composer } from './composer.js';
import { connectionText } from './header.js';
import { rowsOf, showRows } from './rows.js';

/** Closer to the end than this counts as being there, px. */
const END_PX = 48;

export class ThreadView {
  /** Whether new messages keep the end in view. */
  #isAtEnd = true;
  /** Messages of others that came while the end was out of view. */
  #below = 0;
  #lastSeq = 0;
  /** @type {string | null} */
  #shown = null;

  /**
   * @param {import('../session.js').Session} session
   * @param {() => void} leave back to the list
   * @param {() => void} addMembers
   */
  constructor(session, leave, addMembers) {
    this.session = session;
    this.state = session.state;
    this.leave = leave;
    this.scroll = byId('scroll');
    this.composer = new Composer(session, () => this.#toEnd());
    labelled(byId('back'), 'back', 'Back to the conversations');
    labelled(byId('add-members'), 'people', 'Add members');
    byId('back').addEventListener('click', leave);
    byId('add-members').addEventListener('click', addMembers);
    byId('earlier').addEventListener('click', () => this.#earlier());
    byId('to-bottom').addEventListener('click', () => this.#toEnd());
    byId('thread-open').addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Escape' && !event.isComposing) leave();
    });
    this.scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // The keyboard of a phone, a growing text field: what was at the end stays there.
    new ResizeObserver(() => this.#isAtEnd && this.#jumpToEnd()).observe(this.scroll);
    addEventListener('focus', () => this.#markRead());
    document.addEventListener('visibilitychange', () => this.#markRead());
    this.state.subscribe((changed) => {
      if (changed.has('') || changed.has(this.state.open ?? '')) this.update();
    });
  }

  /** Another conversation, or none, was chosen. */
  opened() {
    const { open } = this.state;
    if (open === this.#shown) return;
    this.#shown = open;
    this.#isAtEnd = true;
    this.#below = 0;
    this.#lastSeq = this.state.current?.last?.seq ?? 0;
    this.composer.opened();
    this.update();
    if (open === null) return;
    this.#jumpToEnd();
    document.querySelector('#messages > .new')?.scrollIntoView({ block: 'center' });
    this.#scrolled();
    this.focus();
  }

  /** On a phone the keyboard would cover what one came to read. */
  focus() {
    if (matchMedia('(min-width: 720px) and (hover: hover)').matches) this.composer.focus();
    else byId('thread-title').focus();
  }

  update() {
    const conversation = this.state.current;
    byId('thread-none').hidden = conversation !== undefined;
    byId('thread-open').hidden = conversation === undefined;
    if (!conversation || this.#shown !== this.state.open) return;
    this.#header(conversation);
    const list = byId('messages');
    // Older messages that are put in are not news to be read out.
    setAttribute(list, 'aria-busy', conversation.isLoaded ? null : 'true');
    const { conv } = conversation;
    showRows(list, rowsOf(conversation), {
      retry: (id) => this.session.retry(id),
      discard: (id) => void this.session.discard(conv, id),
    });
    byId('earlier').hidden = !conversation.hasEarlier;
    this.#empty(conversation);
    this.#news(conversation);
    if (this.#isAtEnd) this.#jumpToEnd();
    this.#showButton();
    this.#markRead();
  }

  /** @param {import('../conversation.js').Conversation} conversation */
  #header({ conv, members, typing }) {
    const { me, connection } = this.state;
    const title = titleOf(conv, me);
    if (byId('thread-title').textContent !== title) showAvatar(byId('thread-avatar'), title);
    byId('thread-avatar').classList.toggle('group', isGroup(conv));
    setText(byId('thread-title'), title);
    const people = isGroup(conv) ? [...members].sort().join(', ') : 'Direct messages';
    const isOnline = connection.state === 'online';
    setText(byId('thread-subtitle'), isOnline ? people : `${connectionText(connection)}: what you write waits here`);
    setAttribute(byId('thread-subtitle'), 'data-state', isOnline ? null : connection.state);
    byId('add-members').hidden = !isGroup(conv);
    const names = [...typing.keys()];
    setText(
      byId('typing'),
      names.length === 0 ? '' : `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} typing …`,
    );
  }

  /** @param {import('../conversation.js').Conversation} conversation */
  #empty({ conv, isEmpty, head }) {
    const box = byId('thread-empty');
    box.hidden = !isEmpty;
    const who = partnerOf(conv, this.state.me) || 'the group';
    const first = `Write the first message to ${who}. It arrives even if nobody is here right now.`;
    setText(box.firstElementChild, head > 0 ? `Messages 1 to ${head} were taken by another device.` : first);
  }

  /** @param {import('../conversation.js').Conversation} conversation */
  #news({ messages, me }) {
    const fresh = messages.filter(({ seq, from }) => seq > this.#lastSeq && from !== me).length;
    this.#lastSeq = messages.at(-1)?.seq ?? 0;
    this.#below = this.#isAtEnd ? 0 : this.#below + fresh;
  }

  #showButton() {
    const button = byId('to-bottom');
    button.hidden = this.#isAtEnd;
    const news = this.#below === 1 ? '1 new message' : `${this.#below} new messages`;
    setText(button, this.#below > 0 ? `${news} ↓` : 'To the end ↓');
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    if (this.#isAtEnd) this.#below = 0;
    this.#showButton();
    this.#markRead();
  }

  #jumpToEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  #toEnd() {
    this.#isAtEnd = true;
    this.#below = 0;
    this.#jumpToEnd();
    this.#showButton();
    this.#markRead();
  }

  async #earlier() {
    const { open } = this.state;
    if (open === null) return;
    const fromEnd = this.scroll.scrollHeight - this.scroll.scrollTop;
    await this.session.earlier(open);
    this.update();
    this.scroll.scrollTop = this.scroll.scrollHeight - fromEnd;
  }

  /** Read is what somebody can see: the tab has the focus, and the end is in view. */
  #markRead() {
    const conversation = this.state.current;
    if (!conversation?.last || this.#shown !== this.state.open || !this.#isAtEnd) return;
    if (document.visibilityState === 'visible' && document.hasFocus())
      this.session.read(conversation.conv, conversation.last.seq);
  }
}
