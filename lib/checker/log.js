/** The log as the members read it at the end: what is wrong with it by itself, and where each message stands. */
import { comparePlaces, isVoidBy, messageKey, placeOf } from './names.js';
import { Visibility } from './visibility.js';

/**
 * @typedef {import('./history.js').HistoryEvent} HistoryEvent
 * @typedef {import('./judge.js').Run} Run
 * @typedef {import('./judge.js').Finding} Finding
 */

/** @param {HistoryEvent} event */
const isSystem = ({ from, type = '' }) => from === 'system' && type.startsWith('system.');

export class Log {
  #run;
  #findings;
  /** First place of each message. @type {Map<string, HistoryEvent>} */
  #byKey = new Map();
  /** By conversation, then by (epoch, seq). @type {Map<string, Map<string, HistoryEvent>>} */
  #places = new Map();
  /** @type {Map<string, Visibility>} */
  #visible = new Map();

  /** @param {Run} run @param {Finding[]} findings */
  constructor(run, findings) {
    this.#run = run;
    this.#findings = findings;
  }

  /** @param {string} key messageKey @returns {HistoryEvent | undefined} */
  find(key) {
    return this.#byKey.get(key);
  }

  /** @param {HistoryEvent} event @returns {HistoryEvent | undefined} what the log has at the event's place */
  at({ conv = '', epoch, seq }) {
    return this.#places.get(conv)?.get(`${epoch} ${seq}`);
  }

  /** @param {string} conv @returns {HistoryEvent[]} in order */
  conversation(conv) {
    return [...(this.#places.get(conv)?.values() ?? [])];
  }

  /** @param {string} conv who may see what of it */
  visibility(conv) {
    const known = this.#visible.get(conv) ?? new Visibility(this.conversation(conv));
    this.#visible.set(conv, known);
    return known;
  }

  /** @returns {HistoryEvent[][]} each in order */
  conversations() {
    return [...this.#places.keys()].map((conv) => this.conversation(conv));
  }

  check() {
    for (const read of this.#run.log) this.#take(read);
    this.#takeGone();
    for (const [conv, places] of this.#places) {
      const sorted = [...places].sort(([, a], [, b]) => comparePlaces(a, b));
      this.#places.set(conv, new Map(sorted));
    }
    for (const places of this.conversations()) {
      this.#checkDense(places);
      for (const stored of places) this.#checkMessage(stored);
    }
    this.#checkReaders();
  }

  /** @param {HistoryEvent} read */
  #take(read) {
    const { conv = '', epoch, seq } = read;
    const places = this.#places.get(conv) ?? new Map();
    this.#places.set(conv, places);
    const known = places.get(`${epoch} ${seq}`);
    if (!known) places.set(`${epoch} ${seq}`, read);
    else if (nameOf(known) !== nameOf(read)) this.#add('changed', 'place_reused', read, `also ${known.id}`);
    else if (known.hash !== read.hash) this.#add('changed', 'bytes', read, `as ${read.user} reads it`);
  }

  /** What retention has removed stood where its ack says; of what was never acked there, nothing is known. */
  #takeGone() {
    if (this.#run.gone.length === 0) return;
    for (const { invoke, ack } of this.#run.sends.values()) {
      if (!ack || !this.isGone(ack) || this.at(ack)) continue;
      const { user: from, device: fromDevice } = invoke;
      this.#take({ ...invoke, ...ack, op: 'log', user: '', device: '', from, fromDevice, hash: invoke.hash });
    }
  }

  /** @param {HistoryEvent} place @returns {boolean} whether retention has removed what stood there */
  isGone({ conv, seq = 0 }) {
    return this.#run.gone.some((span) => span.conv === conv && seq >= (span.seq ?? 0) && seq <= (span.to ?? 0));
  }

  /** @param {HistoryEvent} place @returns {boolean} whether the store went back since, to before it */
  isVoid(place) {
    return this.#run.voids.some((it) => isVoidBy(place, it));
  }

  /** @param {HistoryEvent[]} places */
  #checkDense(places) {
    let expected = 1;
    for (const stored of places) {
      const seq = stored.seq ?? 0;
      for (; expected < seq; expected++)
        if (!this.isGone({ ...stored, seq: expected }))
          this.#add('lost', 'hole', { ...stored, seq: expected, id: undefined });
      expected = seq + 1;
    }
  }

  /** @param {HistoryEvent} stored */
  #checkMessage(stored) {
    const key = nameOf(stored);
    if (this.#byKey.has(key)) this.#add('repeated', 'twice_in_log', stored, `first at ${this.#byKey.get(key)?.seq}`);
    else this.#byKey.set(key, stored);
    if (isSystem(stored)) return;
    const sent = this.#run.sends.get(key);
    if (!sent) this.#add('changed', 'phantom', stored, 'log');
    else if (sent.invoke.hash !== stored.hash) this.#add('changed', 'bytes', stored, 'log');
  }

  /** Members who read the log each for themselves see the same, as far as they may see it. */
  #checkReaders() {
    /** @type {Map<string, Set<string>>} */
    const seen = new Map();
    for (const { conv = '', user, epoch, seq } of this.#run.log) {
      const key = `${conv} ${user}`;
      if (!seen.has(key)) seen.set(key, new Set());
      seen.get(key)?.add(`${epoch} ${seq}`);
    }
    for (const [key, places] of seen) {
      const [conv, user] = key.split(' ');
      // One reader of the store itself names no user, and sees all.
      if (user === '') continue;
      for (const stored of this.conversation(conv)) {
        const { epoch, seq = 0 } = stored;
        if (!this.visibility(conv).shows(user, seq) || this.isGone(stored)) continue;
        if (!places.has(`${epoch} ${seq}`)) this.#add('lost', 'reader_lacks', stored, `read by ${user}`);
      }
    }
  }

  /**
   * @param {import('./judge.js').Count} count
   * @param {string} rule
   * @param {HistoryEvent} stored
   * @param {string} [detail]
   */
  #add(count, rule, stored, detail) {
    this.#findings.push({ count, rule, ...placeOf(stored), detail });
  }
}

/** @param {HistoryEvent} event */
const nameOf = (event) => messageKey(event, event.from, event.fromDevice);
