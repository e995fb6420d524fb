import { EventEmitter } from 'node:events';
import { EveryonceError } from '../protocol/errors.js';
import { checkInteger, checkMs, checkOptions, refused } from './check.js';
import { Deadline, callAll } from './deadline.js';
import { Answer, DISPOSE, checkNow, primitives, typed } from './native.js';

const OPTIONS = ['start', 'maxGap', 'maxBytes', 'timeoutMs', 'mode', 'now'];
/** @type {'BAD_OPTION'} */
const code = 'BAD_OPTION';
/** A payload that is no text and no bytes counts as this much. */
const OBJECT_BYTES = 64;

/**
 * @typedef {object} StreamReorderOptions
 * @property {'hold' | 'insert'} [mode] default 'hold'
 * @property {number} [start] the first seq; what is below counts as known. Default: hold 1; insert none, whatever comes is shown
 * @property {number} [maxGap] hold: how far ahead of the next one a seq may be to be held, default 1024, up to 1,048,576;
 *   insert: how many runs of numbers may be open, default 1,000,000, up to 16,777,216
 * @property {number} [maxBytes] hold: of payloads held, default 4 MiB; text counts two bytes a character, what is neither text
 *   nor bytes 64
 * @property {number} [timeoutMs] default 500: from the first arrival out of order until the gap is told
 * @property {() => number} [now] milliseconds, for tests; default performance.now
 */

/** @typedef {{ seq: number, payload: any }} StreamItem */

/**
 * The receiver's rule for numbered arrivals in any order.
 *
 * `hold`: each comes out once, in order, and nothing past a gap. O(1) a push; held payloads are kept by reference, with some
 * 100 bytes each, at most `maxGap` and `maxBytes` of them. What doesn't fit is not kept, is counted (`stats().refused`), and
 * belongs to the gap that is told: pull it. `insert`: each is shown at once, at the place that its number has among those shown: at the
 * end if it is newer than all, else behind the largest smaller one (the articles' rule, and -1 for what is there already).
 * Nothing is kept but numbers, 24 bytes for each run without a hole: a dense stream costs nothing, numbers that are never
 * dense (time-based ids) 24 bytes each; `skip(to)` makes one run of what is old. O(log runs + runs / 256) a push.
 *
 * Event `gap` (from, to): for each gap, lowest first and at most 64 at a time, `timeoutMs` after the first arrival behind it,
 * and again, the wait doubling up to half a minute, until it is filled or told to be a hole. Pull from there; `skip` and
 * `hole` are for an authority that says nothing will come.
 *
 * @extends {EventEmitter<{ gap: [from: number, to: number] }>}
 */
export class StreamReorder extends EventEmitter {
  /** @type {import('./native.js').NativeStream} */
  #native;
  #deadline;
  #isInsert;
  #maxGap;
  /** @type {number} */
  #next;
  /** What is held, by seq. @type {Map<number, any>} */
  #held = new Map();
  #counts = { delivered: 0, duplicates: 0, refused: 0 };

