// npm run bench -- paging: what a page costs while the log behind it grows. One conversation on the embedded store;
// at each size a device that has acked nothing pulls pages by the WebSocket, each acked by the next pull.
import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';
import { processCpu } from './process-cpu.js';
import { targets, withTarget } from './targets.js';

const CONV = 'dm:alice:bob';
const BATCH = 100;
const BATCHES_UNANSWERED = 8;

/**
 * @typedef {object} PagingOptions
 * @property {number[]} sizes messages stored, ascending
 * @property {number} pages pulled at each size, in each order
 * @property {number} limit messages a page
 * @property {number} bytes of a message's body
 * @property {string} dir where the store lies
 * @property {(line: string) => void} [progress]
 *
 * @typedef {{ stored: number, what: string, pages: number, p50Ms: number, p99Ms: number, cpuMicros: number }} PageCost
 *   `cpuMicros`: of the server's process, all threads, for each page
 */

/** A connection on which one question is asked at a time. */
class Asker {
  /** @type {(packet: Record<string, any>) => void} */
  #answered = () => {};
  #rid = 0;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data));
      for (const packet of Array.isArray(frame) ? frame : [frame]) this.#answered(packet);
    });
  }

  /** @param {number} port @param {string} user @param {string} device */
  static async open(port, user, device) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/everyonce`, 'everyonce.v1', { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const asker = new Asker(socket);
    await asker.until({ t: 'hello', v: 1, device, pe: 1, token: user, live: false }, ({ t }) => t === 'welcome');
    return asker;
  }

  /**
   * @param {object} packet
   * @param {(packet: Record<string, any>) => boolean} isAnswer
   * @returns {Promise<Record<string, any>>}
   */
  until(packet, isAnswer) {
    return new Promise((resolve, reject) => {
      this.#answered = (answer) => {
        if (answer.t === 'error' || answer.t === 'nack') reject(new Error(JSON.stringify(answer)));
        else if (isAnswer(answer)) resolve(answer);
      };
      this.socket.send(JSON.stringify(packet));
    });
  }

  /** @param {object} packet */
  ask(packet) {
    const rid = ++this.#rid;
    return this.until({ rid, ...packet }, (answer) => answer.rid === rid);
  }

  /**
   * Sends messages from..to in batches, a few unanswered at a time.
   *
   * @param {number} from @param {number} to @param {string} body
   */
  fill(from, to, body) {
    return new Promise((resolve, reject) => {
      let sent = from - 1;
      let acked = from - 1;
      const send = () => {
        while (sent < to && sent - acked < BATCH * BATCHES_UNANSWERED) {
          const batch = [];
          for (let i = 0; i < BATCH && sent < to; i++) {
            sent += 1;
            batch.push({ t: 'send', conv: CONV, id: `message-${sent}`, n: sent, body });
          }
          this.socket.send(JSON.stringify(batch));
        }
      };
      this.#answered = (answer) => {
        if (answer.t === 'nack' || answer.t === 'error') return reject(new Error(JSON.stringify(answer)));
        if (answer.t === 'ack') acked += 1;
        if (acked === to) return resolve(undefined);
        if (sent - acked <= BATCH * (BATCHES_UNANSWERED - 1)) send();
      };
      if (acked === to) resolve(undefined);
      else send();
    });
  }
}

/** @param {PagingOptions} options @returns {Promise<PageCost[]>} */
export function measurePaging({ sizes, pages, limit, bytes, dir, progress = () => {} }) {
  // Not synced while it is filled: reads do not differ.
  return withTarget(targets.memory, { dir }, async ({ port, pid }) => {
    const alice = await Asker.open(port, 'alice', 'alice-1');
    const body = 'x'.repeat(Math.max(0, bytes - 2));
    /** @type {PageCost[]} */
    const costs = [];
    let stored = 0;
    for (const size of sizes) {
      progress(`storing ${size} messages`);
      await alice.fill(stored + 1, size, body);
      stored = size;
      progress(`pages of ${size}`);
      for (const what of ['oldest', 'newest', 'history']) {
        const reader = await Asker.open(port, 'bob', `bob-${what}-${size}`);
        costs.push({ stored, what, ...(await measure(pid, reader, what, { pages, limit, size })) });
        reader.socket.close();
      }
    }
    alice.socket.close();
    return costs;
  });
}

/**
 * @param {number} pid
 * @param {Asker} reader
 * @param {string} what
 * @param {{ pages: number, limit: number, size: number }} options
 */
async function measure(pid, reader, what, { pages, limit, size }) {
  const times = [];
  /** @type {{ next?: string, before?: number }} */
  let place = what === 'history' ? { before: Math.floor(size / 2) + 1 } : {};
  const question = what === 'history' ? { t: 'history' } : { t: 'pull', order: what };
  const before = processCpu(pid);
  for (let i = 0; i < pages; i++) {
    const start = performance.now();
    const page = await reader.ask({ ...question, conv: CONV, limit, ...place });
    times.push(performance.now() - start);
    if (page.items.length === 0) break;
    place = what === 'history' ? { before: page.items[0].seq } : { next: page.next };
  }
  const cpuMicros = (processCpu(pid) - before) / times.length;
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { pages: times.length, p50Ms: at(0.5), p99Ms: at(0.99), cpuMicros };
}
