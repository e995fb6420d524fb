// A server that breaks its word, one way at a time: it stands before a real one and changes what passes.
import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';

/** The message of each device and conversation that is lied about, and how often from there on. */
const FIRST = 3;
const EVERY = 6;

/** @typedef {'lose' | 'double' | 'swap' | 'change'} Lie */

/**
 * @param {{ port: number, lie: Lie }} options `port` of the real server
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function startLyingProxy({ port, lie }) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  /** What the liar must remember of each device and conversation. @type {Map<string, Numbers>} */
  const numbers = new Map();
  server.on('connection', (near) => relay(near, port, numbers, lie));
  const { port: own } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `ws://127.0.0.1:${own}/everyonce`,
    close: async () => {
      for (const client of server.clients) client.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}

/** @param {WebSocket} near @param {number} port @param {Map<string, Numbers>} numbers @param {Lie} lie */
function relay(near, port, numbers, lie) {
  const far = new WebSocket(`ws://127.0.0.1:${port}/everyonce`, 'everyonce.v1');
  const early = [];
  let device = '';
  const of = (/** @type {string} */ conv) => {
    const key = `${device} ${conv}`;
    if (!numbers.has(key)) numbers.set(key, new Numbers(lie));
    return numbers.get(key);
  };
  const up = (/** @type {any} */ packet) => {
    if (packet.t === 'hello') device = packet.device;
    if (packet.t !== 'send') return far.send(JSON.stringify(packet));
    const { forward, answer } = of(packet.conv).sent(packet);
    for (const one of forward) far.send(JSON.stringify(one));
    if (answer) near.send(JSON.stringify(answer));
  };
  const each = (/** @type {any} */ data, /** @type {(packet: any) => void} */ use) =>
    [JSON.parse(String(data))].flat().forEach(use);
  near.on('message', (data) => (far.readyState === WebSocket.OPEN ? each(data, up) : early.push(data)));
  far.on('open', () => early.forEach((data) => each(data, up)));
  far.on('message', (data) =>
    each(data, (packet) => {
      const told = of(packet.conv).told(packet, lie);
      if (told) near.send(JSON.stringify(told));
    }),
  );
  near.on('close', () => far.terminate());
  far.on('close', () => near.terminate());
  far.on('error', () => near.terminate());
}

/** One device's messages in one conversation: what number each has on the other side. */
class Numbers {
  #lie;
  #shift = 0;
  /** @type {Map<string, any[]>} what was sent on for each id, to send again */
  #sent = new Map();
  /** @type {Map<string, number>} the client's number of each id */
  #own = new Map();
  /** @type {any} */
  #lastAck = null;
  /** @type {any} */
  #held = null;

  /** @param {Lie} lie */
  constructor(lie) {
    this.#lie = lie;
  }

  /** @param {any} send @returns {{ forward: any[], answer?: any }} */
  sent(send) {
    const { id, n } = send;
    this.#own.set(id, n);
    if (this.#held?.id === id) return { forward: [] };
    const again = this.#sent.get(id);
    if (again) return again.length > 0 ? { forward: again } : { forward: [], answer: this.#forged(id, n) };
    const isVictim = n % EVERY === FIRST && this.#lastAck !== null;
    if (this.#held) return this.#swapped(send);
    if (isVictim && this.#lie === 'lose') {
      this.#shift -= 1;
      this.#sent.set(id, []);
      return { forward: [], answer: this.#forged(id, n) };
    }
    if (isVictim && this.#lie === 'swap') {
      this.#held = send;
      return { forward: [] };
    }
    const real = { ...send, n: n + this.#shift };
    const forward = [real];
    if (isVictim && this.#lie === 'double') {
      forward.push({ ...send, id: `${id}-copy`, n: real.n + 1 });
      this.#shift += 1;
    }
    this.#sent.set(id, forward);
    return { forward };
  }

  /** @param {any} second of two that change places */
  #swapped(second) {
    const first = this.#held;
    this.#held = null;
    const forward = [
      { ...second, n: first.n },
      { ...first, n: second.n },
    ];
    this.#sent.set(first.id, [forward[1]]);
    this.#sent.set(second.id, [forward[0]]);
    return { forward };
  }

  #forged(id, n) {
    return { ...this.#lastAck, id, n };
  }

  /** @param {any} packet from the server @param {Lie} lie @returns {any} what the client is told; null: nothing */
  told(packet, lie) {
    if (packet.t === 'page') return { ...packet, items: packet.items.map((item) => this.told(item, 'double')) };
    if (packet.t === 'msg') {
      const id = packet.id.replace(/-copy$/, '');
      const body = lie === 'change' && packet.seq % EVERY === FIRST ? { other: packet.body } : packet.body;
      return { ...packet, id, body };
    }
    if (packet.t !== 'ack' && packet.t !== 'nack') return packet;
    if (packet.id.endsWith('-copy')) return null;
    if (packet.t === 'ack') this.#lastAck = packet;
    const expected = packet.expected === undefined ? {} : { expected: packet.expected - this.#shift };
    return { ...packet, n: this.#own.get(packet.id), ...expected };
  }
}
