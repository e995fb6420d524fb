/** Reads every message that a server accepted, for the application's own work. */
import { EventEmitter } from 'node:events';
import { EveryonceError } from '../protocol/errors.js';
import { DeadLetters } from './consumer/dead-letters.js';
import { Handling } from './consumer/handling.js';
import { Lane } from './consumer/lane.js';
import { checkGroup, feedsOf, readOptions } from './consumer/options.js';
import { Slots } from './consumer/slots.js';
import { pause } from './once.js';
import { MAX_TIMER_MS, checkWhole } from './values.js';

/** @typedef {import('./consumer/options.js').ConsumerOptions} ConsumerOptions */

/** Messages of a conversation that are taken at once: many enough that asking costs little, few enough that all get their turn. */
const MESSAGES_PER_TURN = 100;
const CONVERSATIONS_PER_TAKE = 64;
/** Conversations that wait to be tried again hold a lease, and no slot. Beyond so many, nothing more is taken. */
const MAX_LANES = 2000;
/** Between two looks though no bell rang: a lease of somebody who died may have run out. */
const MAX_QUIET_MS = 5_000;
const STORE_PAUSE_MS = { first: 100, most: 5_000 };

/**
 * A member of a consumer group: every message that the server accepted is handled, at least once, in order within a conversation, one
 * at a time of each conversation. `once` is on top: each message by (conv, epoch, seq), or each `bizId`, is handled until it
 * has succeeded, and then no more. What `once` can not do holds here too: a process that dies behind the effect and before it is
 * noted repeats it, so the effect must bear that (`fence`, a unique key, sqlOnce).
 *
 * Several Consumers of one group share the conversations by leases. What they have not passed stays in the log, whatever its
 * retention says, until the group is dropped.
 *
 * A handler that throws is called again after a back-off, `maxAttempts` times over all processes and restarts; then the message
 * is parked as a dead letter, and its conversation goes on: what comes later is handled before what was parked. With `deadLetter:
 * false` the conversation waits instead, for as long as it takes. An error with `final: true` is not tried again.
 *
 * Events: `parked` (message, error), `failed` (error, message, attempt), `error` (of the store; it goes on; logged by the
 * server where nobody listens).
 */
export class Consumer extends EventEmitter {
  #rules;
  #handling;
  #slots;
  /** @type {Set<Lane>} */
  #lanes = new Set();
  #stopping = new AbortController();
  /** @type {Promise<void> | undefined} */
  #running;
  /** @type {Promise<void> | undefined} */
  #stopped;
  /** @type {() => void} */
  #wake = () => {};
  /** What happened since the last look. */
  #awake = true;
  /** @type {(() => void)[]} */
  #undo = [];

