/**
 * The client: messages that are sent arrive once, and messages that arrive are shown once, in order, whatever the
 * network, the server or this process do in between. This is the public face; session.js joins the parts, and what to do
 * when is decided in lane.js (sending), inbox.js (receiving) and transport.js (connecting).
 */
import {
  EveryonceError,
  LIMITS,
  check,
  checkConversation,
  checkMessageId,
  checkSeq,
  checkType,
  isGroup,
  isUser,
} from '../protocol/index.js';
import { messageOf, offlinePages } from './backlog.js';
import { randomId } from './clock.js';
import { Emitter } from './emitter.js';
import { bodiesOf, checkBodies, encodeEntry, isTooLarge, sentOf } from './package.js';
import { Session, outgoing } from './session.js';

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./send.js').Sent} Sent
 * @typedef {import('./send.js').Send} Send
 * @typedef {import('./inbox.js').Message} Message
 * @typedef {import('./options.js').ClientOptions} ClientOptions
 * @typedef {import('./session.js').Outgoing} Outgoing
 */

/**
 * Events: `message` (awaited, see there), `state` (state, about), `outbox` (entry), `receipt`, `signal`, `gap`, `epoch`,
 * `moved` (a message that was shown has another place now), `conversation` (heads and unread counts), `read`, `device` (a
 * new id was taken), `error`. docs/client.md says what each carries.
 */
export class Client extends Emitter {
  #session;
  /** Sends whose outbox write is under way. @type {Map<string, Promise<Sent>>} */
  #appending = new Map();

  /**
   * @param {ClientOptions} options
   * @throws {EveryonceError} `INVALID_ARGUMENT` naming the option; `NO_WEBSOCKET`
   */
  constructor(options) {
    super();
    this.#session = new Session(options, this);
  }

  /** Who this is, as the server said; '' before the first welcome of this outbox. */
  get user() {
    return this.#session.options.outbox.state.user;
  }

  /** The id of this installation; '' before the outbox is open. */
  get device() {
    return this.#session.options.outbox.state.device;
  }

  /** 'offline' (it may be waiting to connect again), 'connecting', 'online', 'replaced' or 'closed'. */
  get state() {
    return this.#session.transport.state;
  }

  /**
   * Connects, and from then on connects again by itself.
   * @returns {Promise<void>} resolves at the server's welcome; rejects with `UNAUTHENTICATED`, `REPLACED`, `OUTBOX_LOCKED`,
   *   `OUTBOX_USER` or `CLOSED`. A server that can't be reached is tried until it can.
   */
  async connect() {
    await this.#session.connect();
  }

  /** Ends the connection and lets the outbox go. What is unanswered stays in a kept outbox; its promises reject with `CLOSED`. */
  async close() {
    await this.#session.close();
  }

  /** @param {string} event @override */
  listenerAdded(event) {
    if (event === 'message') this.#session.handlerAdded();
  }

  /**
   * @param {string} event
   * @param {...any} about
   * @override
   */
  emit(event, ...about) {
    const heard = super.emit(event, ...about);
    if (event === 'error' && !heard) console.error('everyonce:', about[0]);
    return heard;
  }

  // Sending

  /**
   * Sends a message. Works offline and before connect(): it waits in the outbox.
   * @param {string} conv
   * @param {unknown} body any JSON value; taken as it is now
   * @param {{ type?: string, id?: string }} [options] `id`: the same id again is the same message, sent once
   * @returns {Promise<Sent>} resolves when the server has stored it; rejects with the server's code (`forbidden`, `too_large` …),
   *   `UNCONFIRMED` (it stays in the outbox and is offered on), `DISCARDED`, `OUTBOX_FULL`, `OUTBOX_FAILED` or `CLOSED`
   */
  async send(conv, body, { type, id } = {}) {
    return this.#take(conv, { type, id }, () => ({ bodyText: textOf(body) }));
  }

