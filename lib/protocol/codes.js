/**
 * THE table of error and nack codes: what may be tried again, and one sentence that helps. Lower-case codes go over
 * the wire (docs/protocol.md); upper-case ones are raised in the process that reports them.
 */

/** @typedef {{ retryable: boolean, sentence: string }} Code */

/** @param {string} sentence @returns {Code} */
const final = (sentence) => Object.freeze({ retryable: false, sentence });
/** @param {string} sentence @returns {Code} */
const again = (sentence) => Object.freeze({ retryable: true, sentence });

/** Codes of `nack` and `error` packets. @type {Readonly<Record<string, Code>>} */
export const WIRE_CODES = Object.freeze({
  gap: again('An earlier message of this device is missing; the client goes back and sends from there.'),
  conflict: final('This number or id was used for another message; the outbox was copied or restored.'),
  unknown_producer: again('The server does not know this device any more; the client asks what arrived and goes on.'),
  too_old: final('This message is too old for the server to tell whether it arrived; it is never sent twice.'),
  unknown_conv: final('The conversation does not exist, or you are not in it.'),
  forbidden: final('You are a member, but not allowed to do this.'),
  too_large: final('The message is larger than this server takes; see limits.body and limits.frame.'),
  bad_request: final('The packet is malformed; the message names the key.'),
  token_invalid: final('The id is not a token of this user, or it was used or has expired.'),
  rate_limited: again('Too many packets; wait as long as `retry` says.'),
  package_incomplete: again('Parts of the package did not arrive in time; all of it is to be sent again.'),
  unavailable: again('The store is down, slow or overloaded; sending the same again tells whether it was stored.'),
  unsupported: final('This server does not know this packet.'),
  exists: final('The name is taken by another conversation.'),
  stale_device: final('This device id is in use by a newer copy of its outbox; a new device id is needed.'),
  unauthenticated: final('The token is missing, wrong or expired.'),
});

/** Codes raised by the client library. @type {Readonly<Record<string, Code>>} */
export const CLIENT_CODES = Object.freeze({
  UNCONFIRMED: again('No answer came: the message may have arrived. It stays in the outbox and can not be doubled.'),
  ALREADY_ACCEPTED: final('The server has this message already, so it can not be discarded.'),
  DISCARDED: final('The message was discarded before the server took it.'),
  NOT_FOUND: final('There is no such message in the outbox.'),
  OUTBOX_FULL: again('The outbox holds as many messages as it may; wait until some are sent, or raise maxQueued.'),
  OUTBOX_LOCKED: final('Another process, tab or client has this outbox open.'),
  OUTBOX_FAILED: again('The outbox could not be written; the message was not taken.'),
  OUTBOX_VERSION: final('The outbox was written by a newer version of everyonce.'),
  OUTBOX_USER: final('The outbox belongs to another user; give each user an outbox of their own.'),
  OUTBOX_NOT_KEPT: final('This page can not keep an outbox; messages live as long as the page.'),
  OUTBOX_DAMAGED: final('Part of the outbox could not be read; a new device id was taken so that nothing is doubled.'),
  DEVICE_CHANGED: final('The outbox was copied or restored, so a new device id was taken.'),
  NO_WEBSOCKET: final('There is no WebSocket here; pass one as the option WebSocket, or import from "everyonce".'),
  UNAUTHENTICATED: final('The server refused the token; give a new one with getToken.'),
  REPLACED: final('Another connection of this device took over; call connect() to take it back.'),
  CONNECTION_REFUSED: again('The server closed the connection for a reason that the client should know.'),
  CLOSED: final('It was closed; what a client had unanswered stays in its outbox.'),
  OFFLINE: again('The connection was lost before the answer came.'),
  TIMEOUT: again('No answer came in time.'),
  HANDLER_FAILED: final('A message handler failed as often as it may; the message counts as handled.'),
  PROTOCOL: final('The server sent something that the protocol does not allow.'),
  INVALID_ARGUMENT: final('An argument or option is missing or of the wrong kind; `option` or `field` names it.'),
  UNSUPPORTED: final('This version does not do this yet.'),
});

