// The classes of the addon that need no store, as the primitives use them. They trust what they are given: everything is
// checked in the classes above, but keys, which are read where they are hashed.

import { EveryonceError } from '../protocol/errors.js';
import { describeCode } from '../protocol/codes.js';
import { loadAddon } from '../server/native.js';

/** @typedef {string | Uint8Array} Key a string stands for its UTF-8, so that it and its Buffer are the same key */
/** @typedef {readonly Key[] | Uint8Array} Keys an array, or all of them in one Buffer: then with offsets */

/**
 * @typedef {object} NativeSnowflake `nowMs` and `monotonicMs` left out: the machine's clocks
 * @property {(nowMs?: number, monotonicMs?: number) => string} next
 * @property {(nowMs?: number, monotonicMs?: number) => bigint} nextBigInt
 * @property {(count: number, nowMs?: number, monotonicMs?: number) => BigUint64Array} nextBatch
 * @property {(reservedUntilMs?: number, deadlineMs?: number) => void} setBounds what is left out is unbounded
 * @property {() => Record<string, number>} stats
 * @property {() => void} close
 */

/**
 * @typedef {object} NativeBloom
 * @property {(key: Key, nowMs?: number) => boolean} add whether it was surely not there
 * @property {(key: Key, nowMs?: number) => boolean} has
 * @property {(keys: Keys, offsets?: Uint32Array, nowMs?: number) => Uint8Array} addBatch
 * @property {(keys: Keys, offsets?: Uint32Array, nowMs?: number) => Uint8Array} hasBatch
 * @property {() => Buffer} serialize
 * @property {(nowMs?: number) => any} stats
 * @property {() => void} close
 */

/**
 * @typedef {object} NativePackages
 * @property {(source: string, id: string, index: number, total: number, kind: string, payload: Key, nowMs: number) =>
 *   number | any[] | { reason: number, missing: number[] }} push verdict + 16 × reason; of a complete package its
 *   parts, a string or [kind, Buffer] each; why and how one is over
 * @property {(nowMs: number) => { source: string, id: string, missing: number[], round: number, isOver: boolean }[]} expire
 * @property {(source: string, text: string, fields: Uint32Array, nowMs: number) => [verdicts: Uint8Array, answers: any[],
 *   lengths: Uint32Array]} pushBatch text: ids and payloads of parts in turn; fields: [id length, payload length, index, total] a
 *   part; verdicts + 128 where there is an answer: what push gives, or a complete package's payloads as one string, whose
 *   lengths, each with as many as the package has parts, follow each other in `lengths`
 * @property {() => number} nextDeadline 2^63 as a number: none
 * @property {() => any} stats
 * @property {() => void} close
 */

/**
 * @typedef {object} NativeStream
 * @property {(seq: number, bytes: number, nowMs: number) => number} push hold: the next number, all below it is deliverable;
 *   insert: the place; or a negative number, see `Answer`
 * @property {(seqs: Float64Array, bytes: Float64Array, nowMs: number) => Float64Array} pushBatch
 * @property {(from: number, to: number, nowMs: number) => number} hole
 * @property {(nowMs: number) => number[]} dueGaps [from, to, from, to, …]
 * @property {() => number} nextDeadline
 * @property {() => any} stats
 * @property {() => void} close
 */

/** What NativeStream answers beside a number from 0 on. The same stand in src/addon/stream_object.cc; a test compares them. */
export const Answer = Object.freeze({ HELD: -1, DUPLICATE: -2, BEYOND: -3, NO_ROOM: -4 });

/**
 * @typedef {object} Primitives
 * @property {{ new (worker: number, epochMs: number, maxBackwardMs: number, maxAheadMs: number, usedUntilMs: number):
 *   NativeSnowflake, decode(id: bigint, epochMs: number): { time: number, worker: number, sequence: number },
 *   monotonicMs(): number }} Snowflake
 * @property {{ new (capacity: number, errorRate: number): NativeBloom, new (bytes: Uint8Array): NativeBloom }} BloomFilter
 * @property {{ new (capacity: number, errorRate: number, windowMs: number, slices: number, maxBytes: number): NativeBloom,
 *   new (bytes: Uint8Array, nowMs?: number): NativeBloom }} RotatingBloom
 * @property {new (timeoutMs: number, retries: number, maxPackages: number, maxParts: number, maxBytes: number,
 *   sourcePackages: number, sourceBytes: number, tombstones: number) => NativePackages} PackageReorder
 * @property {new (isInsert: boolean, start: number, maxGap: number, maxBytes: number, timeoutMs: number) => NativeStream} StreamReorder
 */

/** @returns {Primitives} @throws {EveryonceError} ADDON_MISSING */
export const primitives = () => /** @type {any} */ (loadAddon());

/** What `using` calls. Node 20 has it under this name before the language does. @type {typeof Symbol.dispose} */
export const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose');

/** The same of `await using`. @type {typeof Symbol.asyncDispose} */
export const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

/**
 * What the addon threw, as an EveryonceError; anything else (what a getter of the caller's threw) as it is.
 * @param {any} error
 * @returns {any}
 */
export function typed(error) {
  if (typeof error?.code !== 'string' || error instanceof EveryonceError) return error;
  const { code, message, field, retryAfterMs, backwardMs } = error;
  /** @type {Record<string, unknown>} */
  const about = { retryable: describeCode(code).retryable };
  if (field !== undefined) Object.assign(about, { option: field, field });
  if (retryAfterMs !== undefined) about.retryAfterMs = retryAfterMs;
  if (backwardMs !== undefined) about.backwardMs = backwardMs;
  return new EveryonceError(code, message, about);
}

/**
 * @param {() => number} now the caller's own clock
 * @returns {number} whole milliseconds
 */
export function readClock(now) {
  const time = now();
  if (!Number.isFinite(time)) {
    throw new EveryonceError('INVALID_ARGUMENT', `now() must give milliseconds, not ${String(time)}`, {
      option: 'now',
    });
  }
  return Math.floor(time);
}

/**
 * @param {unknown} now
 * @returns {(() => number) | undefined}
 */
export function checkNow(now) {
  if (now === undefined || typeof now === 'function') return /** @type {any} */ (now);
  throw new EveryonceError('BAD_OPTION', 'now must be a function', { option: 'now' });
}
