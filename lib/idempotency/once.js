/** Seed 000's token idempotency made safe: claim, run, commit, with a lease, a fence and the result kept. */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { EveryonceError } from '../protocol/errors.js';
import { asking } from './claims/asking.js';
import { openClaimStore } from './claims/open.js';
import { underLease } from './lease.js';
import {
  MAX_TIMER_MS,
  checkFunction,
  checkKey,
  checkObject,
  checkScope,
  checkWhole,
  decodeResult,
  encodeResult,
  fingerprintOf,
} from './values.js';

/** Between two looks at a key on which another process works. */
const POLL_MS = { first: 20, most: 500 };
const MAX_REASON_CHARACTERS = 1000;

/**
 * @template Message
 * @typedef {object} OnceOptions
 * @property {import('./claims/open.js').ClaimStore} store
 * @property {(message: Message) => string | number | bigint} key of the message or business object, 1 to 512 bytes
 * @property {string} [scope] set apart from other handlers on the same store; default none
 * @property {number} [leaseMs] after which a call that has died is taken over; default 30 000. Renewed while the handler runs
 * @property {number} [waitMs] how long a call waits for a concurrent one; default 30 000, 0 for not at all
 * @property {number} [keepMs] how long results and failures are kept; default 7 days. Longer than a repeat can come
 * @property {number} [maxAttempts] default 8
 * @property {number} [maxRunMs] how long a handler may take; default 1 hour
 * @property {(message: Message) => string | Uint8Array | undefined} [fingerprint] the payload's bytes: the same key with others throws
 *   MISMATCH
 */

/**
 * @typedef {object} Attempt what a handler is told beside the message
 * @property {number} attempt from 1
 * @property {number} fence higher with every attempt on the key: to be compared where the effect is stored
 * @property {AbortSignal} signal aborted when the lease is lost or the handler takes too long
 * @property {string} key
 */

/**
 * Makes a function that runs the handler for each key until it has succeeded, and never two at once, over all processes.
 *
 * What it promises: after success every call gets the stored result; a throw frees the key at once for the next call; a crash frees
 * it when the lease runs out. What it does not: no store can span its own commit and that of an effect elsewhere. A process that dies
 * after the effect and before the commit leads to a second run, so the effect must be idempotent: by `fence`, by a unique
 * key, or by sqlOnce, which closes the gap where the effect is in one database.
 *
 * The call throws what the handler throws; an error with `final: true` is kept, and later calls throw FAILED. Also INVALID_ARGUMENT; BUSY
 * (a concurrent call did not end within waitMs; `retryAfterMs`); EXHAUSTED; MISMATCH; FENCED (the lease was lost, and
 * another call may have taken over); TIMEOUT (maxRunMs; the key is free when the lease has run out); BAD_RESULT (not JSON, or more
 * than 1 MiB; kept as a failure, for the effect is done); GONE (the record is lost: look in the database);
 * STORE_FAILED (nothing is known: call again); CLOSED.
 *
 * @template Message
 * @param {OnceOptions<Message>} options
 * @param {(message: Message, attempt: Attempt) => unknown} handler
 * @returns {((message: Message) => Promise<any>) & { close: () => Promise<void> }} `close` waits for what is under way
 */
export function once(options, handler) {
  const rules = checkOptions(options);
  checkFunction(handler, 'handler');
  const store = openClaimStore(options.store);
  /** The calls of this process that run a handler, by key. @type {Map<string, Promise<unknown>>} */
  const running = new Map();
  const closing = new AbortController();

  const handle = async (/** @type {Message} */ message) => {
    if (closing.signal.aborted) throw new EveryonceError('CLOSED');
    const key = checkKey(options.key(message));
    const record = `once:${rules.scope}:${key}`;
    const claim = await claimed(
      { claims: store.claims, running, closing: closing.signal, rules },
      { key, record, fingerprint: fingerprintOf(options.fingerprint?.(message)) },
    );
    if ('result' in claim) return decodeResult(claim.result);
    const run = work(store.claims, rules, { ...claim, key, record }, (attempt) => handler(message, attempt));
    running.set(record, run);
    try {
      return await run;
    } finally {
      if (running.get(record) === run) running.delete(record);
    }
  };

  handle.close = async () => {
    closing.abort();
    await Promise.allSettled(running.values());
    await store.close();
  };
  return handle;
}

/** @typedef {ReturnType<typeof checkOptions>} Rules */

/** @param {any} options */
function checkOptions(options) {
  const {
    scope = '',
    leaseMs = 30_000,
    waitMs = 30_000,
    keepMs = 7 * 86_400_000,
    maxAttempts = 8,
    maxRunMs = 3_600_000,
  } = checkObject(options, 'options');
  checkFunction(options.key, 'key');
  if (options.fingerprint !== undefined) checkFunction(options.fingerprint, 'fingerprint');
  return {
    scope: checkScope(scope),
    leaseMs: checkWhole(leaseMs, 'leaseMs', { least: 10, most: MAX_TIMER_MS }),
    waitMs: checkWhole(waitMs, 'waitMs', { least: 0, most: MAX_TIMER_MS }),
    keepMs: checkWhole(keepMs, 'keepMs', { most: 10 * 366 * 86_400_000 }),
    maxAttempts: checkWhole(maxAttempts, 'maxAttempts', { most: 1_000_000 }),
    maxRunMs: checkWhole(maxRunMs, 'maxRunMs', { most: MAX_TIMER_MS }),
  };
}