  /**
   * @param {StreamReorderOptions} [options]
   * @throws {EveryonceError} BAD_OPTION naming `option`; ADDON_MISSING
   */
  constructor(options = {}) {
    super();
    const given = checkOptions(options, 'options', OPTIONS);
    const mode = given.mode ?? 'hold';
    if (mode !== 'hold' && mode !== 'insert') throw refused('mode', "'hold' or 'insert'", code);
    this.#isInsert = mode === 'insert';
    const start = given.start ?? (this.#isInsert ? 0 : 1);
    this.#next = checkInteger(start, 'start', { code });
    const [otherwise, most] = this.#isInsert ? [1_000_000, 2 ** 24] : [1024, 2 ** 20];
    this.#maxGap = checkInteger(given.maxGap ?? otherwise, 'maxGap', { least: 1, most, code });
    const maxBytes = checkInteger(given.maxBytes ?? 4 * 2 ** 20, 'maxBytes', { least: 1, code });
    const timeoutMs = checkMs(given.timeoutMs ?? 500, 'timeoutMs', { code });
    this.#deadline = new Deadline(checkNow(given.now), () => this.tellGaps());
    const Native = primitives().StreamReorder;
    this.#native = new Native(this.#isInsert, this.#next, this.#maxGap, maxBytes, timeoutMs);
  }

  /**
   * @param {number} seq 0 to 2^53 - 2
   * @param {any} [payload] hold: kept by reference until it is deliverable
   * @returns {any} hold: StreamItem[], what is deliverable now, in order; insert: the index to show it at, -1 for what is known
   * @throws {EveryonceError} INVALID_ARGUMENT; CLOSED; insert: REORDER_FULL, there are `maxGap` runs and this would be another
   */
  push(seq, payload) {
    checkSeq(seq, 'seq');
    // The next one, and no gap anywhere: the time is not looked at, and no deadline moves.
    const isPlain = seq === this.#next && this.#deadline.at === Infinity && !this.#isInsert;
    let answer;
    try {
      answer = this.#native.push(seq, isPlain ? 0 : sizeOf(payload), isPlain ? 0 : this.#deadline.now());
    } catch (error) {
      throw typed(error);
    }
    /** @type {StreamItem[]} */
    const items = [];
    const place = this.#take(answer, seq, payload, items);
    if (!isPlain) this.#watch();
    return this.#isInsert ? place : items;
  }

  /**
   * `push` of many, in the order given, in one native call.
   *
   * @param {ArrayLike<number>} seqs an array or a typed array
   * @param {ArrayLike<any>} [payloads] as long as seqs
   * @returns {any} hold: StreamItem[], all that is deliverable after it; insert: number[], a place each
   * @throws {EveryonceError} as of `push`; INVALID_ARGUMENT: then nothing was taken; REORDER_FULL: those before were taken,
   *   none behind
   */
  pushBatch(seqs, payloads = { length: seqs?.length }) {
    const count = checkInteger(seqs?.length, 'seqs.length', { most: 2 ** 24 });
    if (payloads?.length !== count) throw refused('payloads', 'as long as seqs');
    const numbers = new Float64Array(count);
    if (this.#isInsert) return this.#insertBatch(seqs, numbers);
    const sizes = new Float64Array(count);
    // Read once, before anything is decided: a getter of the caller's may call back.
    const given = new Array(count);
    for (let i = 0; i < count; i++) {
      numbers[i] = checkSeq(seqs[i], 'seqs');
      given[i] = payloads[i];
      sizes[i] = sizeOf(given[i]);
    }
    const answers = this.#call(() => this.#native.pushBatch(numbers, sizes, this.#deadline.now()));
    /** @type {StreamItem[]} */
    const items = [];
    for (let i = 0; i < count; i++) this.#take(answers[i], numbers[i], given[i], items);
    this.#watch();
    return items;
  }

  /**
   * @param {ArrayLike<number>} seqs
   * @param {Float64Array} numbers as long; gets them
   * @returns {number[]} a place each
   */
  #insertBatch(seqs, numbers) {
    for (let i = 0; i < numbers.length; i++) numbers[i] = checkSeq(seqs[i], 'seqs');
    const answers = this.#call(() => this.#native.pushBatch(numbers, numbers, this.#deadline.now()));
    this.#watch();
    const places = new Array(numbers.length);
    for (let i = 0; i < numbers.length; i++) {
      const answer = answers[i];
      // A place, or what is rarer.
      places[i] = answer >= 0 ? answer : this.#take(answer, numbers[i], undefined, []);
      if (answer >= 0) this.#counts.delivered++;
    }
    return places;
  }

  /**
   * Nothing more will come up to `to`: an authority said so, or the application decides not to wait.
   *
   * @param {number} to
   * @returns {StreamItem[]} what is deliverable now, in order: what was held up to `to`, and what follows; insert: none
   * @throws {EveryonceError} INVALID_ARGUMENT; CLOSED
   */
  skip(to) {
    return this.hole(0, to);
  }

  /**
   * Nothing more will come from `from` up to `to`.
   *
   * @param {number} from
   * @param {number} to
   * @returns {StreamItem[]} what is deliverable now, in order; insert: none
   * @throws {EveryonceError} INVALID_ARGUMENT; CLOSED; hold: REORDER_FULL, it reaches further than `maxGap` behind a gap, and
   *   only what lies within is remembered: tell it again when that gap is closed
   */
  hole(from, to) {
    checkSeq(from, 'from');
    checkInteger(to, 'to', { least: from, most: Number.MAX_SAFE_INTEGER - 1 });
    const answer = this.#call(() => this.#native.hole(from, to, this.#deadline.now()));
    /** @type {StreamItem[]} */
    const items = [];
    if (!this.#isInsert && answer >= 0) this.#deliver(answer, items);
    this.#watch();
    if (answer === Answer.BEYOND) {
      throw new EveryonceError('REORDER_FULL', `the hole reaches more than ${this.#maxGap} behind ${this.#next}`);
    }
    return items;
  }

  /**
   * Emits `gap` for what is due by now. The timer does so by itself; for those who inject `now`.
   * @throws {EveryonceError} CLOSED
   */
  tellGaps() {
    const gaps = this.#call(() => this.#native.dueGaps(this.#deadline.now()));
    this.#watch();
    const calls = [];
    for (let at = 0; at < gaps.length; at += 2) calls.push(() => void this.emit('gap', gaps[at], gaps[at + 1]));
    callAll(calls);
  }

  /**
   * @returns {Record<string, number>} `delivered` (or shown), `duplicates`, `refused` since the start; hold: `next` the seq that is
   *   waited for, `held` and `bytes` now; insert: `shown`, `ranges` now
   */
  stats() {
    return { ...this.#counts, ...this.#call(() => this.#native.stats()) };
  }

  /**
   * Forgets what is held; every later call throws CLOSED. Until then a gap keeps this object, and by its timer the process,
   * alive.
   */
  close() {
    this.#deadline.close();
    this.#held.clear();
    this.#native.close();
  }

  [DISPOSE]() {
    this.close();
  }

  /**
   * @param {number} answer of the native push of seq
   * @param {number} seq
   * @param {any} payload
   * @param {StreamItem[]} items gets what is deliverable
   * @returns {number} the place, -1 for a duplicate; of no meaning in mode hold
   */
  #take(answer, seq, payload, items) {
    switch (answer) {
      case Answer.HELD:
        this.#held.set(seq, payload);
        return -1;
      case Answer.DUPLICATE:
        this.#counts.duplicates++;
        return -1;
      case Answer.BEYOND:
      case Answer.NO_ROOM:
        this.#counts.refused++;
        if (!this.#isInsert) return -1;
        throw new EveryonceError('REORDER_FULL', `there are ${this.#maxGap} runs of numbers: skip what is old`, {
          seq,
        });
      default:
        if (this.#isInsert) {
          this.#counts.delivered++;
          return answer;
        }
        this.#counts.delivered++;
        items.push({ seq, payload });
        this.#next = seq + 1;
        this.#deliver(answer, items);
        return seq;
    }
  }

  /** @param {number} next all below it is deliverable @param {StreamItem[]} items */
  #deliver(next, items) {
    // Nothing is held further than this behind the first gap, however far a skip went.
    const end = Math.min(next, this.#next + this.#maxGap);
    for (let seq = this.#next; seq < end && this.#held.size > 0; seq++) {
      if (!this.#held.has(seq)) continue;
      items.push({ seq, payload: this.#held.get(seq) });
      this.#held.delete(seq);
      this.#counts.delivered++;
    }
    this.#next = next;
  }

  #watch() {
    this.#deadline.set(this.#native.nextDeadline());
  }

  /** @template T @param {() => T} call @returns {T} */
  #call(call) {
    try {
      return call();
    } catch (error) {
      throw typed(error);
    }
  }
}

/** @param {unknown} seq @param {string} option @returns {number} */
function checkSeq(seq, option) {
  if (Number.isSafeInteger(seq) && Number(seq) >= 0 && seq !== Number.MAX_SAFE_INTEGER) return Number(seq);
  throw refused(option, 'an integer from 0 to 2^53 - 2');
}

/** @param {any} payload @returns {number} bytes, roughly */
function sizeOf(payload) {
  if (typeof payload === 'string') return 2 * payload.length;
  return ArrayBuffer.isView(payload) ? payload.byteLength : OBJECT_BYTES;
}
