// Consumer groups, as packets of their own to the engine: who reads them is `Consumer` of everyonce/idempotency.

import { EveryonceError } from '../protocol/errors.js';

/**
 * @typedef {{ conv: string, epoch: number, seq: number, mid: string, from: string, device: string, id: string, type: string,
 *   body: any, at: number }} FeedMessage `epoch` is the one that the message was numbered in: (conv, epoch, seq) names it for ever
 * @typedef {{ conv: string, lease: number, messages: FeedMessage[] }} Slice ascending by seq
 * @typedef {{ messages: number, oldest: number, deadLetters: number, exact: boolean }} Lag `oldest`: Unix ms, 0: none;
 *   not `exact`: not all conversations have been looked at since the start, ask again
 * @typedef {{ message: FeedMessage, attempts: number, error: string, at: number }} Letter
 * @typedef {{ handled: number, repeated: number, failed: number, parked: number }} Counts of a group in this process
 */

export class Feeds {
  #call;
  #fault;
  /** @type {Map<string, Set<() => void>>} */
  #listeners = new Map();
  /** @type {Map<string, Counts>} */
  #counts = new Map();
  /** Who handles a dead letter again, by group. @type {Map<string, Set<(mid: string) => Promise<void>>>} */
  #replayers = new Map();
  /** What is to be stopped before the engine is. @type {Set<() => Promise<unknown>>} */
  #stops = new Set();
  #isClosed = false;

  /**
   * @param {(call: Record<string, any>) => Promise<Record<string, any>>} call the engine's `feed`, answered
   * @param {(error: EveryonceError) => void} fault tells of an error that no call can be given
   */
  constructor(call, fault) {
    this.#call = call;
    this.#fault = fault;
  }

  /**
   * Registers a group for good: from now on the log keeps what it has not passed. Calling again finds it.
   *
   * @param {string} group 1 to 48 of A-Z a-z 0-9 _ . -
   * @param {{ from?: 'start' | 'now' }} [options] looked at where the group is new
   */
  async open(group, { from = 'start' } = {}) {
    await this.#call({ action: 'open', group, fromNow: from === 'now' });
  }

  /**
   * Takes conversations that have news, each under a lease; one `conv` also where it has none.
   *
   * @param {string} group
   * @param {{ conv?: string, conversations?: number, limit: number, leaseMs: number, raw?: boolean }} wanted `limit`: messages of
   *   each, at most 1000; conversations: at most 64; `raw`: bodies as JSON text, byte for byte as they were accepted
   * @returns {Promise<{ slices: Slice[], more: boolean }>} not `more`: onNews tells when there is
   */
  async take(group, { conv, conversations = 1, limit, leaseMs, raw = false }) {
    const { slices, more } = await this.#call({ action: 'take', group, conv, conversations, limit, leaseMs, raw });
    for (const slice of slices) slice.messages = slice.messages.map(withoutType);
    return { slices, more };
  }

  /**
   * Everything up to `seq` is handled (0: nothing more).
   *
   * @param {string} group
   * @param {{ lease: number, seq: number, release?: boolean }} passed
   * @throws {EveryonceError} conflict: the lease has run out
   */
  async ack(group, { lease, seq, release = false }) {
    await this.#call({ action: 'ack', group, lease, seq, release });
  }

  /**
   * The message at `seq` is given up: a dead letter, durable, and the position passes it.
   *
   * @param {string} group
   * @param {{ lease: number, seq: number, attempts: number, error: string }} given
   */
  async park(group, { lease, seq, attempts, error }) {
    await this.#call({ action: 'park', group, lease, seq, attempts, error });
  }

