// `everyonce serve`: flags to options, one line when it accepts connections, down in order on SIGTERM.

import { parseArgs } from 'node:util';
import { EveryonceError } from '../protocol/errors.js';
import { createServer } from '../server/server.js';
import { REDIS_FLAGS, REDIS_FLAG_OF, readRedisFlags } from './redis-flags.js';
import { EXIT } from './run.js';

/** @typedef {{ out: (line: string) => void, err: (line: string) => void }} Say */

/** @type {NonNullable<import('node:util').ParseArgsConfig['options']>} */
const FLAGS = {
  port: { type: 'string', default: '8080' },
  host: { type: 'string', default: '127.0.0.1' },
  path: { type: 'string' },
  data: { type: 'string' },
  durability: { type: 'string' },
  'jwt-secret': { type: 'string' },
  jwks: { type: 'string' },
  insecure: { type: 'boolean' },
  origins: { type: 'string' },
  rate: { type: 'string' },
  window: { type: 'string' },
  tokens: { type: 'string' },
  ...REDIS_FLAGS,
  'retention-days': { type: 'string' },
  'retention-messages': { type: 'string' },
  'retention-until-acked': { type: 'boolean' },
  'service-key': { type: 'string' },
  restored: { type: 'boolean' },
};

/** createServer's options by the flag that sets them, so that an error names what was typed. */
const FLAG_OF = new Map([
  ['authenticate', '--jwt-secret, --jwks or --insecure'],
  ['jwtSecret', '--jwt-secret'],
  ['serviceKey', '--service-key'],
  ['limits.rate', '--rate'],
  ['limits.window', '--window'],
  ['dedup.tokens', '--tokens'],
  ['retention.days', '--retention-days'],
  ['retention.messages', '--retention-messages'],
  ...REDIS_FLAG_OF,
]);

/**
 * @param {string[]} args
 * @param {Say} say
 * @returns {Promise<number>} exit code, when the server is down again
 */
export async function serve(args, say) {
  /** @type {import('../server/server.js').Server} */
  let server;
  let wish;
  try {
    wish = readFlags(args);
    server = createServer(wish.options);
  } catch (error) {
    return complain(error, say);
  }
  const signal = firstSignal();
  server.on('error', (error) => say.err(`everyonce: ${error.message}`));
  try {
    const { port } = await server.listen(wish.port, wish.host, { path: wish.path });
    const shown = wish.host.includes(':') ? `[${wish.host}]` : wish.host;
    say.out(`everyonce listening on http://${shown}:${port}`);
  } catch (error) {
    await server.close();
    return complain(error, say);
  }
  await signal;
  await server.close();
  return EXIT.OK;
}

/**
 * @param {string[]} args
 * @returns {{ port: number, host: string, path: string | undefined, options: import('../server/options.js').ServerOptions }}
 * @throws {EveryonceError} BAD_OPTION, UNSUPPORTED; or TypeError by parseArgs
 */
export function readFlags(args) {
  const { values } = parseArgs({ args, options: FLAGS, strict: true, allowPositionals: false });
  const flags = /** @type {Record<string, string | undefined>} */ (values);
  const { origins } = flags;
  return {
    port: integer(flags, 'port') ?? 0,
    host: flags.host ?? '',
    path: flags.path,
    options: {
      data: flags.data,
      redis: readRedisFlags(flags),
      durability: readDurability(flags),
      jwtSecret: flags['jwt-secret'],
      jwks: flags.jwks,
      insecure: values.insecure === true ? true : undefined,
      restored: values.restored === true ? true : undefined,
      serviceKey: flags['service-key'],
      origins: origins?.split(',').map((origin) => origin.trim()),
      dedup: { tokens: /** @type {'off' | undefined} */ (flags.tokens) },
      retention: readRetention(flags, values['retention-until-acked'] === true),
      limits: { rate: integer(flags, 'rate'), window: integer(flags, 'window') },
    },
  };
}

/**
 * @param {Record<string, string | undefined>} flags
 * @param {boolean} untilAcked
 * @returns {import('../server/options.js').ServerOptions['retention']}
 */
function readRetention(flags, untilAcked) {
  const days = integer(flags, 'retention-days');
  const messages = integer(flags, 'retention-messages');
  return days === undefined && messages === undefined && !untilAcked ? undefined : { days, messages, untilAcked };
}

/**
 * @param {Record<string, string | undefined>} flags
 * @param {string} name
 */
function integer(flags, name) {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) bad(name, 'a whole number');
  return Number(text);
}

/**
 * @param {string} name
 * @param {string} wanted
 * @returns {never}
 */
function bad(name, wanted) {
  throw new EveryonceError('BAD_OPTION', `--${name} must be ${wanted}`, { option: name });
}

/**
 * Says what went wrong, and what was typed wrong.
 *
 * @param {unknown} error
 * @param {Say} say
 * @returns {number} the exit code
 */
export function complain(error, say) {
  const { code = '', message = String(error), option = '' } = /** @type {EveryonceError} */ (error);
  const isUsage =
    code === 'BAD_OPTION' || code === 'UNSUPPORTED' || code === 'INVALID_ARGUMENT' || code.startsWith('ERR_PARSE_ARGS');
  const flag = isUsage ? FLAG_OF.get(option) : undefined;
  say.err(`everyonce: ${flag && message.startsWith(option) ? flag + message.slice(option.length) : message}`);
  if (isUsage) say.err('see everyonce --help');
  return isUsage ? EXIT.USAGE : EXIT.FAILED;
}

/** @returns {Promise<void>} at the first SIGTERM or SIGINT; the second kills, as ever */
function firstSignal() {
  return new Promise((resolve) => {
    const onSignal = () => {
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
      resolve();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

/** @param {Record<string, string | undefined>} flags @returns {import('../server/options.js').ServerOptions['durability']} */
function readDurability({ durability, redis }) {
  if (redis !== undefined) {
    if (durability === undefined) return undefined;
    const replicas = /^replicas=(\d{1,2})$/.exec(durability)?.[1];
    if (replicas === undefined)
      bad('durability', 'replicas=N with --redis: what a single Redis keeps is its own setting');
    return { replicas: Number(replicas) };
  }
  if (durability !== undefined && durability !== 'memory' && durability !== 'disk') bad('durability', 'memory or disk');
  return { fsync: durability !== 'memory' };
}
