// `everyonce migrate`: a data directory into a Redis, once, whole and read back.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { EveryonceError } from '../protocol/errors.js';
import { STORE_FILE_NAME } from '../server/control-path.js';
import { DEFAULTS } from '../server/defaults.js';
import { loadAddon } from '../server/native.js';
import { readRedis } from '../server/redis-options.js';
import { TLS_FLAGS, readRedisFlags } from './redis-flags.js';
import { Screen } from './screen.js';
import { visible } from './text.js';

/** @typedef {import('./screen.js').Say} Say */
/** @typedef {import('../server/native.js').MigrationProgress} Progress */
/** @typedef {import('../server/native.js').MigrationCounts} Counts */
/** @typedef {ReturnType<typeof readMigrateFlags>} Wish */

const BAR_WIDTH = 24;
const SHOW_EVERY_MS = 100;
const REPLICA_TIMEOUT_MS = 30_000;

/** What is counted, by the words for it. @type {[keyof Counts, string][]} */
const ROWS = [
  ['conversations', 'conversations'],
  ['messages', 'messages'],
  ['bytes', 'bytes of bodies'],
  ['members', 'members of groups'],
  ['senders', 'senders, with their answers'],
  ['acked', "devices' acks"],
  ['read', 'read marks'],
  ['devices', 'devices'],
  ['window', 'ids of sends without n'],
  ['tokens', 'used message tokens'],
  ['groups', 'consumer groups'],
  ['letters', 'dead letters'],
  ['claims', 'claims and dedup keys'],
  ['counters', 'sequences and segments'],
  ['workers', 'worker numbers'],
  ['waiting', 'items of offline stores'],
];

/** What lies in no data directory, or means nothing elsewhere. */
const LEFT_BEHIND = [
  'packages that were not complete: their senders send them again',
  'who held which conversation of a consumer group: leased anew',
  'the `next` of pages of an OfflineStore: begin the walk anew, nothing of it is lost',
];

/**
 * @param {string[]} args
 * @param {Say} say
 * @throws {EveryonceError} BAD_OPTION, STORE_LOCKED and what else opening a store throws; MIGRATION_REFUSED,
 *   MIGRATION_FAILED, REDIS_…; or TypeError by parseArgs
 */
export async function migrate(args, say) {
  const wish = readMigrateFlags(args);
  const { Migration } = loadAddon();
  /** @type {import('../server/native.js').Migration} */
  let migration;
  try {
    migration = new Migration({ ...wish.redis, data: resolve(wish.from), dedupWindowMs: wish.dedupWindowMs });
  } catch (cause) {
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (cause);
    const option = code === 'BAD_OPTION' || code === 'TLS_UNAVAILABLE' ? 'to' : 'from';
    throw new EveryonceError(code, code === 'BAD_OPTION' ? `--to: ${message}` : message, { cause, option });
  }
  const onSignal = () => migration.close();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const screen = new Screen(say, wish.isJson, progressLine);
  let timer;
  try {
    await agree(wish, migration.progress().ofKeys);
    timer = setInterval(() => screen.show(migration.progress()), SHOW_EVERY_MS);
    const counts = await migration.run();
    screen.clear();
    const { resumed } = migration.progress();
    if (wish.isJson) say.out(JSON.stringify({ from: wish.from, to: wish.places, resumed, verified: true, ...counts }));
    else report(wish, counts, say);
  } catch (cause) {
    screen.clear();
    const { code, message } = /** @type {any} */ (cause);
    if (cause instanceof EveryonceError || typeof code !== 'string') throw cause;
    const hasBegun = migration.progress().step !== 'looking';
    const whatNow =
      hasBegun && !code.startsWith('MIGRATION_') ? '; the store is as it was: run the same again, it goes on' : '';
    throw new EveryonceError(code, message + whatNow, { cause, option: 'to' });
  } finally {
    clearInterval(timer);
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    migration.close();
  }
}

/**
 * @param {string[]} args
 * @throws {EveryonceError} BAD_OPTION; or TypeError by parseArgs
 */
