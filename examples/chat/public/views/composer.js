// The field one writes in: Enter sends, Shift+Enter begins a new line; drafts stay with their conversation.
import { byId, labelled, setText } from '../dom.js';

/** A body may have 16,384 bytes; the JSON around the text takes a few of them. */
const TEXT_BYTES = 16_000;

export class Composer {
  /** @param {import('../session.js').Session} session @param {() => void} sent */
  constructor(session, sent) {
    this.session = session;
    this.sent = sent;
    this.text = byId('text');
    this.button = byId('send');
    labelled(this.button, 'send', 'Send');
    byId('composer').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#send();
    });
    this.text.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      // While an input method composes, Enter belongs to it.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.text.addEventListener('input', () => this.#changed());
  }

  opened() {
    this.text.value = this.session.state.current?.draft ?? '';
    this.#fit();
  }

  focus() {
    this.text.focus();
  }

  #changed() {
    const { current } = this.session.state;
    if (!current) return;
    current.draft = this.text.value;
    this.session.typing(current.conv, this.text.value.trim() !== '');
    this.#fit();
  }

  #fit() {
    const { value } = this.text;
    // JSON writes quotes, backslashes and line breaks with two characters.
    const isTooLong = new TextEncoder().encode(JSON.stringify(value)).length > TEXT_BYTES;
    setText(byId('composer-error'), isTooLong ? 'Too long for one message: send it in parts.' : '');
    this.button.disabled = value.trim() === '' || isTooLong;
    this.text.style.height = 'auto';
    this.text.style.height = `${this.text.scrollHeight}px`;
  }

  #send() {
    const { current } = this.session.state;
    const text = this.text.value.trim();
    if (!current || text === '' || this.button.disabled) return;
    this.text.value = '';
    current.draft = '';
    this.#fit();
    this.session.send(current.conv, text);
    this.sent();
    this.focus();
  }
}
