import { EventEmitter } from 'node:events';
import { deserialize, serialize } from 'node:v8';
import { checkInteger, checkMs, checkOptions, checkText, refused } from './check.js';
import { Deadline, callAll } from './deadline.js';
import { DISPOSE, checkNow, primitives, typed } from './native.js';

const OPTIONS = [
  ...['timeoutMs', 'onIncomplete', 'retries', 'maxPackages', 'maxParts', 'maxBytes'],
  ...['maxPackagesPerSource', 'maxBytesPerSource', 'tombstones', 'now'],
];
/** @type {'BAD_OPTION'} */
const code = 'BAD_OPTION';

/** In the order of PackageAssembler::Verdict. @type {readonly PackageVerdict[]} */
const VERDICTS = ['held', 'complete', 'duplicate', 'late', 'refused'];
/** In the order of PackageAssembler::Reason. */
const REASONS = ['timeout', 'contradiction', 'too_large', 'no_room', 'refused_before', 'bad_index'];
/** Of a verdict of native pushBatch; the same stands in src/addon/package_object.cc. */
const HAS_ANSWER = 128;
const FIELDS_OF_PART = 4;
const MOST = 0xffff_ffff;
const MAX_BATCH_PARTS = 2 ** 20;
/** Of one text that crosses into the native side, far below the longest string there is. */
const MAX_RUN_UNITS = 2 ** 24;

/** @typedef {{ packageId: string, seqId: number, total: number, payload: any }} PackagePart as the arguments of `push` */

/** @typedef {'held' | 'complete' | 'duplicate' | 'late' | 'refused'} PackageVerdict */

/**
 * @typedef {object} PackageReorderOptions
 * @property {number} [timeoutMs] default 5000: from a package's first part on; later ones don't extend it
 * @property {'retry' | 'abandon'} [onIncomplete] default 'retry': what is missing at the deadline is told, and waited for
 *   another `timeoutMs`, `retries` times; 'abandon': the package is given up at once
 * @property {number} [retries] default 3
 * @property {number} [maxPackages] held at the same time, default 1024
 * @property {number} [maxParts] held at the same time, which is also the largest `total`; default 65536
 * @property {number} [maxBytes] of held payloads, default 64 MiB
 * @property {number} [maxPackagesPerSource] default maxPackages
 * @property {number} [maxBytesPerSource] default maxBytes; a package of more is refused
 * @property {number} [tombstones] default 4096: packages that are over and still known, so that their late and repeated parts
 *   are told from new packages
 * @property {() => number} [now] milliseconds, for tests; default performance.now
 */

/**
 * @typedef {object} PackageEvents
 * @property {[packageId: string, payloads: any[], about: { source: string }]} complete
 * @property {[packageId: string, missing: number[], action: 'retry' | 'abandon', about: { source: string, reason: 'timeout' |
 *   'contradiction' | 'too_large', round: number }]} incomplete
 */

/**
 * Puts packages together: parts numbered 0 to total - 1 come in any order, repeated or late, and the package is handed out
 * once, in order and complete, or not at all (the articles' rectification on the server).
 *
 * A part is O(log parts). It takes its payload and some 200 bytes, a package some 400, a tombstone some 60. Payloads are
 * copied: strings and Uint8Arrays (they come back as Buffers) as they are, anything else by v8.serialize.
 *
 * Events `complete` and `incomplete`, see PackageEvents: the second also for a package that contradicts itself, which is refused
 * from then on. Handlers run within `push`, or from a timer, when this object is at rest: they may push. What a handler
 * throws comes out of `push`, after all others were called. "Given up" never means that anything was acknowledged.
 *
 * @extends {EventEmitter<PackageEvents>}
 */
export class PackageReorder extends EventEmitter {
  /** @type {import('./native.js').NativePackages} */
  #native;
  #deadline;

