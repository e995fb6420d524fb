/** Messages that were given up: looked at, tried again, dropped. They are in the server's store until one of the latter. */
import { EveryonceError } from '../../protocol/errors.js';
import { pause } from '../once.js';
import { badOption, checkWhole } from '../values.js';
import { textOf } from './handling.js';

const LETTERS_PER_ASK = 100;
const MAX_LIST = 1000;
/** Between two looks at a conversation that a member is at. */
const POLL_MS = { first: 10, most: 500 };

/**
 * @typedef {object} DeadLetter
 * @property {string} id of the letter: the message's mid
 * @property {import('./options.js').FeedMessage} message
 * @property {number} attempts
 * @property {string} error what the last of them said
 * @property {number} at when it was given up or last tried, Unix ms
 */

export class DeadLetters {
  #rules;
  #handling;
  /** @type {Set<Promise<unknown>>} */
  #replays = new Set();

  /**
   * @param {import('./options.js').Rules} rules
   * @param {import('./handling.js').Handling} handling
   */
  constructor(rules, handling) {
    this.#rules = rules;
    this.#handling = handling;
  }

  /**
   * @param {{ after?: string, limit?: number }} [page] those behind the letter `after`; at most `limit`, default 100, most 1000
   * @returns {Promise<DeadLetter[]>} the oldest message first; fewer than `limit`: there are no more
   */
  async list({ after, limit = 100 } = {}) {
    checkWhole(limit, 'limit', { most: MAX_LIST });
    /** @type {DeadLetter[]} */
    const found = [];
    let from = after === undefined ? '0' : checkId(after, 'after');
    for (let more = true; more && found.length < limit;) {
      const wanted = Math.min(LETTERS_PER_ASK, limit - found.length);
      const page = await this.#rules.feeds.letters(this.#rules.group, { after: from, limit: wanted });
      for (const letter of page.letters) found.push({ id: letter.message.mid, ...letter });
      more = page.more;
      from = found.at(-1)?.id ?? from;
    }
    return found;
  }

  /**
   * Handles it now, in this process, once more than its attempts; then it is gone. It comes after what its conversation has
   * had meanwhile.
   *
   * @param {string} id
   * @returns {Promise<void>} throws what the handler throws, and keeps the letter; NOT_FOUND, CLOSED, BUSY (another process
   *   works on a message of the same bizId)
   */
  async replay(id) {
    const replay = this.#replay(checkId(id, 'id'));
    const ended = replay.catch(() => {});
    this.#replays.add(ended);
    void ended.then(() => this.#replays.delete(ended));
    return replay;
  }

  /**
   * Forgets it: the message never has its effect.
   *
   * @param {string} id
   */
  async drop(id) {
    await this.#find(checkId(id, 'id'));
    await this.#rules.feeds.forget(this.#rules.group, id);
  }

  /** When no replay runs. */
  async idle() {
    await Promise.all(this.#replays);
  }

  /** @param {string} id */
  async #find(id) {
    const [letter] = await this.list({ after: String(BigInt(id) - 1n), limit: 1 });
    if (letter?.id !== id) throw new EveryonceError('NOT_FOUND', `there is no dead letter ${id}`, { id });
    return letter;
  }

  /** @param {string} id */
  async #replay(id) {
    const { feeds, group } = this.#rules;
    const { message } = await this.#find(id);
    const lease = await this.#hold(message.conv);
    const lost = new AbortController();
    const { leaseMs } = this.#rules;
    const renewal = setInterval(() => {
      const held = feeds.renew(group, { leases: [lease], leaseMs }).catch(() => []);
      void held.then((gone) => gone.length > 0 && lost.abort());
    }, leaseMs / 3);
    try {
      const { attempts } = await this.#find(id); // it may be done with by now
      const told = this.#handling.keyOf(message);
      if ('error' in told) throw told.error;
      const outcome = await this.#handling.attempt([{ key: told.key, message }], lost.signal, { limited: false });
      if (outcome.state === 'undecided') throw outcome.error;
      if (outcome.state === 'failed') {
        const counted = Math.max(attempts + 1, outcome.attempt);
        await feeds.mark(group, { mid: id, attempts: counted, error: textOf(outcome.error) });
        throw outcome.error;
      }
      await feeds.forget(group, id);
    } finally {
      clearInterval(renewal);
      await feeds.ack(group, { lease, seq: 0, release: true }).catch(() => {});
    }
  }

  /** The conversation's lease, when no member is at it. @param {string} conv @returns {Promise<number>} */
  async #hold(conv) {
    const { feeds, group, leaseMs } = this.#rules;
    for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.most)) {
      const { slices } = await feeds.take(group, { conv, limit: 0, leaseMs });
      if (slices.length > 0) return slices[0].lease;
      await pause(pollMs, undefined, this.#handling.stopping);
      if (this.#handling.stopping.aborted) throw new EveryonceError('CLOSED', 'the consumer is stopped');
    }
  }
}

/** @param {unknown} id @param {string} option @returns {string} */
function checkId(id, option) {
  if (typeof id === 'string' && /^[1-9][0-9]{0,18}$/.test(id)) return id;
  throw badOption(option, 'the id of a dead letter');
}
