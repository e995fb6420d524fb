// The client, and what its events mean for this page. All talk with the server goes through here.
import { Client, IndexedDBOutbox } from '/everyonce/client.js';
import { FaultySocket } from './faulty-socket.js';
import { History } from './history.js';
import { ChatState } from './state.js';

const PAGE = 100;
/** A message about typing is good for this long, and not repeated sooner than half of it, ms. */
const TYPING_MS = 4000;
/** An error is shown for this long, ms. */
const NOTICE_MS = 8000;

/** @typedef {import('./conversation.js').Message} Message */

export class Session {
  /** @type {ChatState} */
  state;
  /** @type {History} */
  #history;
  #outbox;
  #client;
  #restored = false;
  #typedAt = 0;
  /** @type {any} */
  #noticeTimer;

  /** @param {string} me @param {History} history */
  constructor(me, history) {
    this.state = new ChatState(me);
    this.#history = history;
    // One outbox per user, so that one's messages are never sent as another's; each tab takes a slot of its own in it.
    this.#outbox = new IndexedDBOutbox({ name: `chat:${me}` });
    this.#client = new Client({ url: location.origin, token: me, outbox: this.#outbox, WebSocket: FaultySocket });
    this.#listen();
  }

  /** Shows what this browser keeps, then connects; resolves before the connection is there. @param {string} me */
  static async start(me) {
    const session = new Session(me, await History.open(me));
    await session.#load();
    session.#client.connect().catch((error) => session.#failed(error));
    return session;
  }

  get device() {
    return this.#client.device;
  }

  async #load() {
    for (const { conv, members, marks, head } of await this.#history.conversations()) {
      const conversation = this.state.conversation(conv);
      for (const name of members) conversation.members.add(name);
      for (const [user, { got, read }] of marks) conversation.mark(user, got, read);
      conversation.head = head;
      for (const message of await this.#history.page(conv, 1)) conversation.insert(message);
    }
  }

  #listen() {
    const client = this.#client;
    client.on('state', (state, about) => this.#connection(state, about));
    client.on('message', (message) => this.#message(message));
    client.on('outbox', (entry) => this.#outgoing(entry));
    client.on('conversation', (view) => {
      const conversation = this.state.conversation(view.conv);
      const { epoch, head, got, read, unread } = view;
      Object.assign(conversation, { epoch, head, got, read, unread });
      this.state.changed(view.conv);
    });
    client.on('receipt', ({ conv, user, got, read }) => {
      const conversation = this.state.conversation(conv);
      conversation.mark(user, got, read);
      this.#keep(conversation);
    });
    client.on('gap', ({ conv, from, to }) => this.state.conversation(conv).gap(from, to));
    client.on('epoch', ({ conv, epoch, keep }) => {
      this.state.conversation(conv).newEpoch(epoch, keep);
      this.#keep(this.state.conversation(conv));
    });
    client.on('signal', ({ conv, from, body }) => this.#signalled(conv, from, body));
    client.on('error', (error) => this.#failed(error));
  }

  /** @param {string} state @param {Record<string, any>} [about] */
  #connection(state, about = {}) {
    // The first word about the connection comes after the outbox was opened.
    if (!this.#restored) this.#restore();
    this.state.connection = { state, reason: about.reason ?? '', error: about.error ?? null };
    this.state.changed();
  }

  /** What the outbox kept: messages that wait, and own ones whose ack came just before the page ended. */
  #restore() {
    this.#restored = true;
    for (const entry of this.#client.outbox()) this.#outgoing(entry);
    for (const [conv, entries] of this.#outbox.state.acked) {
      for (const { id, type = 'text', bodyText, device, accepted } of entries) {
        if (!accepted || !bodyText) continue;
        void this.#placed({ conv, id, type, body: JSON.parse(bodyText), device, ...accepted });
      }
    }
  }

  /** Acked by the client when this has returned: so it returns when the message is on disk. @param {Message} message */
  async #message(message) {
    await this.#history.put(message);
    const conversation = this.state.conversation(message.conv);
    conversation.handled(message);
    if (message.type === 'system.members' || conversation.messages.length === 1) this.#keep(conversation);
    this.state.changed(message.conv);
  }

  /** @param {any} entry of the client's outbox */
  #outgoing({ id, conv, state, type, body, at, error }) {
    const conversation = this.state.conversation(conv);
    if (state === 'acked') {
      // The same id again is the same message: this only asks for its place.
      const { device } = this.#client;
      void this.#client
        .send(conv, body, { id, type })
        .then((place) => this.#placed({ conv, id, type, body, device, ...place }));
      return;
    }
    if (error?.code === 'DISCARDED') conversation.pending.delete(id);
    else if (state === 'rejected') conversation.wait({ id, body, at, status: 'failed', reason: error?.message ?? '' });
    else conversation.wait({ id, body, at, status: state === 'unconfirmed' ? 'unconfirmed' : 'waiting', reason: '' });
    this.state.changed(conv);
  }

  /** An own message that the server has: it does not come back to the device that sent it. @param {any} sent */
  async #placed({ conv, id, type, body, device, epoch, seq, mid, at }) {
    const message = { conv, epoch, seq, mid, from: this.state.me, device, id, type, body, at };
    const conversation = this.state.conversation(conv);
    if (!conversation.insert(message)) return;
    this.state.changed(conv);
    if (conversation.messages.length === 1) this.#keep(conversation);
    await this.#history.put(message).catch((error) => this.#failed(error));
  }

  /** @param {import('./conversation.js').Conversation} conversation */
  #keep(conversation) {
    this.#history.keep(conversation).catch((error) => this.#failed(error));
    this.state.changed(conversation.conv);
  }

  /** @param {string} conv @param {string} from @param {any} body */
  #signalled(conv, from, body) {
    const conversation = this.state.conversation(conv);
    if (body?.typing === true) {
      conversation.typing.set(from, Date.now() + TYPING_MS);
      setTimeout(() => this.#stopTyping(conv, from), TYPING_MS + 50);
    } else conversation.typing.delete(from);
    this.state.changed(conv);
  }

  /** @param {string} conv @param {string} from */
  #stopTyping(conv, from) {
    const { typing } = this.state.conversation(conv);
    if ((typing.get(from) ?? 0) > Date.now()) return;
    typing.delete(from);
    this.state.changed(conv);
  }