  /**
   * Takes a message or a package into the outbox.
   * @param {string} conv
   * @param {{ type?: string, id?: string }} options
   * @param {() => { bodyText: string, parts?: import('./outbox-state.js').Part[] }} content checks it
   * @returns {Promise<any>}
   */
  async #take(conv, { type, id: given }, content) {
    checkConversation(conv);
    if (given !== undefined) checkMessageId(given);
    if (type !== undefined) checkType(type);
    const { bodyText, parts } = content();
    this.#session.throwIfClosed();
    await this.#session.opened;
    this.#session.throwIfClosed();
    const named = given !== undefined && this.#isKnown(conv, given);
    const tokened = named ? {} : this.#tokensFor(parts);
    const id = given ?? (parts ? undefined : tokened.tokens?.[0]) ?? randomId(this.#session.options.random);
    const { outbox, maxQueued, clock } = this.#session.options;
    const known = this.#appending.get(id) ?? this.#session.sender.find(id)?.promise();
    if (known) return known;
    const settled = outbox.state.acked.get(conv)?.find((entry) => entry.id === id);
    if (settled?.accepted) return sentOf(settled, placesOf(settled));
    if (outbox.state.size >= maxQueued)
      throw new EveryonceError('OUTBOX_FULL', undefined, { id, conv, option: 'maxQueued' });
    const at = Math.floor(clock.now());
    const message = {
      conv,
      id,
      bodyText,
      at,
      ...(type === undefined ? {} : { type }),
      ...(parts ? { parts } : {}),
      ...tokened,
    };
    // A number of the usual length stands in for the one that it will get.
    const asEntry = { ...message, n: Number.MAX_SAFE_INTEGER, device: '', order: 0 };
    if (isTooLarge({ bodies: bodiesOf(asEntry), texts: encodeEntry(asEntry) }, this.#session.limits))
      throw new EveryonceError('too_large', undefined, { id, conv });
    const sent = outbox.append(message).then((entry) => {
      const promise = this.#session.sender.add(entry, true).promise();
      if (this.#session.closed) this.#session.sender.stop(new EveryonceError('CLOSED'));
      return promise;
    });
    this.#appending.set(id, sent);
    const forget = () => void this.#appending.delete(id);
    sent.then(forget, forget);
    return sent;
  }

  /** @param {string} conv @param {string} id @returns {boolean} whether a message of this name was taken before */
  #isKnown(conv, id) {
    const { outbox } = this.#session.options;
    const acked = outbox.state.acked.get(conv);
    return this.#appending.has(id) || outbox.state.byId.has(id) || acked?.some((entry) => entry.id === id) === true;
  }

  /**
   * Where tokens are required, those that are ready; a message without waits in the outbox until it has some.
   * @param {import('./outbox-state.js').Part[]} [parts] get them for their ids
   * @returns {{ tokens?: string[], waits?: true }}
   */
  #tokensFor(parts) {
    if (!this.#session.options.outbox.state.tokensRequired) return {};
    const tokens = this.#session.tokens.takeReady(parts?.length ?? 1);
    if (!tokens) return { waits: true };
    parts?.forEach((part, i) => (part.id = tokens[i]));
    return { tokens, waits: true };
  }

  /**
   * Several messages that are stored together, one behind the other, or not at all. In the outbox they are one entry.
   * @param {string} conv
   * @param {unknown[]} bodies 1 to 256 JSON values; taken as they are now
   * @param {{ type?: string, id?: string }} [options] `id`: of the package; the same id again is the same package
   * @returns {Promise<Sent[]>} in order, as send(); rejects as send(), and with `package_incomplete` where
   *   `onIncomplete` is 'abandon'
   */
  async sendPackage(conv, bodies, { type, id } = {}) {
    return this.#take(conv, { type, id }, () => {
      checkBodies(bodies);
      const { random } = this.#session.options;
      return { bodyText: '', parts: bodies.map((body) => ({ id: randomId(random), bodyText: textOf(body) })) };
    });
  }

  /** What waits for the server, in order within each conversation; empty until the outbox is open. @returns {Outgoing[]} */
  outbox() {
    return this.#session.sender
      .all()
      .filter((send) => !send.entry.skip)
      .map(outgoing);
  }

  /**
   * Offers an unconfirmed message now.
   * @param {string} id
   * @returns {Promise<Sent>} as send()
   */
  async retry(id) {
    return this.#session.sender.retry(this.#find(id));
  }

  /**
   * Takes a message back, if the server has not stored it.
   * @param {string} id
   * @returns {Promise<void>} rejects with `ALREADY_ACCEPTED`; or `TIMEOUT`, where the server could not be asked
   */
  async discard(id) {
    await this.#session.sender.discard(this.#find(id));
  }

