// npm run bench -- retention: what acks cost while retention removes a backlog, beside the same server that removes
// nothing. Both have the same backlog on the embedded store, and take turns.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';

const BIN = fileURLToPath(new URL('../bin/everyonce.js', import.meta.url));
/** Unanswered sends while the backlog is made: the protocol's bound for one device and conversation. */
const UNANSWERED = 64;
/** Bodies are cut from it: what compresses well would say little about the disk. */
const NOISE = randomBytes(2 ** 20).toString('base64url');

/**
 * @typedef {object} RetentionOptions
 * @property {number} backlog messages stored before
 * @property {number} keep of each conversation, where retention runs
 * @property {number} senders each with one message on its way, in a conversation of its own
 * @property {number} bytes of a message's body
 * @property {number} seconds measured in each run
 * @property {number} repetitions
 * @property {string} dir where the stores lie
 * @property {(line: string) => void} [progress]
 *
 * @typedef {{ p50Ms: number, p99Ms: number, p999Ms: number, mostMs: number, perSecond: number, removed: number,
 *   diskBeforeMiB: number, diskAfterMiB: number }} Run
 */

/** @param {string} dir @param {string[]} flags */
async function start(dir, flags) {
  const args = [BIN, 'serve', '--insecure', '--port', '0', '--rate', '0', '--data', join(dir, 'data'), ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const port = Number(/:(\d+)$/.exec(line)?.[1]);
    if (!port) continue;
    return { port, stop: () => (child.kill('SIGTERM'), exited) };
  }
  throw new Error('the server did not start');
}

/** @param {string} dir @returns {number} MiB of all files in it */
function sizeOf(dir) {
  let bytes = 0;
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes / 2 ** 20;
}

/** A device that sends to a conversation of its own, `unanswered` at a time. */
class Sender {
  /** @type {Map<number, number>} n → when it was sent */
  #sent = new Map();
  /** Milliseconds from send to ack. @type {number[]} */
  times = [];
  #n = 0;
  #done = () => {};

  /** @param {WebSocket} socket @param {number} index @param {number} bytes of a body */
  constructor(socket, index, bytes) {
    this.socket = socket;
    this.conv = `dm:s${index}:t${index}`;
    this.bytes = bytes;
    socket.on('message', (data) => this.#take(JSON.parse(String(data))));
  }

  /** @param {number} port @param {number} index @param {number} bytes @param {number} pe @param {number} n the last one used */
  static async open(port, index, bytes, pe, n) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/everyonce`, 'everyonce.v1', { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const welcome = new Promise((resolve) => socket.once('message', resolve));
    socket.send(JSON.stringify({ t: 'hello', v: 1, device: 'bench', pe, token: `s${index}`, live: false }));
    await welcome;
    const sender = new Sender(socket, index, bytes);
    sender.#n = n;
    return sender;
  }

  /** @param {number} unanswered @param {() => boolean} goOn @returns {Promise<void>} when all is answered */
  run(unanswered, goOn) {
    this.goOn = goOn;
    return new Promise((resolve) => {
      this.#done = () => resolve();
      for (let i = 0; i < unanswered; i++) this.#send();
    });
  }

  get last() {
    return this.#n;
  }

  goOn = () => false;

  #send() {
    if (!this.goOn()) {
      if (this.#sent.size === 0) this.#done();
      return;
    }
    const n = ++this.#n;
    this.#sent.set(n, performance.now());
    const at = (n * 997) % (NOISE.length - this.bytes);
    const body = NOISE.slice(at, at + this.bytes - 2);
    this.socket.send(`{"t":"send","conv":"${this.conv}","id":"message-${n}","n":${n},"body":"${body}"}`);
  }

  /** @param {any} frame */
  #take(frame) {
    for (const packet of Array.isArray(frame) ? frame : [frame]) {
      if (packet.t === 'nack') throw new Error(JSON.stringify(packet));
      if (packet.t !== 'ack') continue;
      this.times.push(performance.now() - (this.#sent.get(packet.n) ?? NaN));
      this.#sent.delete(packet.n);
      this.#send();
    }
  }
}

/** @param {number} port */
async function removedBy(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/everyonce/metrics`)).text();
  return Number(/^everyonce_removed_messages_total (\d+)/m.exec(text)?.[1] ?? 0);
}

/** @param {RetentionOptions} options @param {string[]} flags of the measured server @returns {Promise<Run>} */
async function measureRun({ backlog, senders, bytes, seconds, dir: parent }, flags) {
  const dir = mkdtempSync(join(parent, 'everyonce-bench-'));
  try {
    const open = (/** @type {number} */ port, /** @type {number} */ pe, /** @type {number[]} */ last) =>
      Promise.all(last.map((n, index) => Sender.open(port, index, bytes, pe, n)));
    const filling = await start(dir, ['--durability', 'memory']);
    let filled = await open(filling.port, 1, Array(senders).fill(0));
    const each = Math.ceil(backlog / senders);
    await Promise.all(filled.map((sender) => sender.run(UNANSWERED, () => sender.last < each)));
    for (const { socket } of filled) socket.close();
    await filling.stop();
    const diskBeforeMiB = sizeOf(dir);

    const server = await start(dir, flags);
    filled = await open(server.port, 2, filled.map(({ last }) => last)); // prettier-ignore
    const began = performance.now();
    const goOn = () => performance.now() - began < seconds * 1000;
    await Promise.all(filled.map((sender) => sender.run(1, goOn)));
    const removed = await removedBy(server.port);
    for (const { socket } of filled) socket.close();
    await server.stop();
    const times = filled.flatMap((sender) => sender.times).sort((a, b) => a - b);
    const at = (/** @type {number} */ part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
    return {
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
      mostMs: at(1),
      perSecond: times.length / seconds,
      removed,
      diskBeforeMiB,
      diskAfterMiB: sizeOf(dir),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * @param {RetentionOptions} options
 * @returns {Promise<{ without: Run[], with: Run[] }>}
 */
export async function measureRetention(options) {
  const runs = { without: /** @type {Run[]} */ ([]), with: /** @type {Run[]} */ ([]) };
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    for (const kind of /** @type {const} */ (['without', 'with'])) {
      options.progress?.(`${kind} retention, ${repetition} of ${options.repetitions}`);
      const flags = kind === 'with' ? ['--retention-messages', String(options.keep)] : [];
      runs[kind].push(await measureRun(options, flags));
    }
  }
  return runs;
}
