/** The `Idempotency-Key` header (IETF draft "The Idempotency-Key HTTP Header Field") for Express, connect and node:http. */
import { createHash, randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { asking } from './claims/asking.js';
import { openClaimStore } from './claims/open.js';
import { underLease } from './lease.js';
import {
  MAX_TIMER_MS,
  badOption,
  checkFunction,
  checkObject,
  checkScope,
  checkWhole,
  fingerprintOf,
} from './values.js';
import { captureResponse, problem, replay } from './response.js';

/** Visible characters without a comma, which joins the values of a header that came twice; bare, none of them a quote. */
const BARE_KEY = /^[!-+\--~]{1,255}$/;
/** What is about to be tried again anyway is not the answer to keep. */
const PASSING = new Set([408, 425, 429]);

/**
 * @typedef {object} MiddlewareOptions
 * @property {import('./claims/open.js').ClaimStore} store
 * @property {boolean} [required] a request without the header is refused with 400; default false: it is let through
 * @property {string[]} [methods] default POST and PATCH
 * @property {(request: any) => string} [scope] whose key it is, so that nobody is shown another one's answer: a user's or a tenant's id.
 *   Default: the Authorization header, so a client that gets a new token in between is taken for another one
 * @property {string} [name] sets this application's keys apart from others on the same store
 * @property {(request: any) => string | Uint8Array} [fingerprint] of the payload. Default: method, URL, and `request.rawBody` or
 *   `request.body`; the latter is there only after a body parser
 * @property {(status: number) => boolean} [keep] which answers are kept; default all below 500 but 408, 425 and 429. After others
 *   the key is free again
 * @property {number} [leaseMs] after which a request whose process died may be made again; default 30 000
 * @property {number} [keepMs] default 1 day
 * @property {number} [maxRunMs] after which an answer is no longer waited for: 503; default 5 minutes
 * @property {number} [maxBodyBytes] of an answer that is kept; default 1 MiB. A longer one is sent, and a repeat gets 500 and runs nothing
 */

/**
 * The first request with a key runs; its answer is kept, then sent, and every repeat gets the same status, headers and body, with
 * `Idempotency-Replayed: true`. Refusals are `application/problem+json` with a `code`: 400 `INVALID_ARGUMENT` (no key where one is
 * required, or a malformed one), 409 `BUSY` (the first is still running; `Retry-After`), 422 `MISMATCH` (the key came with another
 * payload), 503 `STORE_FAILED` or `TIMEOUT`.
 *
 * `request.idempotency` is `{ key, fence, attempt, signal }`. A process that dies after the effect and before the answer is kept
 * leads to a second run, like everything that keeps its record elsewhere than its effect: give the key to sqlOnce in the route.
 *
 * @param {MiddlewareOptions} options
 * @returns {((request: any, response: any, next: (error?: unknown) => void) => void) & { close: () => Promise<void> }}
 */
export function idempotencyMiddleware(options) {
  const rules = checkOptions(options);
  const store = openClaimStore(options.store);
  /** @type {Set<Promise<unknown>>} */
  const running = new Set();

  /** @param {any} request @param {any} response @param {(error?: unknown) => void} next */
  const middleware = (request, response, next) => {
    if (!rules.methods.has(request.method)) return next();
    const header = request.headers['idempotency-key'];
    if (header === undefined && !rules.required) return next();
    const key = keyOf(header);
    if (key === undefined) {
      return problem(response, 400, 'INVALID_ARGUMENT', 'Idempotency-Key must be 1 to 255 visible characters.');
    }
    const run = handle(store.claims, rules, key, request, response, next).catch(next);
    running.add(run);
    run.finally(() => running.delete(run));
  };
  middleware.close = async () => {
    await Promise.allSettled(running);
    await store.close();
  };
  return middleware;
}

/** @param {any} options */
function checkOptions(options) {
  const given = checkObject(options, 'options');
  const { methods = ['POST', 'PATCH'], required = false, keep, scope, fingerprint, name = '' } = given;
  if (!Array.isArray(methods) || methods.some((one) => typeof one !== 'string')) throw badOption('methods', 'an array');
  for (const [option, value] of Object.entries({ keep, scope, fingerprint })) {
    if (value !== undefined) checkFunction(value, option);
  }
  const { leaseMs = 30_000, keepMs = 86_400_000, maxRunMs = 300_000, maxBodyBytes = 1 << 20 } = given;
  return {
    methods: new Set(methods.map((method) => method.toUpperCase())),
    required: required === true,
    name: checkScope(name),
    keep: keep ?? ((/** @type {number} */ status) => status < 500 && !PASSING.has(status)),
    scope: scope ?? ((/** @type {any} */ { headers }) => headers.authorization ?? ''),
    fingerprint: fingerprint ?? payloadOf,
    leaseMs: checkWhole(leaseMs, 'leaseMs', { least: 10, most: MAX_TIMER_MS }),
    keepMs: checkWhole(keepMs, 'keepMs', { most: 10 * 366 * 86_400_000 }),
    maxRunMs: checkWhole(maxRunMs, 'maxRunMs', { most: MAX_TIMER_MS }),
    maxBodyBytes: checkWhole(maxBodyBytes, 'maxBodyBytes', { most: 1 << 26 }),
  };
}

/** @param {unknown} header as the draft says, a quoted string; bare ones are common @returns {string | undefined} */
function keyOf(header) {
  if (typeof header !== 'string') return undefined;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header);
  const key = quoted ? quoted[1].replace(/\\(["\\])/g, '$1') : header;
  return BARE_KEY.test(key) && (quoted || !key.includes('"')) ? key : undefined;
}

/** @param {any} request @returns {Uint8Array} */
function payloadOf(request) {
  const { method, headers, body, rawBody } = request;
  const bytes = rawBody ?? (typeof body === 'object' && !(body instanceof Uint8Array) ? JSON.stringify(body) : body);
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (bytes === undefined && hasBody) {
    throw new EveryonceError(
      'BAD_OPTION',
      'The body must be parsed before idempotencyMiddleware, or fingerprint given.',
      {
        option: 'fingerprint',
      },
    );
  }
  const line = Buffer.from(`${method} ${request.originalUrl ?? request.url}\n`);
  return Buffer.concat([line, typeof bytes === 'string' ? Buffer.from(bytes) : (bytes ?? Buffer.alloc(0))]);
}

/**
 * @param {import('./claims/interface.js').Claims} claims
 * @param {ReturnType<typeof checkOptions>} rules
 * @param {string} key @param {any} request @param {any} response @param {(error?: unknown) => void} next
 */
async function handle(claims, rules, key, request, response, next) {
  const { leaseMs, keepMs, maxRunMs } = rules;
  const whose = createHash('sha256')
    .update(String(rules.scope(request)))
    .digest('base64url');
  const record = `http:${rules.name}:${whose}:${key}`;
  const owner = randomUUID();
  const fingerprint = fingerprintOf(rules.fingerprint(request));
  const sinceMs = performance.now();
  const answer = await asking(() => claims.claim({ key: record, owner, leaseMs, keepMs, fingerprint })).catch(
    (error) => {
      if (error?.retryable !== true) throw error;
      return undefined;
    },
  );
  if (!answer) return problem(response, 503, 'STORE_FAILED', 'Try again.', { 'Retry-After': '1' });
  if (answer.state === 'DONE') return replay(response, answer.result);
  if (answer.state === 'BUSY') {
    const seconds = Math.max(1, Math.ceil(Math.min(answer.retryAfterMs ?? 1000, 5000) / 1000));
    const headers = { 'Retry-After': String(seconds) };
    return problem(response, 409, 'BUSY', 'A request with this Idempotency-Key is still running.', headers);
  }
  if (answer.state === 'MISMATCH') {
    return problem(response, 422, 'MISMATCH', 'This Idempotency-Key was used with another payload.');
  }
  const held = { key: record, owner, fence: Number(answer.fence) };
  if (!['ACQUIRED', 'TAKEOVER', 'HELD'].includes(answer.state)) {
    return problem(response, 500, 'FAILED', 'The request was made, but its answer could not be kept.');
  }
  const captured = captureResponse(response, rules.maxBodyBytes);
  const outcome = await underLease({ claims, ...held, leaseMs, sinceMs, maxRunMs }, (signal) => {
    request.idempotency = { key, fence: held.fence, attempt: answer.attempt, signal };
    next();
    return captured.ended;
  }).catch(async (error) => {
    // Thrown by next() itself, outside of a framework that would have caught it.
    captured.giveBack();
    await asking(() => claims.release({ ...held, mode: 'retry', keepMs })).catch(() => {});
    throw error;
  });
  if ('lost' in outcome) {
    captured.discard();
    return problem(response, 503, outcome.lost.code, 'The answer took too long; ask again with the same key.');
  }
  await keepAnswer(claims, held, outcome.value, rules, response, captured);
}

/**
 * Keeps the answer, and then sends it: nobody is told what a repeat would not be told.
 *
 * @param {import('./claims/interface.js').Claims} claims
 * @param {{ key: string, owner: string, fence: number }} held
 * @param {{ kept: string | undefined, status: number }} answer
 * @param {ReturnType<typeof checkOptions>} rules
 * @param {any} response
 * @param {ReturnType<typeof captureResponse>} captured
 */
async function keepAnswer(claims, held, { kept, status }, { keep, keepMs }, response, captured) {
  if (!keep(status)) {
    await asking(() => claims.release({ ...held, mode: 'retry', keepMs })).catch(() => {});
  } else if (kept === undefined) {
    const reason = JSON.stringify({ name: 'Error', message: 'the answer was too long to be kept' });
    await asking(() => claims.release({ ...held, mode: 'fail', reason, keepMs })).catch(() => {});
  } else {
    // Where the store fails now, the effect is done and this answer is true; it is sent, and the key is free when the lease ends.
    const done = await asking(() => claims.commit({ ...held, result: kept, keepMs })).catch(() => undefined);
    if (done?.state === 'FENCED') {
      captured.discard();
      return problem(response, 409, 'FENCED', 'Another request with this key has taken over; ask again.');
    }
  }
  captured.send();
}