  /** @param {string} id @returns {Send} */
  #find(id) {
    const send = this.#session.sender.find(id);
    if (!send || send.entry.skip) throw new EveryonceError('NOT_FOUND', undefined, { id });
    return send;
  }

  // Receiving and asking

  /** What is known of each conversation. */
  conversations() {
    return this.#session.receiver.conversations();
  }

  /**
   * Pages of what this device missed, for `backlog: 'manual'`.
   * @param {import('./backlog.js').OfflineOptions} [options]
   */
  offline(options = {}) {
    if (options.conv !== undefined) checkConversation(options.conv);
    return offlinePages(
      {
        ask: (question) => this.#session.ask(question),
        taken: (page) => this.#session.receiver.pageTaken(page),
        finished: (conv) => this.#session.receiver.backlogTaken(conv),
      },
      options,
    );
  }

  /**
   * How much is unread, over all conversations, without pulling it.
   * @returns {Promise<{ total: number, convs: { conv: string, epoch: number, unread: number, head: number, got: number }[] }>}
   */
  async counts() {
    const convs = [];
    for (;;) {
      const after = convs.at(-1)?.conv;
      const answer = await this.#session.ask({ t: 'counts', ...(after === undefined ? {} : { after }) });
      convs.push(...answer.convs);
      if (!answer.more || answer.convs.length === 0) return { total: answer.total, convs };
    }
  }

  /**
   * Reads back; acks nothing.
   * @param {string} conv
   * @param {{ before?: number, after?: number, limit?: number }} [options]
   * @returns {Promise<{ items: Message[], more: boolean }>} ascending by seq
   */
  async history(conv, { before, after, limit = 50 } = {}) {
    checkConversation(conv);
    const range = { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
    const page = await this.#session.ask({ t: 'history', conv, limit, ...range });
    return {
      items: page.items.filter((/** @type {Packet} */ item) => item.t === 'msg').map(messageOf),
      more: page.more === true,
    };
  }

  /** The user has read the conversation up to `seq`; told to the server now or when it is back. @param {string} conv @param {number} seq */
  read(conv, seq) {
    checkConversation(conv);
    checkSeq(seq, 'seq');
    this.#session.receiver.read(conv, seq);
  }

  /**
   * Something of the moment, like typing: to members who are online, not stored.
   * @param {string} conv
   * @param {unknown} body
   * @returns {boolean} false where it was dropped, because there is no connection
   */
  signal(conv, body) {
    checkConversation(conv);
    textOf(body);
    return this.#session.transport.writable && this.#session.write({ t: 'signal', conv, body }, true);
  }

  /**
   * @param {string} conv `g:NAME`
   * @param {string[]} members
   * @param {{ history?: 'all' }} [options] `all`: who joins later sees everything
   */
  async createConversation(conv, members, { history } = {}) {
    await this.#askMembers('create', conv, members, history === undefined ? {} : { history });
  }

  /** @param {string} conv @param {string[]} members */
  async addMembers(conv, members) {
    await this.#askMembers('add', conv, members);
  }

  /** @param {string} conv @param {string[]} members */
  async removeMembers(conv, members) {
    await this.#askMembers('remove', conv, members);
  }

  /** @param {string} conv */
  async leave(conv) {
    check(isGroup(conv), 'conv', conv, 'g:NAME');
    await this.#session.ask({ t: 'leave', conv });
  }

  /** @param {string} t @param {string} conv @param {string[]} members @param {Record<string, unknown>} [more] */
  async #askMembers(t, conv, members, more = {}) {
    check(isGroup(conv), 'conv', conv, 'g:NAME');
    const good = Array.isArray(members) && members.length <= LIMITS.members && members.every(isUser);
    check(good, 'members', members, `at most ${LIMITS.members} user ids`);
    await this.#session.ask({ t, conv, members, ...more });
  }
}

/** @param {import('./outbox-state.js').Entry} entry that was accepted */
function placesOf({ accepted }) {
  const { mids, ...first } = /** @type {import('./outbox-state.js').Accepted} */ (accepted);
  return (mids ?? [first.mid]).map((mid, i) => ({ t: 'ack', ...first, seq: first.seq + i, mid, dup: true }));
}

/** @param {unknown} body @returns {string} */
function textOf(body) {
  let text;
  try {
    text = JSON.stringify(body);
  } catch (cause) {
    throw new EveryonceError('INVALID_ARGUMENT', 'body must be a JSON value', { field: 'body', cause });
  }
  check(text !== undefined, 'body', body, 'a JSON value');
  return text;
}
