// The questions that the page asks: whom to write to, what to call a group, whom to add.
import { byId, el } from '../dom.js';
import { directConversation, isGroupName, isUser, namesIn } from '../names.js';

const NAME_RULE = 'letters, digits or _ . @ -';

/**
 * @typedef {{ name: string, label: string, hint?: string }} Field
 * @typedef {object} Question
 * @property {string} title
 * @property {string} ok label of the button
 * @property {Field[]} fields
 * @property {(values: Record<string, string>) => Promise<string> | string} answer resolves with the conversation to show; throws what
 *   is wrong, as a sentence
 */

export class Dialogs {
  /** @type {Question | null} */
  #question = null;

  /** @param {import('../session.js').Session} session @param {(conv: string) => void} show */
  constructor(session, show) {
    this.session = session;
    this.show = show;
    this.dialog = byId('dialog');
    byId('dialog-form').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#submit();
    });
    byId('dialog-cancel').addEventListener('click', () => this.dialog.close());
    byId('new-chat').addEventListener('click', () => this.#direct());
    byId('new-group').addEventListener('click', () => this.#group());
  }

  #direct() {
    const { me } = this.session.state;
    this.#ask({
      title: 'New chat',
      ok: 'Open',
      fields: [{ name: 'name', label: 'Name', hint: 'Whoever logs in with this name gets your messages.' }],
      answer: ({ name }) => {
        if (!isUser(name)) throw new Error(`A name has 1 to 64 ${NAME_RULE}.`);
        if (name === me) throw new Error('That is you. Choose somebody else.');
        return directConversation(me, name);
      },
    });
  }

  #group() {
    this.#ask({
      title: 'New group',
      ok: 'Create',
      fields: [
        { name: 'name', label: 'Name of the group', hint: `One word of ${NAME_RULE}.` },
        { name: 'members', label: 'Members', hint: 'Names, with commas or spaces between them.' },
      ],
      answer: async ({ name, members }) => {
        if (!isGroupName(name)) throw new Error(`A group has a name of 1 to 96 ${NAME_RULE}.`);
        await this.session.createGroup(`g:${name}`, this.#members(members));
        return `g:${name}`;
      },
    });
  }

  addMembers() {
    const conv = this.session.state.open;
    if (conv === null) return;
    this.#ask({
      title: `Add members to ${conv.slice(2)}`,
      ok: 'Add',
      fields: [{ name: 'members', label: 'Members', hint: 'Names, with commas or spaces between them.' }],
      answer: async ({ members }) => {
        const names = this.#members(members);
        if (names.length === 0) throw new Error('Name at least one person.');
        await this.session.addMembers(conv, names);
        return conv;
      },
    });
  }

  /** @param {string} text */
  #members(text) {
    const names = namesIn(text).filter((name) => name !== this.session.state.me);
    const wrong = names.find((name) => !isUser(name));
    if (wrong !== undefined) throw new Error(`“${wrong}” is no name: use ${NAME_RULE}.`);
    return names;
  }

  /** @param {Question} question */
  #ask(question) {
    this.#question = question;
    byId('dialog-title').textContent = question.title;
    byId('dialog-ok').textContent = question.ok;
    byId('dialog-error').textContent = '';
    byId('dialog-fields').replaceChildren(
      ...question.fields.flatMap(({ name, label, hint = '' }) => [
        el('label', { for: `dialog-${name}`, text: label }),
        el('input', {
          id: `dialog-${name}`,
          name,
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: 'false',
          'aria-describedby': `dialog-${name}-hint dialog-error`,
        }),
        el('p', { id: `dialog-${name}-hint`, class: 'muted small', text: hint }),
      ]),
    );
    this.dialog.showModal();
    byId('dialog-fields').querySelector('input').focus();
  }

  async #submit() {
    const question = this.#question;
    const ok = byId('dialog-ok');
    if (!question || ok.disabled) return;
    const values = Object.fromEntries(question.fields.map(({ name }) => [name, byId(`dialog-${name}`).value.trim()]));
    ok.disabled = true;
    try {
      const conv = await question.answer(values);
      this.dialog.close();
      this.show(conv);
    } catch (error) {
      byId('dialog-error').textContent = sentenceOf(error);
    } finally {
      ok.disabled = false;
    }
  }
}

/** @param {any} error */
function sentenceOf(error) {
  if (error?.code === 'exists') return 'This name is taken. Choose another.';
  if (error?.code === 'unsupported') return 'This version of the server can not do this yet.';
  if (error?.code === 'TIMEOUT') return 'The server did not answer. Try again when you are online.';
  return error?.message ?? String(error);
}