/** Codes raised by the server library, its addon and the command line. @type {Readonly<Record<string, Code>>} */
export const SERVER_CODES = Object.freeze({
  ADDON_MISSING: final('The native addon is not built for this machine; run npm run setup.'),
  BAD_OPTION: final('An option is missing or of the wrong kind; `option` names it.'),
  BAD_USER: final('authenticate gave a user id that is not 1 to 64 of A-Z a-z 0-9 _ . @ -, or is reserved.'),
  LISTEN_FAILED: final('The address can not be listened on; another process may have the port.'),
  STORE_LOCKED: final('Another process has this data directory open; stop it, or use another directory.'),
  STORE_UNWRITABLE: final('The data directory can not be written; check its owner, its rights and the space left.'),
  STORE_VERSION: final(
    'The data directory was written by a newer version of everyonce; upgrade, or use another directory.',
  ),
  STORE_CORRUPT: final('The store is damaged; restore a backup.'),
  CONTROL_FAILED: final('The server can not be asked over its socket file, so backup and inspect need it stopped.'),
  UNREACHABLE: again('No everyonce server answers at this address.'),
  LOG_UNREADABLE: final('What the server holds can not be read back, so that nothing can be said about it.'),
  BACKUP_REFUSED: final('The copy can not be made there; `option` names what is wrong.'),
  MIGRATION_REFUSED: final('The store can not be moved there; the message says what is in the way.'),
  MIGRATION_FAILED: again('What was read back is not what was written; the same again writes it once more.'),
  MIGRATION_UNFINISHED: final('Redis holds half of a store: run the same everyonce migrate again, to its end.'),
  TLS_UNAVAILABLE: final('rediss:// needs TLS, which this build does not have.'),
  REDIS_TLS: final(
    'No TLS with this Redis: its certificate is not trusted or not in its name, it wants another of ours, or one side has no TLS.',
  ),
  REDIS_UNREACHABLE: again('Redis can not be reached; nothing was done.'),
  REDIS_UNKNOWN: again('The connection to Redis was lost before the answer; the command may have been done.'),
  REDIS_TIMEOUT: again('Redis did not answer in time; the command may have been done.'),
  REDIS_BUSY: again('Too much waits for Redis; nothing was done.'),
  REDIS_REFUSED: final('Redis answered with an error; the message is its own.'),
  REDIS_AUTH: final('Redis does not take the user or the password.'),
  REDIS_WRONG_SERVER: final('This Redis can not be used: its version, its role, or Cluster where none was meant.'),
  REDIS_PROTOCOL: final('What answers does not speak the protocol of Redis.'),
  OVERLOADED: again('More is under way than this takes; nothing was done, try again a little later.'),
  UNAVAILABLE: again('The store failed or can not be reached: the same again tells whether it was done.'),
  STORE_STUCK: again('The store did not answer in time; what was under way may or may not be stored.'),
});

/** Codes raised by `everyonce/idempotency`. @type {Readonly<Record<string, Code>>} */
export const IDEMPOTENCY_CODES = Object.freeze({
  BUSY: again('Another call works on this key; `retryAfterMs` says when its lease may have run out.'),
  FAILED: final('The handler failed for good on this key; `reason` is what it said.'),
  EXHAUSTED: final('The handler was tried as often as it may be on this key.'),
  FENCED: again('The lease was lost and another call may have taken over; the same call again returns its result.'),
  GONE: final('The record of this call is gone from the store; look in the database whether its effect is there.'),
  MISMATCH: final('The key was used before with another payload.'),
  UNKNOWN_TOKEN: final('The token was not issued, or has expired.'),
  STALE: final('The row was changed since it was read; `current` is its version now.'),
  IMPOSSIBLE: final('The state of the row does not allow this event; `state` is what it is.'),
  BAD_RESULT: final('The result can not be kept: it is not JSON, or too large.'),
  IN_TRANSACTION: final('The connection is inside a transaction already.'),
  NOT_IN_TRANSACTION: final('This is to be done inside a transaction of the application.'),
  ROLLED_BACK: final('The transaction was rolled back; nothing of it is stored.'),
  CONTENTION: again('The transaction lost to others as often as it may be tried.'),
  STORE_FAILED: again('The store could not be asked; whether it did what was asked is not known.'),
});

/** Codes raised by the native primitives. @type {Readonly<Record<string, Code>>} */
export const PRIMITIVE_CODES = Object.freeze({
  CLOCK_BACKWARDS: again('The clock has stepped back further than it may; `retryAfterMs` says when ids come again.'),
  CLOCK_OUT_OF_RANGE: final('The clock is before the epoch of these ids, or more than 69 years after it.'),
  IDS_EXHAUSTED: again('More ids were asked for than the clock has room for; `retryAfterMs` says when there is room.'),
  LEASE_EXPIRED: final('The lease on this worker has run out; another process may have it. Take a new one.'),
  BAD_FILTER: final('This is not a serialized filter, or it is damaged, or of a newer version.'),
  REORDER_FULL: again('The reorder buffer holds as much as it may; fill its gaps, or skip what will not come.'),
});

/** @type {Readonly<Record<string, Code>>} */
export const CODES = Object.freeze({
  ...WIRE_CODES,
  ...CLIENT_CODES,
  ...SERVER_CODES,
  ...IDEMPOTENCY_CODES,
  ...PRIMITIVE_CODES,
});

/**
 * What a code says, also for one that is not in the table (a newer server's).
 * @param {string} code
 * @returns {Code}
 */
export function describeCode(code) {
  return Object.hasOwn(CODES, code) ? CODES[code] : final(`The server answered ${code}.`);
}