export function readMigrateFlags(args) {
  const { values } = parseArgs({
    args,
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      ...TLS_FLAGS,
      durability: { type: 'string' },
      'dedup-window': { type: 'string' },
      yes: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
    strict: true,
    allowPositionals: false,
  });
  const { from = DEFAULTS.data, to } = values;
  if (to === undefined) bad('to', 'given: the Redis to move to, like redis://127.0.0.1:6379');
  const place = /** @type {{ nodes: string[] }} */ (readRedisFlags({ ...values, redis: to }));
  const { nodes } = place;
  const digits = /^replicas=(\d{1,2})$/.exec(values.durability ?? 'replicas=0')?.[1];
  if (digits === undefined) bad('durability', 'replicas=N, as of serve');
  // Where nothing is said one replica of each master that has any.
  const replicas = values.durability === undefined ? undefined : Number(digits);
  const { tls } = readRedis(place, { replicas: Number(digits) }) ?? {}; // refuses what is none
  const redis = { nodes, tls, replicas, replicaTimeoutMs: REPLICA_TIMEOUT_MS };
  const window = values['dedup-window'] ?? String(DEFAULTS.dedupWindowMs);
  const dedupWindowMs = /^\d{1,11}$/.test(window) ? Number(window) : NaN;
  if (!(dedupWindowMs >= 1000 && dedupWindowMs <= 31_536_000_000)) {
    bad('dedup-window', "the server's dedup.windowMs, in milliseconds");
  }
  if (!existsSync(join(from, STORE_FILE_NAME))) bad('from', `a server's data directory; ${from} holds no store`);
  if (!values.yes && !process.stdin.isTTY) bad('yes', 'given where nobody can be asked');
  const places = nodes.map(placeOf);
  return { from, places, redis, dedupWindowMs, isAgreed: values.yes, isJson: values.json };
}

/** Of a URL what may be shown. @param {string} url */
function placeOf(url) {
  const [, scheme, rest] = /** @type {RegExpExecArray} */ (/^(rediss?:\/\/)(.*)$/s.exec(url));
  return visible(`${scheme}${rest.replace(/^.*@/s, '')}`);
}

/** @param {string} name @param {string} wanted @returns {never} */
function bad(name, wanted) {
  throw new EveryonceError('BAD_OPTION', `--${name} must be ${wanted}`, { option: name });
}

/** @param {Wish} wish @param {number} keys of the store, about */
async function agree({ from, places, isAgreed }, keys) {
  if (isAgreed) return;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`move ${from} (about ${keys} records) to ${places.join(', ')}? [y/N] `);
  asking.close();
  if (!/^y(es)?$/i.test(answer.trim())) bad('yes', 'what you mean: nothing was moved');
}

/** @param {Progress} progress @returns {string} */
export function progressLine({ step, keys, ofKeys, counts, resumed }) {
  const part = ofKeys > 0 ? Math.min(1, keys / ofKeys) : 0;
  const done = Math.round(part * BAR_WIDTH);
  const bar = `[${'='.repeat(done)}${' '.repeat(BAR_WIDTH - done)}]`;
  const words = {
    looking: 'looking',
    writing: resumed ? 'writing on' : 'writing',
    reading: 'reading back',
    done: 'done',
  };
  return `${bar} ${words[step]}: ${counts.messages} messages, ${counts.conversations} conversations`;
}

/** @param {Wish} wish @param {Counts} counts @param {Say} say */
function report({ from, places }, counts, say) {
  say.out(`moved ${from} to ${places.join(', ')}; all of it was read back and is the same`);
  for (const [name, words] of ROWS) say.out(`  ${words.padEnd(28)} ${String(counts[name]).padStart(12)}`);
  if (counts.windowOver > 0) {
    say.out(
      `${counts.windowOver} ids of sends without n are older than --dedup-window and stay behind: a repeat of them is new`,
    );
  }
  say.out('not moved, since no store keeps it:');
  for (const line of LEFT_BEHIND) say.out(`  ${line}`);
  say.out(`to use it: everyonce serve --redis ${places.join(',')}`);
  say.out(`${from} is as it was: keep it as a backup, and start no server on it any more`);
}