/**
 * Claims the key, waiting for concurrent calls.
 *
 * @param {{ claims: import('./claims/interface.js').Claims, running: Map<string, Promise<unknown>>, closing: AbortSignal,
 *   rules: Rules }} store
 * @param {{ key: string, record: string, fingerprint?: string }} asked
 * @returns {Promise<{ result: string | undefined } | { owner: string, fence: number, attempt: number, sinceMs: number }>}
 */
async function claimed({ claims, running, closing, rules }, { key, record, fingerprint }) {
  const { leaseMs, keepMs, maxAttempts } = rules;
  const untilMs = performance.now() + rules.waitMs;
  for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.most)) {
    const owner = randomUUID();
    const sinceMs = performance.now();
    const answer = await asking(() => claims.claim({ key: record, owner, leaseMs, keepMs, fingerprint, maxAttempts }));
    switch (answer.state) {
      case 'ACQUIRED':
      case 'TAKEOVER':
      case 'HELD':
        return { owner, fence: Number(answer.fence), attempt: Number(answer.attempt), sinceMs };
      case 'DONE':
        return { result: answer.result };
      case 'BUSY':
        break;
      default:
        throw refusal(answer, key);
    }
    const retryAfterMs = Math.max(1, answer.retryAfterMs ?? 1);
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) throw new EveryonceError('BUSY', undefined, { key, retryAfterMs });
    const mine = running.get(record);
    const patience = mine ? leftMs : Math.min(leftMs, retryAfterMs, pollMs * (0.5 + Math.random()));
    await pause(patience, mine, closing);
    if (closing.aborted) throw new EveryonceError('CLOSED');
  }
}

/** @param {import('./claims/interface.js').ClaimAnswer} answer @param {string} key @returns {EveryonceError} */
function refusal({ state, reason }, key) {
  if (state === 'UNKNOWN') return new EveryonceError('UNKNOWN_TOKEN', undefined, { key });
  // Told once as EXHAUSTED, and from then on as a failure of that reason.
  if (reason === 'exhausted') return new EveryonceError('EXHAUSTED', undefined, { key });
  if (state !== 'FAILED') return new EveryonceError(state, undefined, { key });
  const told = reason === undefined ? {} : JSON.parse(reason);
  return new EveryonceError('FAILED', told.message && `The handler failed for good: ${told.message}`, {
    key,
    reason: told,
  });
}

/**
 * Until the time is up, the promise settles or all is closed; leaves no timer behind.
 * @param {number} patienceMs @param {Promise<unknown> | undefined} promise @param {AbortSignal} closing
 */
export async function pause(patienceMs, promise, closing) {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, closing]);
  const timer = wait(patienceMs, undefined, { signal }).catch(() => {});
  await (promise ? Promise.race([timer, promise.catch(() => {})]) : timer);
  done.abort();
}

/**
 * Runs the handler under the claim's lease, and records what came of it.
 *
 * @param {import('./claims/interface.js').Claims} claims
 * @param {Rules} rules
 * @param {{ key: string, record: string, owner: string, fence: number, attempt: number, sinceMs: number }} claim
 * @param {(attempt: Attempt) => unknown} handler
 */
async function work(claims, { leaseMs, keepMs, maxRunMs }, { key, record, owner, fence, attempt, sinceMs }, handler) {
  const held = { key: record, owner, fence };
  /** @param {'retry' | 'fail'} mode @param {string} [reason] */
  const release = (mode, reason) =>
    // Where it can not be said, the lease runs out by itself.
    asking(() => claims.release({ ...held, mode, reason, keepMs })).catch(() => {});
  let outcome;
  try {
    outcome = await underLease({ claims, ...held, leaseMs, sinceMs, maxRunMs }, (signal) =>
      handler({ attempt, fence, signal, key }),
    );
  } catch (/** @type {any} */ error) {
    if (error?.final === true) await release('fail', reasonOf(error));
    else await release('retry');
    throw error;
  }
  if ('lost' in outcome) throw outcome.lost;
  let result;
  try {
    result = encodeResult(outcome.value);
  } catch (/** @type {any} */ error) {
    // The effect is done, so it must not be done again.
    await release('fail', reasonOf(error));
    throw error;
  }
  const { state, result: stored } = await asking(() => claims.commit({ ...held, result, keepMs }));
  if (state === 'COMMITTED') return decodeResult(result);
  // The first answer was lost.
  if (state === 'ALREADY') return decodeResult(stored);
  throw new EveryonceError(state, undefined, { key, fence });
}

/** @param {any} error */
const reasonOf = (error) =>
  JSON.stringify({
    name: String(error.name ?? 'Error').slice(0, 100),
    message: String(error.message ?? error).slice(0, MAX_REASON_CHARACTERS),
    code: typeof error.code === 'string' ? error.code.slice(0, 100) : undefined,
  });
