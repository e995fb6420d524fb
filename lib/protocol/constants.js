/**
 * Every limit and name of the wire protocol that both sides must agree on, each with its unit and its reason.
 * Browser-safe: no Node built-in. The rules stand in docs/protocol.md.
 */

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'everyonce.v1';
export const DEFAULT_PATH = '/everyonce';

/** Limits fixed by the protocol; what a deployment may choose comes in `welcome.limits`. */
export const LIMITS = Object.freeze({
  /** Unanswered sends of one device in one conversation, as a span of n: what the server remembers answers for. */
  sendSpan: 64,
  /** Positions in one `hello` or `resume`. */
  positions: 200,
  /** Ids in one `status`. */
  statusIds: 100,
  /** Tokens in one `tokens`. */
  tokens: 1000,
  /** Members in one `create`, `add` or `remove`. */
  members: 200,
  /** Parts of one package. */
  packageParts: 256,
  /** Bytes of the bodies of one package. */
  packageBytes: 4_194_304,
  /** Nesting of a body. */
  bodyDepth: 64,
  /** Characters of a string `rid`. */
  ridCharacters: 64,
  /** Bytes of a pull's `next`. */
  nextBytes: 4096,
  /** Acked sends that a client keeps per conversation, to offer again when an epoch change voids them. */
  ackedKept: 64,
  /** Silence in ms after which a client sends `ping`. */
  pingAfterMs: 15_000,
  /** Silence in ms after which a connection is given up. */
  silenceMs: 30_000,
  /** Time in ms from the open to the `hello`. */
  helloMs: 5_000,
});

/** What a server offers when it is not configured otherwise, and what a client assumes before its first welcome. */
export const DEFAULT_LIMITS = Object.freeze({ frame: 65_536, body: 16_384, window: 256, page: 200, rate: 100 });

/** WebSocket close codes, by name. */
export const CLOSE = Object.freeze({
  normal: 1000,
  goingAway: 1001,
  notUtf8: 1007,
  frameTooLarge: 1009,
  restart: 1012,
  overloaded: 1013,
  badPacket: 4400,
  notAuthenticated: 4401,
  noHello: 4408,
  replaced: 4409,
  unresponsive: 4410,
  rateLimited: 4429,
});

/** Packet types that a client sends. */
export const CLIENT_PACKETS = Object.freeze([
  'hello',
  'resume',
  'ping',
  'pong',
  'send',
  'status',
  'skip',
  'tokens',
  'got',
  'counts',
  'pull',
  'history',
  'read',
  'signal',
  'create',
  'add',
  'remove',
  'leave',
]);

/** Packet types that a server sends. */
export const SERVER_PACKETS = Object.freeze([
  'welcome',
  'resume',
  'ping',
  'pong',
  'bye',
  'ack',
  'nack',
  'status',
  'ok',
  'tokens',
  'msg',
  'head',
  'hole',
  'counts',
  'page',
  'receipt',
  'signal',
  'epoch',
  'error',
]);
