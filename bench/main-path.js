/**
 * The main path: pairs of people, each message from one to the other, so many unanswered at a time. The same generator
 * drives this server, durable and not, and a bare relay, in turn, several times.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { targets, withTarget } from './targets.js';

const generator = fileURLToPath(new URL('generator.js', import.meta.url));

/**
 * @typedef {object} Options
 * @property {number} pairs
 * @property {number} bytes of a message's body
 * @property {number} unanswered sends per pair
 * @property {number} gotEvery messages that a receiver acks at once
 * @property {number} seconds measured, after the warm-up
 * @property {number} warmupSeconds
 * @property {number} repetitions
 * @property {string[]} servers keys of targets
 * @property {string} dir where the stores lie
 * @property {(line: string) => void} [progress]
 *
 * @typedef {object} Measured one run of one server
 * @property {number} messages
 * @property {number} received
 * @property {number} framesPerMessage written by the server: an ack and a delivery, less what shares a frame, plus receipts
 * @property {number} messagesPerSecond
 * @property {number} serverCpuMicros per message
 * @property {number} generatorCpuMicros per message
 * @property {number} p50Ms
 * @property {number} p99Ms
 * @property {number} [messagesPerGroup]
 * @property {number} [messagesPerSync]
 */

/** @param {Options} options @returns {Promise<Record<string, { name: string, median: Measured, runs: Measured[] }>>} by key of targets */
export async function measureMainPath(options) {
  const { repetitions, servers, progress = () => {} } = options;
  /** @type {Record<string, Measured[]>} */
  const runs = Object.fromEntries(servers.map((key) => [key, []]));
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const key of servers) {
      progress(`${targets[key].name}, ${repetition} of ${repetitions}`);
      runs[key].push(await measure(key, options));
    }
  }
  return Object.fromEntries(
    servers.map((key) => [key, { name: targets[key].name, median: medians(runs[key]), runs: runs[key] }]),
  );
}

/** @param {string} key @param {Options} options @returns {Promise<Measured>} */
function measure(key, { pairs, bytes, unanswered, gotEvery, seconds, warmupSeconds, dir }) {
  return withTarget(targets[key], { dir }, async ({ port, pid }) => {
    const load = { port, pid, pairs, bytes, unanswered, gotEvery };
    const child = fork(generator, [JSON.stringify(load)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const died = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the generator ended with ${code}`)));
    died.catch(() => {});
    const answer = () => Promise.race([once(child, 'message'), died]);
    try {
      await answer();
      child.send('start');
      await Promise.race([wait(warmupSeconds), died]);
      const before = await readCounters(key, port);
      child.send('begin');
      await Promise.race([wait(seconds), died]);
      child.send('end');
      const [measured] = await answer();
      const after = await readCounters(key, port);
      return { ...measured, ...perSync(before, after) };
    } finally {
      if (child.connected) child.disconnect();
      await died.catch(() => {});
    }
  });
}

/** @typedef {Record<'everyonce_messages_accepted_total' | 'everyonce_commits_total' | 'everyonce_syncs_total', number>} Counters */

/** @param {string} key @param {number} port @returns {Promise<Counters | undefined>} */
async function readCounters(key, port) {
  if (!targets[key].counts) return undefined;
  const response = await fetch(`http://127.0.0.1:${port}/everyonce/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return /** @type {Counters} */ (
    Object.fromEntries(lines.map((line) => line.split(' ')).map(([name, value]) => [name, Number(value)]))
  );
}

/** @param {Counters | undefined} before @param {Counters | undefined} after */
function perSync(before, after) {
  if (!before || !after) return {};
  const grew = (/** @type {keyof Counters} */ name) => after[name] - before[name];
  const messages = grew('everyonce_messages_accepted_total');
  const [groups, syncs] = [grew('everyonce_commits_total'), grew('everyonce_syncs_total')];
  return { messagesPerGroup: messages / groups, ...(syncs > 0 ? { messagesPerSync: messages / syncs } : {}) };
}

/** @param {Measured[]} runs @returns {Measured} the median of each figure by itself */
function medians(runs) {
  const names = /** @type {(keyof Measured)[]} */ (Object.keys(runs[0]));
  return /** @type {Measured} */ (
    Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name] ?? NaN))]))
  );
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @param {number} seconds */
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
