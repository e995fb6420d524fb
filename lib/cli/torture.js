// `everyonce torture`: bad connections to a running server, and what arrived.

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isClean } from '../checker/judge.js';
import { EveryonceError } from '../protocol/errors.js';
import { torture as runTorture } from '../torture/torture.js';
import { Screen } from './screen.js';

/** @typedef {import('./screen.js').Say} Say */
/** @typedef {import('../torture/torture.js').TortureResult} TortureResult */
/** @typedef {import('../torture/torture.js').Progress} Progress */

/** Findings that are listed. */
const SHOWN = 20;
const BAR_WIDTH = 24;
/** Of a token that is made for one connection. */
const TOKEN_LIFE_S = 3_600;

/** Integers: what is least, most, and taken where nothing is given. */
const NUMBERS = {
  users: { least: 2, most: 2_000, otherwise: () => 50 },
  seconds: { least: 1, most: 86_400, otherwise: () => 60 },
  rate: { least: 1, most: 1_000, otherwise: () => 4 },
  seed: { least: 0, most: 2 ** 31 - 1, otherwise: () => randomInt(2 ** 31 - 1) },
};

/**
 * @param {string[]} args
 * @param {Say} say
 * @returns {Promise<boolean>} whether nothing was lost, repeated, swapped or changed
 * @throws {EveryonceError} BAD_OPTION; what torture() throws; or TypeError by parseArgs
 */
export async function torture(args, say) {
  const { isJson, ...options } = await readTortureFlags(args);
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const screen = new Screen(say, isJson, progressLine);
  let isBegun = isJson;
  const progress = (/** @type {Progress} */ counts) => {
    if (!isBegun) say.out(`everyonce torture of ${options.url}, seed ${options.seed}`);
    isBegun = true;
    screen.show(counts);
  };
  try {
    const result = await runTorture({ ...options, signal: abort.signal, progress });
    screen.clear();
    if (isJson) say.out(JSON.stringify({ ...result, findings: result.findings.slice(0, SHOWN) }));
    else report(result, say);
    return isGood(result);
  } finally {
    screen.clear();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Clean, and something to be clean about. @param {TortureResult} result */
const isGood = (result) => isClean(result) && result.problems.length === 0 && result.acked > 0 && result.delivered > 0;

/**
 * @param {string[]} args
 * @returns {Promise<Pick<import('../torture/torture.js').TortureOptions, 'url' | 'users' | 'seconds' | 'seed' | 'rate' | 'tokenOf'
 *   | 'tokens'> & { isJson: boolean }>}
 */
export async function readTortureFlags(args) {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      users: { type: 'string' },
      seconds: { type: 'string' },
      rate: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      'jwt-secret': { type: 'string' },
      tokens: { type: 'string' },
    },
    strict: true,
    allowPositionals: false,
  });
  const { url, tokens: file, 'jwt-secret': secret } = values;
  if (url === undefined) bad('url', 'the address of a running server');
  if (file !== undefined && secret !== undefined)
    bad('tokens', 'given without --jwt-secret: they are two ways to be let in');
  const tokens = file === undefined ? undefined : readTokens(file);
  return {
    url: /** @type {string} */ (url),
    users: integer(values.users, 'users'),
    seconds: integer(values.seconds, 'seconds'),
    rate: integer(values.rate, 'rate'),
    seed: integer(values.seed, 'seed'),
    tokenOf: secret === undefined ? undefined : await signer(secret),
    tokens,
    isJson: values.json,
  };
}

/** @param {string | undefined} text @param {keyof typeof NUMBERS} name */
function integer(text, name) {
  const { least, most, otherwise } = NUMBERS[name];
  if (text === undefined) return otherwise();
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most)) bad(name, `a whole number from ${least} to ${most}`);
  return value;
}

/** @param {string} path @returns {string[]} */
function readTokens(path) {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    bad('tokens', `a file with one token a line: ${/** @type {Error} */ (error).message}`);
  }
  const tokens = text.split('\n').map((line) => line.trim()).filter(Boolean); // prettier-ignore
  if (tokens.length < 2) bad('tokens', 'a file with one token a line, of two users at least');
  return tokens;
}

/** @param {string} secret of the server @returns {Promise<(user: string) => Promise<string>>} */
async function signer(secret) {
  const key = new TextEncoder().encode(secret);
  if (key.length < 32) bad('jwt-secret', 'a string of at least 32 bytes, the same that the server has');
  const { SignJWT } = await import('jose');
  return (user) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      .setExpirationTime(`${TOKEN_LIFE_S}s`)
      .sign(key);
}

/** @param {string} name @param {string} wanted @returns {never} */
function bad(name, wanted) {
  throw new EveryonceError('BAD_OPTION', `--${name} must be ${wanted}`, { option: name });
}

/** @param {Progress} counts @returns {string} */
export function progressLine({ phase, part, sent, acked, delivered, reconnects, online, devices }) {
  const done = Math.round(part * BAR_WIDTH);
  const bar = `[${'='.repeat(done)}${' '.repeat(BAR_WIDTH - done)}]`;
  return `${bar} ${phase}: sent ${sent}, acked ${acked}, delivered ${delivered}, reconnects ${reconnects}, online ${online}/${devices}`;
}

/** @param {TortureResult} result @param {Say} say */
function report(result, say) {
  const rows = /** @type {const} */ ([
    ['sent', 'acked', 'delivered'],
    ['lost', 'repeated', 'swapped', 'changed'],
    ['reconnects', 'p50Ms', 'p99Ms'],
  ]);
  for (const row of rows) for (const name of row) say.out(`  ${name.padEnd(12)} ${String(result[name]).padStart(10)}`);
  const met = Object.entries(result.faults).map(([name, times]) => `${name} ${times}`);
  say.out(`  ${result.users} users on ${result.devices} devices for ${result.seconds} s; ${met.join(', ')}`);
  for (const finding of result.findings.slice(0, SHOWN)) say.out(JSON.stringify(finding));
  if (result.findings.length > SHOWN) say.out(`… and ${result.findings.length - SHOWN} more`);
  for (const problem of result.problems.slice(0, SHOWN)) say.out(problem);
  if (isGood(result)) say.out('every message once, in order, unchanged');
  else say.out(`FAILED; the same again: --seed ${result.seed}`);
}