  /**
   * @param {PackageReorderOptions} [options]
   * @throws {import('../protocol/errors.js').EveryonceError} BAD_OPTION naming `option`; ADDON_MISSING
   */
  constructor(options = {}) {
    super();
    const given = checkOptions(options, 'options', OPTIONS);
    /** @type {(name: string, otherwise: number, least?: number) => number} */
    const integer = (name, otherwise, least = 1) =>
      checkInteger(given[name] ?? otherwise, name, { least, most: 2 ** 40, code });
    const timeoutMs = checkMs(given.timeoutMs ?? 5000, 'timeoutMs', { code });
    const onIncomplete = given.onIncomplete ?? 'retry';
    if (onIncomplete !== 'retry' && onIncomplete !== 'abandon') {
      throw refused('onIncomplete', "'retry' or 'abandon'", code);
    }
    const retries = onIncomplete === 'abandon' ? 0 : checkInteger(given.retries ?? 3, 'retries', { most: 1000, code });
    const maxPackages = integer('maxPackages', 1024);
    const maxBytes = integer('maxBytes', 64 * 2 ** 20);
    const sourcePackages = integer('maxPackagesPerSource', maxPackages);
    const sourceBytes = integer('maxBytesPerSource', maxBytes);
    const maxParts = checkInteger(given.maxParts ?? 65_536, 'maxParts', { least: 1, most: 2 ** 24, code });
    const tombstones = checkInteger(given.tombstones ?? 4096, 'tombstones', { most: 2 ** 24, code });
    this.#deadline = new Deadline(checkNow(given.now), () => this.expire());
    const Native = primitives().PackageReorder;
    this.#native = new Native(
      ...[timeoutMs, retries, maxPackages, maxParts, maxBytes],
      ...[sourcePackages, sourceBytes, tombstones],
    );
  }

  /**
   * Takes a part.
   *
   * @param {string} packageId 1 to 1024 bytes
   * @param {number} seqId 0 to total - 1
   * @param {number} total parts of the package
   * @param {any} payload
   * @param {string} [source] who sent it, as authenticated: packages of different sources are different packages, so that none
   *   can spoil another's. Default: all are of one
   * @returns {PackageVerdict} 'held'; 'complete' (the event was emitted); 'duplicate': known already, or of a package that is
   *   complete; 'late': of one that was given up; 'refused': seqId is not below total, the package contradicts itself (it
   *   is over, now and later) or is too large, or there is no room now (what is held of it stays, and this part may come
   *   again)
   * @throws {import('../protocol/errors.js').EveryonceError} INVALID_ARGUMENT naming `option`; CLOSED
   */
  push(packageId, seqId, total, payload, source = '') {
    checkText(packageId, 'packageId');
    checkInteger(seqId, 'seqId');
    checkInteger(total, 'total');
    checkText(source, 'source', { empty: true });
    const [kind, bytes] = encode(payload);
    const nowMs = this.#deadline.now();
    // A total that 32 bits don't hold is refused like any other that is too large.
    const index = Math.min(seqId, MOST);
    const parts = Math.min(total, MOST);
    if (nowMs < this.#deadline.at) return this.#take(source, packageId, index, parts, kind, bytes, nowMs);
    /** @type {PackageVerdict} */
    let verdict = 'refused';
    callAll([() => this.expire(), () => (verdict = this.#take(source, packageId, index, parts, kind, bytes, nowMs))]);
    return verdict;
  }

  /**
   * `push` of many of one source, in the order given. Events come when all are taken. Parts of text cross into the native
   * side together; others are taken one by one.
   *
   * @param {ArrayLike<PackagePart>} parts
   * @param {string} [source]
   * @returns {PackageVerdict[]} a verdict each
   * @throws {import('../protocol/errors.js').EveryonceError} as of `push`; INVALID_ARGUMENT: then nothing was taken
   */
  pushBatch(parts, source = '') {
    const count = checkInteger(parts?.length, 'parts.length', { most: MAX_BATCH_PARTS });
    checkText(source, 'source', { empty: true });
    const runs = encodeRuns(parts, count);
    const nowMs = this.#deadline.now();
    /** @type {PackageVerdict[]} */
    const verdicts = [];
    /** @type {(() => void)[]} */
    const told = [];
    const push = () => {
      for (const run of runs) {
        if (run.kind === 's') this.#takeRun(source, run, nowMs, verdicts, told);
        else this.#takeOne(source, run, nowMs, verdicts, told);
      }
    };
    try {
      callAll(nowMs < this.#deadline.at ? [push] : [() => this.expire(), push]);
    } finally {
      this.#deadline.set(this.#native.nextDeadline());
      callAll(told);
    }
    return verdicts;
  }

  /**
   * @param {string} source
   * @param {string} packageId
   * @param {number} index
   * @param {number} total
   * @param {string} kind
   * @param {string | Uint8Array} bytes
   * @param {number} nowMs
   * @returns {PackageVerdict}
   */
  #take(source, packageId, index, total, kind, bytes, nowMs) {
    const answer = this.#call(() => this.#native.push(source, packageId, index, total, kind, bytes, nowMs));
    // An earlier deadline than there is now is looked at in vain once, and then set anew.
    if (this.#deadline.at === Infinity) this.#deadline.set(this.#native.nextDeadline());
    if (typeof answer === 'number') return VERDICTS[answer % 16];
    this.#tell(source, packageId, answer);
    return Array.isArray(answer) ? 'complete' : 'refused';
  }

  /**
   * @param {string} source
   * @param {any} run see encodeRuns
   * @param {number} nowMs
   * @param {PackageVerdict[]} verdicts
   * @param {(() => void)[]} told
   */
  #takeRun(source, { text, fields, ids }, nowMs, verdicts, told) {
    const [numbers, answers, lengths] = this.#call(() => this.#native.pushBatch(source, text, fields, nowMs));
    let answered = 0;
    let length = 0;
    for (let i = 0; i < numbers.length; i++) {
      verdicts.push(VERDICTS[numbers[i] % HAS_ANSWER]);
      if (numbers[i] < HAS_ANSWER) continue;
      let answer = answers[answered++];
      if (typeof answer === 'string') {
        const end = length + fields[FIELDS_OF_PART * i + 3];
        answer = cut(answer, lengths.subarray(length, end));
        length = end;
      }
      told.push(() => this.#tell(source, ids[i], answer));
    }
  }

  /**
   * @param {string} source
   * @param {any} part see encodeRuns
   * @param {number} nowMs
   * @param {PackageVerdict[]} verdicts
   * @param {(() => void)[]} told
   */
  #takeOne(source, { packageId, index, total, kind, bytes }, nowMs, verdicts, told) {
    const answer = this.#call(() => this.#native.push(source, packageId, index, total, kind, bytes, nowMs));
    if (typeof answer === 'number') {
      verdicts.push(VERDICTS[answer % 16]);
      return;
    }
    verdicts.push(Array.isArray(answer) ? 'complete' : 'refused');
    told.push(() => this.#tell(source, packageId, answer));
  }

  /**
   * @param {string} source
   * @param {string} packageId
   * @param {any[] | { reason: number, missing: number[] }} answer what a package came to
   */
  #tell(source, packageId, answer) {
    if (Array.isArray(answer)) {
      this.emit('complete', packageId, decodeAll(answer), { source });
      return;
    }
    const reason = /** @type {'contradiction' | 'too_large'} */ (REASONS[answer.reason]);
    this.emit('incomplete', packageId, answer.missing, 'abandon', { source, reason, round: 0 });
  }

  /**
   * Tells of what is due by now. The timer and `push` do so by themselves; for those who inject `now`.
   * @throws {import('../protocol/errors.js').EveryonceError} CLOSED
   */
  expire() {
    const told = this.#call(() => this.#native.expire(this.#deadline.now()));
    this.#deadline.set(this.#native.nextDeadline());
    callAll(
      told.map(({ id, missing, isOver, round, source }) => () => {
        this.emit('incomplete', id, missing, isOver ? 'abandon' : 'retry', { source, reason: 'timeout', round });
      }),
    );
  }

  /**
   * @returns {{ packages: number, parts: number, bytes: number, tombstones: number, complete: number, duplicates: number,
   *   late: number, refused: number, expired: number }} held now; packages that were completed and given up, and parts by
   *   what became of them, since the start
   */
  stats() {
    return this.#call(() => this.#native.stats());
  }

  /**
   * Forgets what is held, without a word; every later call throws CLOSED. Until then packages that wait keep this object, and
   * by its timer the process, alive.
   */
  close() {
    this.#deadline.close();
    this.#native.close();
  }

  [DISPOSE]() {
    this.close();
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

/** @param {any} payload @returns {[kind: string, bytes: string | Uint8Array]} */
function encode(payload) {
  if (typeof payload === 'string' && /** @type {any} */ (payload).isWellFormed()) return ['s', payload];
  if (payload instanceof Uint8Array) return ['b', payload];
  try {
    return ['v', serialize(payload)];
  } catch {
    throw refused('payload', 'a string, a Uint8Array, or what v8.serialize can take');
  }
}

/** @param {(string | [kind: string, bytes: Buffer])[]} parts @returns {any[]} */
function decodeAll(parts) {
  return parts.map((part) => {
    if (typeof part === 'string') return part;
    return part[0] === 'v' ? deserialize(part[1]) : part[1];
  });
}

/** @param {string} text @param {Uint32Array} lengths @returns {string[]} */
function cut(text, lengths) {
  const pieces = new Array(lengths.length);
  for (let i = 0, at = 0; i < lengths.length; at += lengths[i++]) pieces[i] = text.slice(at, at + lengths[i]);
  return pieces;
}

/**
 * Checks all parts, reading each once: a getter of the caller's may call back.
 *
 * @param {ArrayLike<PackagePart>} parts
 * @param {number} count
 * @returns {any[]} runs of parts of text: { kind: 's', text, fields, ids }; between them others: { packageId, index, total,
 *   kind, bytes }
 */
function encodeRuns(parts, count) {
  const runs = [];
  let text = '';
  /** @type {string[]} */
  let ids = [];
  /** @type {number[]} */
  let fields = [];
  const end = () => {
    if (ids.length > 0) runs.push({ kind: 's', text, fields: Uint32Array.from(fields), ids });
    text = '';
    ids = [];
    fields = [];
  };
  for (let i = 0; i < count; i++) {
    const { packageId, seqId, total, payload } = Object(parts[i]);
    checkText(packageId, 'packageId');
    const index = Math.min(checkInteger(seqId, 'seqId'), MOST);
    const most = Math.min(checkInteger(total, 'total'), MOST);
    const [kind, bytes] = encode(payload);
    if (kind !== 's') {
      end();
      runs.push({ packageId, index, total: most, kind, bytes });
      continue;
    }
    text += packageId;
    text += bytes;
    ids.push(packageId);
    fields.push(packageId.length, bytes.length, index, most);
    if (text.length >= MAX_RUN_UNITS) end();
  }
  end();
  return runs;
}