  /**
   * @param {ConsumerOptions} options
   * @throws {EveryonceError} INVALID_ARGUMENT, BAD_OPTION (`option`)
   */
  constructor(options) {
    super();
    this.#rules = readOptions(options);
    this.#slots = new Slots(this.#rules.concurrency, () => this.#look());
    this.#handling = new Handling(this.#rules, this.#stopping.signal, {
      failed: (error, message, attempt) => this.emit('failed', error, message, attempt),
      parked: (message, error) => this.emit('parked', message, error),
      fault: (error) => this.#fault(error),
    });
    /** What was given up: to be looked at, tried again or dropped. */
    this.deadLetters = new DeadLetters(this.#rules, this.#handling);
  }

  /**
   * Removes a group that nobody reads any more: its positions and dead letters go, and it holds the log no longer.
   *
   * @param {any} server
   * @param {string} group
   */
  static async drop(server, group) {
    await feedsOf(server).drop(checkGroup(group));
  }

  /**
   * Registers the group, for good, and begins to read. A consumer starts once; make another one to read again.
   *
   * @returns {Promise<void>} when the group is registered: nothing that is accepted from here on is missed
   * @throws {EveryonceError} CLOSED, unavailable, and what the store of claims throws
   */
  async start() {
    if (this.#stopped) throw new EveryonceError('CLOSED', 'the consumer is stopped; make another one');
    if (this.#running) return;
    const { feeds, group, from, leaseMs } = this.#rules;
    await feeds.open(group, { from });
    if (this.#stopped || this.#running) return;
    this.#undo.push(feeds.onClose(() => this.stop()));
    this.#undo.push(feeds.onNews(group, () => this.#look()));
    this.#undo.push(feeds.onReplay(group, (/** @type {string} */ id) => this.deadLetters.replay(id)));
    const renewal = setInterval(() => void this.#renew(), Math.max(10, Math.floor(leaseMs / 3)));
    this.#undo.push(() => clearInterval(renewal));
    this.#running = this.#run();
  }

  /**
   * Takes nothing more, waits for the handlers that run, and gives everything back: another member goes on at once. Calling again
   * waits for the same.
   *
   * @param {{ timeoutMs?: number }} [options] how long handlers are waited for, default as long as they take (`maxRunMs`);
   *   then their `signal` is aborted, and what they do counts as not done
   * @returns {Promise<void>}
   */
  stop({ timeoutMs } = {}) {
    if (timeoutMs !== undefined) checkWhole(timeoutMs, 'timeoutMs', { least: 0, most: MAX_TIMER_MS });
    return (this.#stopped ??= this.#stop(timeoutMs));
  }

  /**
   * How far the group is behind, over all its members.
   *
   * @returns {Promise<{ messages: number, oldestMs: number }>} messages that were accepted and are not passed, and the age of
   *   the oldest; 0: none
   */
  async lag() {
    const { feeds, group } = this.#rules;
    if (!this.#running) await feeds.open(group, { from: this.#rules.from });
    for (;;) {
      // After a start of the server all conversations are looked at once, some at a time.
      const { messages, oldest, exact } = await feeds.lag(group);
      if (!exact) continue;
      return { messages, oldestMs: messages === 0 || oldest === 0 ? 0 : Math.max(0, Date.now() - oldest) };
    }
  }

  async #run() {
    const { feeds, group, leaseMs, rawBodies } = this.#rules;
    let pauseMs = STORE_PAUSE_MS.first;
    while (!this.#stopping.signal.aborted) {
      this.#awake = false;
      const room = Math.min(this.#slots.free, MAX_LANES - this.#lanes.size, CONVERSATIONS_PER_TAKE);
      if (room <= 0) {
        await this.#quiet(MAX_QUIET_MS);
        continue;
      }
      const limit = Math.max(MESSAGES_PER_TURN, this.#rules.batch);
      let page;
      try {
        page = await feeds.take(group, { conversations: room, limit, leaseMs, raw: rawBodies });
        pauseMs = STORE_PAUSE_MS.first;
      } catch (/** @type {any} */ error) {
        if (!this.#fault(error)) return;
        await pause(pauseMs, undefined, this.#stopping.signal);
        pauseMs = Math.min(pauseMs * 2, STORE_PAUSE_MS.most);
        continue;
      }
      for (const slice of page.slices) this.#begin(slice);
      if (!page.more) await this.#quiet(Math.min(MAX_QUIET_MS, leaseMs));
    }
  }

  /** @param {import('../server/feeds.js').Slice} slice */
  #begin(slice) {
    const lane = new Lane(slice, this.#rules, this.#slots, this.#handling);
    this.#lanes.add(lane);
    void lane.run(this.#stopping.signal).then(() => {
      this.#lanes.delete(lane);
      this.#look();
    });
  }

  #look() {
    this.#awake = true;
    this.#wake();
  }

  /** Until something happens. @param {number} mostMs */
  async #quiet(mostMs) {
    if (this.#awake || this.#stopping.signal.aborted) return;
    await pause(mostMs, new Promise((resolve) => (this.#wake = () => resolve(undefined))), this.#stopping.signal);
  }

  /** Holds on to what is held, and notes how far it is. */
  async #renew() {
    const { feeds, group, leaseMs } = this.#rules;
    const lanes = [...this.#lanes];
    if (lanes.length === 0) return;
    try {
      const lost = new Set(await feeds.renew(group, { leases: lanes.map(({ lease }) => lease), leaseMs }));
      for (const lane of lanes) {
        if (lost.has(lane.lease)) lane.lose();
        else await lane.note();
      }
    } catch (/** @type {any} */ error) {
      this.#fault(error);
    }
  }

  /** @param {number | undefined} timeoutMs */
  async #stop(timeoutMs) {
    this.#stopping.abort();
    this.#wake();
    const idle = async () => {
      await this.#running;
      await Promise.all([...this.#lanes].map((lane) => lane.ended));
      await this.deadLetters.idle();
    };
    if (timeoutMs === undefined) await idle();
    else {
      await pause(timeoutMs, idle(), new AbortController().signal);
      this.#handling.abandon();
      await idle();
    }
    for (const undo of this.#undo.splice(0)) undo();
    await this.#handling.close();
    await this.#rules.closeLog();
  }

  /**
   * @param {any} error of the store or the server
   * @returns {boolean} whether to go on: not where the server is closed, or the group was dropped
   */
  #fault(error) {
    if (this.#stopping.signal.aborted) return false;
    const told =
      error instanceof EveryonceError ? error : new EveryonceError('STORE_FAILED', undefined, { cause: error });
    const isOver = told.code === 'CLOSED' || told.code === 'bad_request';
    if (this.listenerCount('error') > 0) this.emit('error', told);
    else if (told.code !== 'CLOSED') this.#rules.feeds.report(told);
    if (isOver) void this.stop();
    return !isOver;
  }
}
