// What a store can be asked (lib/primitives/store.js), as scripts of lua/. Arguments were checked by who asks; answers are
// those of the embedded store, so that whoever asks can't tell the difference.

import { randomBytes } from 'node:crypto';
import { EveryonceError } from '../../protocol/errors.js';
import { decodeNext, encodeNext } from '../offline/next.js';
import { Operation } from '../store-operations.js';
import { WORKERS_KEY, claimKey, counterKey, fenceKey, offlineKeys, partitionOf, requestKey } from './keys.js';
import { Takers } from './takers.js';

/** The keys of one script's run: Redis does nothing else meanwhile. */
const MAX_KEYS = 1000;
const MAX_PAGE_BYTES = 1024 * 1024;

/**
 * @typedef {object} Scripts
 * @property {(name: string, keys: string[], args: string[]) => Promise<any>} run
 * @property {(name: string, calls: string[][]) => Promise<any[]>} runAll keys, arguments, keys, arguments …
 */

/**
 * @param {Scripts} scripts
 * @returns {Record<number, (...args: any[]) => Promise<any>>} by operation
 */
export function redisOperations(scripts) {
  // Kept with what it asked for, so it is short: of a million askers two are the same with odds of 10^-10.
  const asker = randomBytes(9).toString('base64url');
  let lastRequest = 0;
  /** Known again by the script when an answer was lost, and used for nothing else. */
  const newRequest = () => `${asker}.${++lastRequest}`;
  const takers = new Takers(async (counter, count, most) => {
    const keys = [counterKey(counter), requestKey(counter, asker)];
    const [first] = await scripts.run('take', keys, [String(count), String(most), newRequest()]);
    if (first !== undefined) return BigInt(first);
    throw new EveryonceError('INVALID_ARGUMENT', 'no numbers are left there', { option: 'n' });
  });
  /** @param {string} key @param {unknown[]} args */
  const claim = async (key, ...args) => {
    const [state, fence, attempt, ms, text] = await scripts.run('claim', [claimKey(key), fenceKey(key)], texts(args));
    return [state, Number(fence), Number(attempt), Number(ms), text];
  };

  return {
    [Operation.CLAIM]: (key, owner, leaseMs, keepMs, fingerprint, maxAttempts, requireIssued) =>
      claim(key, 'claim', owner, leaseMs, fingerprint, maxAttempts, keepMs, requireIssued ? 1 : 0),
    [Operation.RENEW]: (key, owner, fence, leaseMs) => claim(key, 'renew', owner, fence, leaseMs),
    [Operation.COMMIT]: (key, owner, fence, result, keepMs) => claim(key, 'commit', owner, fence, result, keepMs),
    [Operation.RELEASE]: (key, owner, fence, final, reason, keepMs) =>
      final ? claim(key, 'fail', owner, fence, reason, keepMs) : claim(key, 'release', owner, fence, keepMs),

    [Operation.ISSUE]: async (keys, owner, ttlMs) => {
      const calls = slices(keys).flatMap((slice) => [
        slice.map(({ key }) => claimKey(key)),
        [newRequest(), owner, String(ttlMs)],
      ]);
      const issued = calls.length > 0 ? await scripts.runAll('issue', calls) : [];
      return issued.reduce((sum, count) => sum + Number(count), 0);
    },
    [Operation.CHECK]: async (keys, windowMs) => {
      const some = slices(keys.map((/** @type {string} */ key) => `d${key}`));
      const calls = some.flatMap((slice) => [slice.map(({ key }) => claimKey(key)), [newRequest(), String(windowMs)]]);
      const answers = await scripts.runAll('check', calls);
      const told = new Array(keys.length);
      for (const [i, slice] of some.entries()) for (const [j, { at }] of slice.entries()) told[at] = answers[i][j];
      return told.join('');
    },

    [Operation.TAKE]: (counter, count, most) => takers.take(counter, count, most),
    [Operation.LAST]: async (counter) => {
      const keys = [counterKey(counter), requestKey(counter, asker)];
      const [newest] = await scripts.run('take', keys, ['0', '0', '']);
      return BigInt(newest);
    },

    [Operation.LEASE_WORKER]: async (owner, leaseMs, reserveMs) => {
      const told = await scripts.run('worker', [WORKERS_KEY], texts(['lease', owner, leaseMs, reserveMs]));
      const [word, ...numbers] = told;
      if (word === 'OK') return numbers.map(Number);
      const retryAfterMs = Number(numbers[0]);
      throw new EveryonceError('OVERLOADED', 'all 1024 worker numbers are leased', { retryAfterMs });
    },
    [Operation.RENEW_WORKER]: async (worker, owner, fence, leaseMs, untilMs) => {
      const args = texts(['renew', owner, worker, fence, leaseMs, untilMs]);
      return (await scripts.run('worker', [WORKERS_KEY], args))[0] === 'HELD';
    },
    [Operation.RELEASE_WORKER]: async (worker, owner, fence, untilMs) => {
      const args = texts(['release', owner, worker, fence, untilMs]);
      return (await scripts.run('worker', [WORKERS_KEY], args))[0] === 'HELD';
    },

    [Operation.APPEND]: async (receiver, sender, msgId, body) => {
      const keys = [...offlineKeys(receiver), ...offlineKeys(receiver, ['newest'])];
      return (await scripts.run('offline_append', keys, [msgId, sender, body, newRequest()])) === '1';
    },
    [Operation.COUNTS]: async (receiver) => {
      const flat = await scripts.run('offline_counts', offlineKeys(receiver, ['counts']), []);
      const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], Number(flat[2 * i + 1])]);
      return [undefined, undefined, ...pairs.sort(([a], [b]) => (a < b ? -1 : 1)).flat()];
    },
    [Operation.PULL]: async (receiver, sender, limit, newest, next, keepMs) => {
      const walk = { receiver, sender, newest };
      const acked = next === '' ? [] : decodeNext(next, walk).map((place) => place.padStart(16, '0'));
      const args = texts([sender, limit, newest ? 1 : 0, acked.at(-1) ?? '', MAX_PAGE_BYTES, keepMs, ...acked]);
      const flat = await scripts.run('offline_pull', offlineKeys(receiver), args);
      const places = [];
      const items = [];
      for (let i = 0; i < flat.length; i += 4) {
        places.push({ place: flat[i] });
        items.push(flat[i + 1], flat[i + 2], flat[i + 3]);
      }
      return [places.length === 0 ? '' : encodeNext(places, walk), undefined, ...items];
    },
    [Operation.ACK]: async (receiver, msgIds, keepMs) => {
      const calls = [];
      for (let i = 0; i < msgIds.length; i += MAX_KEYS) {
        calls.push(offlineKeys(receiver), [String(keepMs), ...msgIds.slice(i, i + MAX_KEYS)]);
      }
      const removed = calls.length > 0 ? await scripts.runAll('offline_ack', calls) : [];
      return removed.reduce((sum, count) => sum + Number(count), 0);
    },
  };
}

/** @param {unknown[]} args */
const texts = (args) => args.map(String);

/**
 * Keys by what one script may take: of one partition, and not too many. What is twice stays in its order.
 *
 * @param {string[]} keys
 * @returns {{ key: string, at: number }[][]} `at`: the place among all
 */
function slices(keys) {
  /** @type {Map<number, { key: string, at: number }[]>} */
  const open = new Map();
  const all = [];
  for (const [at, key] of keys.entries()) {
    const partition = partitionOf(key);
    let slice = open.get(partition);
    if (slice === undefined || slice.length >= MAX_KEYS) {
      slice = [];
      open.set(partition, slice);
      all.push(slice);
    }
    slice.push({ key, at });
  }
  return all;
}
