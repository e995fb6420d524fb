// Every number that an operator may set, and every number of the edge that he may not, with unit and reason: one table,
// against which docs/server.md is checked (test/lib/server/defaults.test.js). What a client must know, too, stands in
// lib/protocol/constants.js and is only named here.

import { DEFAULT_LIMITS, DEFAULT_PATH, LIMITS as PROTOCOL } from '../protocol/constants.js';

/** Defaults of createServer's options. */
export const DEFAULTS = Object.freeze({
  /** directory of the embedded store */
  data: './data',
  path: DEFAULT_PATH,
  host: '127.0.0.1',
  /** sync each group of commits before it is acked */
  fsync: true,
  /** milliseconds for which an `id` sent without `n` is remembered */
  dedupWindowMs: 86_400_000,
  /** milliseconds for which a message token is good */
  tokenTtlMs: 86_400_000,
  /** milliseconds from the end of one round of retention to the begin of the next */
  retentionEveryMs: 60_000,
});

/**
 * createServer's `limits`: default, smallest and largest value. What is outside is refused, not clamped: an operator
 * who asks for the impossible wants to know.
 *
 * @type {Readonly<Record<string, { value: number, min: number, max: number, unit: string, what: string }>>}
 */
export const LIMITS = Object.freeze({
  frame: {
    value: DEFAULT_LIMITS.frame,
    min: 1024,
    max: 16_777_216,
    unit: 'bytes',
    what: 'one WebSocket message from a client; 1009',
  },
  body: {
    value: DEFAULT_LIMITS.body,
    min: 1,
    max: 16_776_192,
    unit: 'bytes',
    what: 'body of one message; `too_large`',
  },
  window: {
    value: DEFAULT_LIMITS.window,
    min: 1,
    max: 65_536,
    unit: 'messages',
    what: 'pushed to one device and not yet acked',
  },
  page: { value: DEFAULT_LIMITS.page, min: 1, max: 1000, unit: 'items', what: 'one page of `pull` or `history`' },
  rate: {
    value: DEFAULT_LIMITS.rate,
    min: 0,
    max: 1_000_000,
    unit: 'packets/s',
    what: 'one connection, averaged over 10 s; 0: no limit; `rate_limited`, 4429',
  },
  userRate: {
    value: 1000,
    min: 0,
    max: 10_000_000,
    unit: 'packets/s',
    what: 'all connections of one user; left out: ten times `limits.rate`; 0: no limit; `rate_limited`, 4429',
  },
  addressRate: {
    value: 0,
    min: 0,
    max: 10_000_000,
    unit: 'packets/s',
    what: 'all connections of one address (see `trustProxy`); 0: no limit; `rate_limited`, 4429',
  },
  userConnects: {
    value: 100,
    min: 0,
    max: 1_000_000,
    unit: 'connections/s',
    what: 'new ones of one user, averaged over 10 s; 0: no limit; 4429',
  },
  addressConnects: {
    value: 0,
    min: 0,
    max: 1_000_000,
    unit: 'connections/s',
    what: 'new ones of one address, averaged over 10 s; 0: no limit; 4429',
  },
  connections: { value: 100_000, min: 1, max: 4_000_000, unit: 'sockets', what: 'open at once; 1013' },
  perAddress: {
    value: 0,
    min: 0,
    max: 4_000_000,
    unit: 'sockets',
    what: 'of one address at once (see `trustProxy`); 0: no limit; 1013',
  },
  perUser: { value: 1000, min: 0, max: 4_000_000, unit: 'connections', what: 'of one user at once; 0: no limit; 1013' },
  buffered: {
    value: 1_048_576,
    min: 65_536,
    max: 1_073_741_824,
    unit: 'bytes',
    what: 'unsent to one socket before nothing more is pushed to it',
  },
  packageTimeout: {
    value: 5000,
    min: 100,
    max: 60_000,
    unit: 'ms',
    what: 'from the first part of a package to the last; `package_incomplete`',
  },
});

/** `limits.userRate` where it is left out: so many times `limits.rate`. */
export const USER_RATE_FACTOR = 10;

/** The edge's own numbers. */
export const EDGE = Object.freeze({
  /** protocol.md: hello within 5 s of the open, else 4408 */
  helloTimeoutMs: PROTOCOL.helloMs,
  /** protocol.md: the server pings every 15 s … */
  pingEveryMs: PROTOCOL.pingAfterMs,
  /** … and drops a connection silent for 30 s */
  silentMs: PROTOCOL.silenceMs,
  /** an `authenticate` hook that has not answered by then has refused: 4401 */
  authenticateTimeoutMs: 10_000,
  /** an `authorize` hook that has not answered by then has refused */
  authorizeTimeoutMs: 10_000,
  /** a socket above `limits.buffered` whose peer takes not one byte for so long is cut */
  stuckMs: 30_000,
  /** times `limits.buffered`: above it a socket is cut at once, answers to its own requests included */
  hardBufferedFactor: 8,
  /** how long a peer may take to answer a close frame */
  closeTimeoutMs: 3_000,
  /** received frames kept for an engine that is full; sockets are paused from here on */
  inboxBytes: 4_194_304,
  /** times inboxBytes: at this point every socket is paused, not only those that keep sending */
  inboxHardFactor: 2,
  /** unanswered calls of the application (publish …); more are refused as `unavailable` */
  requests: 65_536,
  /** of a server of our own (`listen`): from the accepted connection to the end of the request's head, an upgrade's too; 408 */
  headersTimeoutMs: 10_000,
  /** and to the end of the whole request */
  requestTimeoutMs: 30_000,
  /** how often these two are looked at */
  requestCheckMs: 1_000,
  /** how long the body of an HTTP request may take to come; 408 */
  bodyTimeoutMs: 10_000,
  /** times `limits.rate`: HTTP requests of one address, which may be a proxy's; one user's have `limits.rate` */
  addressRateFactor: 10,
  /** addresses and users whose rate is kept in mind, each */
  rateKeys: 65_536,
  /** a store that has not answered `/healthz` by then is not ready */
  healthTimeoutMs: 2_000,
  /** granularity of all the timers above */
  wheelSlotMs: 250,
});

/** How close() goes. */
export const DRAIN = Object.freeze({
  /** `after` of the `bye` packet */
  afterMs: 500,
  /** how long clients are given to finish and go by themselves; then 1012 */
  waitMs: 500,
  /** how long the engine is given to finish what it has taken; a store that hangs longer is given up */
  stopMs: 10_000,
});
