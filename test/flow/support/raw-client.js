// The protocol by hand: packets in, packets out, no client library, so that what is tested is the server alone.

import { once } from 'node:events';
import { WebSocket } from 'ws';

/** Nothing here takes long; a wait that does is a failure with a list of what came instead. */
const WAIT_MS = 8_000;

export class RawClient {
  /** Packets not yet taken, in order. @type {Record<string, any>[]} */
  packets = [];
  /** Texts of all frames received. @type {string[]} */
  frames = [];
  /** Code of the close, when it came. @type {Promise<number>} */
  closed;
  #rid = 0;
  /** Of those that wait for a change. @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {WebSocket} ws */
  constructor(ws) {
    this.ws = ws;
    ws.on('error', () => {});
    ws.on('message', (data) => {
      this.frames.push(String(data));
      const frame = JSON.parse(String(data));
      this.packets.push(...(Array.isArray(frame) ? frame : [frame]));
      this.#change();
    });
    this.closed = new Promise((resolve) =>
      ws.on('close', (code) => {
        resolve(code);
        this.#change();
      }),
    );
  }

  /**
   * Opens a WebSocket, and says nothing.
   *
   * @param {{ port: number, path?: string, headers?: Record<string, string> }} where
   */
  static async open({ port, path = '/everyonce', headers = {} }) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, 'everyonce.v1', { headers });
    const client = new RawClient(ws);
    await once(ws, 'open');
    return client;
  }

  /** @param {...Record<string, any>} packets as one frame */
  send(...packets) {
    this.text(JSON.stringify(packets.length === 1 ? packets[0] : packets));
  }

  /** @param {string} text */
  text(text) {
    this.ws.send(text);
  }

  /**
   * Takes the first packet that fits, of those that came and those that come.
   *
   * @param {string | ((packet: Record<string, any>) => unknown)} wanted its `t`, or a test
   * @param {Record<string, unknown>} [keys] that it must have, too
   * @returns {Promise<Record<string, any>>}
   */
  async take(wanted, keys = {}) {
    const fits = (packet) =>
      (typeof wanted === 'string' ? packet.t === wanted : wanted(packet)) &&
      Object.entries(keys).every(([key, value]) => packet[key] === value);
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const at = this.packets.findIndex(fits);
      if (at >= 0) return this.packets.splice(at, 1)[0];
      const left = deadline - Date.now();
      if (left <= 0 || this.ws.readyState === WebSocket.CLOSED) {
        const came = JSON.stringify(this.packets).slice(0, 2000);
        throw new Error(
          `no ${wanted} ${JSON.stringify(keys)} came (${left <= 0 ? 'waited' : 'closed'}); there is ${came}`,
        );
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve(undefined);
        });
      });
    }
  }

  #change() {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /**
   * The messages from one seq to another: pushed, or told of by a head and then pulled, as a client does. Which of the two is the
   * server's choice where it learns of news in more than one way, as several servers on one Redis do.
   *
   * @param {string} conv
   * @param {number} from
   * @param {number} [to] from
   * @returns {Promise<(Record<string, any> & { pushed: boolean })[]>}
   */
  async hear(conv, from, to = from) {
    const bySeq = new Map();
    const note = (message, pushed) => {
      if (message.seq < from || message.seq > to) return;
      const known = bySeq.get(message.seq);
      if (known && known.id !== message.id) throw new Error(`two messages at ${message.seq}`);
      if (!known) bySeq.set(message.seq, { ...message, pushed });
    };
    while (bySeq.size <= to - from) {
      const packet = await this.take((p) => ['msg', 'head'].includes(p.t) && p.conv === conv);
      if (packet.t === 'msg') {
        note(packet, true);
        this.send({ t: 'got', conv, epoch: packet.epoch, from: packet.seq, to: packet.seq });
        continue;
      }
      for (let next; ;) {
        const page = await this.ask({ t: 'pull', conv, limit: 100, order: 'oldest', ...(next ? { next } : {}) });
        page.items.forEach((message) => note(message, false));
        next = page.next;
        if (!next) break;
      }
    }
    const all = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
    this.send({ t: 'got', conv, epoch: all.at(-1).epoch, seq: all.at(-1).seq });
    return all;
  }

  /**
   * Sends with a `rid` and takes the answer to it.
   *
   * @param {Record<string, any>} packet
   */
  ask(packet) {
    const rid = `r${++this.#rid}`;
    this.send({ rid, ...packet });
    return this.take((answer) => answer.rid === rid);
  }

  /** Sends a message and takes its answer, ack or nack. */
  say(conv, id, body, more = {}) {
    this.send({ t: 'send', conv, id, body, ...more });
    return this.take(({ t, id: answered }) => (t === 'ack' || t === 'nack') && answered === id);
  }

  /** Everything the server had to say before this has come when it resolves. */
  async settled() {
    this.send({ t: 'ping' });
    await this.take('pong');
  }

  /** @param {string} t @returns {Record<string, any>[]} what came and was not taken */
  untaken(t) {
    return this.packets.filter((packet) => packet.t === t);
  }

  async close() {
    this.ws.close();
    await this.closed;
  }
}

/**
 * Opens, says hello, takes the welcome. On servers with `insecure`, where the token is the user.
 *
 * @param {{ port: number, path?: string }} where
 * @param {string} user
 * @param {Record<string, any>} [hello] over the usual one: device USER-1, pe 1
 * @returns {Promise<RawClient & { welcome: Record<string, any> }>}
 */
export async function login(where, user, hello = {}) {
  const client = await RawClient.open(where);
  client.send({ t: 'hello', v: 1, device: `${user}-1`, pe: 1, token: user, ...hello });
  return Object.assign(client, { welcome: await client.take('welcome') });
}