  /**
   * @param {string} group
   * @param {{ leases: number[], leaseMs: number }} held
   * @returns {Promise<number[]>} the leases that are lost
   */
  async renew(group, { leases, leaseMs }) {
    return (await this.#call({ action: 'renew', group, leases, leaseMs })).lost;
  }

  /** @param {string} group @returns {Promise<Lag>} */
  async lag(group) {
    const { messages, oldest, deadLetters, exact } = await this.#call({ action: 'lag', group });
    return { messages, oldest, deadLetters, exact };
  }

  /**
   * @param {string} group
   * @param {{ after?: string, limit: number }} page dead letters of messages above the mid `after`; at most 100
   * @returns {Promise<{ letters: Letter[], more: boolean }>}
   */
  async letters(group, { after = '0', limit }) {
    const { letters, more } = await this.#call({ action: 'letters', group, after, limit });
    for (const letter of letters) letter.message = withoutType(letter.message);
    return { letters, more };
  }

  /** A dead letter was tried again in vain. @param {string} group @param {{ mid: string, attempts: number, error: string }} told */
  async mark(group, { mid, attempts, error }) {
    await this.#call({ action: 'mark', group, mid, attempts, error });
  }

  /** A dead letter is done with. @param {string} group @param {string} mid */
  async forget(group, mid) {
    await this.#call({ action: 'forget', group, mid });
  }

  /**
   * Removes a group, its positions and its dead letters: it holds the log no longer.
   *
   * @param {string} group
   */
  async drop(group) {
    await this.#call({ action: 'drop', group });
    this.#counts.delete(group);
  }

  /** @returns {Promise<{ group: string, at: number }[]>} all groups, with when they were made */
  async list() {
    return (await this.#call({ action: 'groups' })).groups;
  }

  /**
   * @param {string} group
   * @param {() => void} listener called when there may be news; a call may be lost
   * @returns {() => void} ends it
   */
  onNews(group, listener) {
    const listeners = this.#listeners.get(group) ?? new Set();
    this.#listeners.set(group, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(group) === listeners) this.#listeners.delete(group);
    };
  }

  /** The engine's bell. @param {string} group */
  news(group) {
    for (const listener of this.#listeners.get(group) ?? []) listener();
  }

  /**
   * @param {string} group
   * @param {(mid: string) => Promise<void>} replay of a consumer of this process: handles a dead letter now
   * @returns {() => void} not any more
   */
  onReplay(group, replay) {
    const replayers = this.#replayers.get(group) ?? new Set();
    this.#replayers.set(group, replayers.add(replay));
    return () => {
      replayers.delete(replay);
      if (replayers.size === 0 && this.#replayers.get(group) === replayers) this.#replayers.delete(group);
    };
  }

  /**
   * Has a dead letter handled again by a consumer of this process.
   *
   * @param {string} group
   * @param {string} mid
   * @throws {EveryonceError} UNSUPPORTED: none runs here; NOT_FOUND; what the handler throws
   */
  async replay(group, mid) {
    const [replay] = this.#replayers.get(group) ?? [];
    if (replay === undefined) {
      throw new EveryonceError('UNSUPPORTED', `no consumer of the group ${group} runs in the server's process`);
    }
    await replay(mid);
  }

  /** What this process did for a group; the caller adds to it. @param {string} group @returns {Counts} */
  counts(group) {
    const counts = this.#counts.get(group) ?? { handled: 0, repeated: 0, failed: 0, parked: 0 };
    this.#counts.set(group, counts);
    return counts;
  }

  /** @param {EveryonceError} error */
  report(error) {
    this.#fault(error);
  }

  /**
   * @param {() => Promise<unknown>} stop called before the engine is stopped
   * @returns {() => void} not any more
   */
  onClose(stop) {
    if (this.#isClosed) throw new EveryonceError('CLOSED', 'the server is closed');
    this.#stops.add(stop);
    return () => this.#stops.delete(stop);
  }

  /** Stops whoever reads. */
  async close() {
    this.#isClosed = true;
    await Promise.allSettled([...this.#stops].map((stop) => stop()));
    this.#call = async () => {
      throw new EveryonceError('CLOSED', 'the server is closed');
    };
  }
}

/** @param {Record<string, any>} packet a `msg` @returns {FeedMessage} */
function withoutType({ t: _t, ...message }) {
  return /** @type {FeedMessage} */ (message);
}