  /** @param {any} error */
  #failed(error) {
    // What the state of the connection says anyway needs no second line.
    if (['UNCONFIRMED', 'CLOSED', 'OFFLINE', 'REPLACED', 'UNAUTHENTICATED'].includes(error?.code)) return;
    this.notify(error?.message ?? String(error));
  }

  /** @param {string} text */
  notify(text) {
    clearTimeout(this.#noticeTimer);
    this.state.notice = text;
    this.state.changed();
    if (text !== '') this.#noticeTimer = setTimeout(() => this.notify(''), NOTICE_MS);
  }

  // What the views ask for.

  /** @param {string | null} conv */
  async open(conv) {
    this.state.open = conv;
    this.state.changed();
    if (conv === null) return;
    const conversation = this.state.conversation(conv);
    conversation.begunAt ||= conversation.isEmpty ? Date.now() : 0;
    conversation.newFrom = conversation.unread > 0 ? conversation.read + 1 : 0;
    if (!conversation.isLoaded) await this.earlier(conv);
    conversation.isLoaded = true;
    this.state.changed(conv);
  }

  /** Older messages out of this browser's history, else from the server. @param {string} conv */
  async earlier(conv) {
    const conversation = this.state.conversation(conv);
    const [first] = conversation.messages;
    const found = await this.#history.page(conv, PAGE, first);
    for (const message of found) conversation.insert(message);
    conversation.hasEarlier = found.length === PAGE || (conversation.messages[0]?.seq ?? conversation.head + 1) > 1;
    if (found.length === 0 && conversation.isLoaded && conversation.hasEarlier)
      await this.#earlierFromServer(conversation);
    this.state.changed(conv);
  }

  /** @param {import('./conversation.js').Conversation} conversation */
  async #earlierFromServer(conversation) {
    const { conv, messages } = conversation;
    try {
      const { items, more } = await this.#client.history(conv, { before: messages[0]?.seq, limit: PAGE });
      for (const message of items) conversation.insert(message);
      await this.#history.put(...items);
      conversation.hasEarlier = more;
    } catch (error) {
      if (error.code === 'unsupported') conversation.hasEarlier = false;
      this.#failed(error);
    }
  }

  /** @param {string} conv @param {string} text */
  send(conv, text) {
    const conversation = this.state.conversation(conv);
    const id = randomId();
    const body = { text };
    conversation.newFrom = 0;
    conversation.wait({ id, body, at: Date.now(), status: 'waiting', reason: '' });
    this.state.changed(conv);
    this.#typedAt = 0;
    this.#client.send(conv, body, { id }).catch((error) => {
      // What the outbox holds tells of itself; this is for what it never took.
      if (['OUTBOX_FULL', 'OUTBOX_FAILED', 'too_large', 'INVALID_ARGUMENT'].includes(error.code)) {
        conversation.wait({ id, body, at: Date.now(), status: 'failed', reason: error.message });
        this.state.changed(conv);
      }
    });
  }

  /** @param {string} id */
  retry(id) {
    this.#client.retry(id).catch((error) => this.#failed(error));
  }

  /** @param {string} conv @param {string} id */
  async discard(conv, id) {
    const conversation = this.state.conversation(conv);
    if (conversation.pending.get(id)?.status === 'failed') {
      conversation.pending.delete(id);
      this.state.changed(conv);
      return;
    }
    await this.#client.discard(id).catch((error) => this.#failed(error));
  }

  /** @param {string} conv @param {number} seq */
  read(conv, seq) {
    const conversation = this.state.conversation(conv);
    if (seq > conversation.read) this.#client.read(conv, seq);
  }

  /** @param {string} conv @param {boolean} isTyping */
  typing(conv, isTyping) {
    const now = Date.now();
    if (isTyping && now - this.#typedAt < TYPING_MS / 2) return;
    if (!isTyping && this.#typedAt === 0) return;
    this.#typedAt = isTyping ? now : 0;
    this.#client.signal(conv, { typing: isTyping });
  }

  /** @param {string} conv @param {string[]} members */
  async createGroup(conv, members) {
    await this.#client.createConversation(conv, members);
    const conversation = this.state.conversation(conv);
    for (const name of [this.state.me, ...members]) conversation.members.add(name);
    this.#keep(conversation);
  }

  /** @param {string} conv @param {string[]} members */
  addMembers(conv, members) {
    return this.#client.addMembers(conv, members);
  }

  /** After another connection of this tab's device took over, or a lost outbox. */
  reconnect() {
    this.#client.connect().catch((error) => this.#failed(error));
  }
}

/** Not crypto.randomUUID: that is missing where a page comes over plain http. */
const randomId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
