// What the page shows, and who wants to know when it changes. Changes of one turn are told together.
import { Conversation } from './conversation.js';

/** @typedef {{ state: string, reason: string, error: any }} Connection */

export class ChatState {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** The conversation on screen. @type {string | null} */
  open = null;
  /** @type {Connection} */
  connection = { state: 'offline', reason: '', error: null };
  /** One line that tells of something that went wrong, and goes away. */
  notice = '';
  /** @type {((changed: Set<string>) => void)[]} */
  #listeners = [];
  /** @type {Set<string>} */
  #changed = new Set();
  #told = true;

  /** @param {string} me */
  constructor(me) {
    this.me = me;
  }

  /** @param {string} conv @returns {Conversation} */
  conversation(conv) {
    let conversation = this.conversations.get(conv);
    if (!conversation) {
      conversation = new Conversation(conv, this.me);
      this.conversations.set(conv, conversation);
    }
    return conversation;
  }

  get current() {
    return this.open === null ? undefined : this.conversations.get(this.open);
  }

  /** Newest first. */
  get sorted() {
    return [...this.conversations.values()].sort((a, b) => b.lastAt - a.lastAt || a.conv.localeCompare(b.conv));
  }

  /** @param {(changed: Set<string>) => void} listener gets the conversations that changed, and '' for all else */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /**
   * A microtask, not an animation frame: tabs in the background have none, and they keep their titles and marks.
   * @param {string} [conv]
   */
  changed(conv = '') {
    this.#changed.add(conv);
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      const changed = this.#changed;
      this.#changed = new Set();
      this.#told = true;
      for (const listener of this.#listeners) listener(changed);
    });
  }
}
