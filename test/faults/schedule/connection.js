/** One WebSocket of a device in a schedule: packets out, packets in, and answers to questions. */
import { WebSocket } from 'ws';

/** The longest wait for an answer on a busy machine. */
const answerMs = 20_000;

/** Why an operation did not come to its end; the device goes on at its next one. */
export class Cut extends Error {}

export class Connection {
  /** Code of the close; 0 while it is open. */
  code = 0;
  #socket;
  #rid = 0;
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: Error) => void, timer: any }>} */
  #asked = new Map();
  /** @type {{ resolve: () => void, reject: (error: Error) => void }[]} */
  #pinged = [];
  #onPacket;

  /** @param {WebSocket} socket @param {(packet: any, connection: Connection) => void} onPacket all that answers no question */
  constructor(socket, onPacket) {
    this.#socket = socket;
    this.#onPacket = onPacket;
    socket.on('message', (data) => [JSON.parse(String(data))].flat().forEach((packet) => this.#received(packet)));
    socket.on('error', () => {});
    socket.on('close', (code) => this.#closed(code || 1006));
  }

  /**
   * @param {string} url @param {object} hello
   * @param {(packet: any, connection: Connection) => void} onPacket the welcome, too, which comes first
   * @returns {Promise<void>} when the welcome came
   * @throws {Cut} where there is no welcome
   */
  static open(url, hello, onPacket) {
    const socket = new WebSocket(url, 'everyonce.v1', { perMessageDeflate: false });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.terminate(), answerMs);
      const connection = new Connection(socket, (packet) => {
        onPacket(packet, connection);
        if (packet.t === 'welcome') resolve(clearTimeout(timer));
      });
      socket.once('open', () => connection.send({ t: 'hello', v: 1, ...hello }));
      socket.once('close', (code) => (clearTimeout(timer), reject(new Cut(`closed with ${code} before the welcome`))));
      socket.once('error', () => reject(new Cut('not connected')));
    });
  }

  get isOpen() {
    return this.code === 0 && this.#socket.readyState === WebSocket.OPEN;
  }

  /** @param {...object} packets as one frame */
  send(...packets) {
    if (this.isOpen) this.#socket.send(JSON.stringify(packets.length === 1 ? packets[0] : packets));
  }

  /** @param {object} question @returns {Promise<any>} its answer, an `error` too @throws {Cut} */
  ask(question) {
    const rid = ++this.#rid;
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Cut('closed'));
      const timer = setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(question)}`)), answerMs);
      this.#asked.set(rid, { resolve, reject, timer });
      this.send({ ...question, rid });
    });
  }

  /** All that was sent before is done when it resolves. @returns {Promise<void>} @throws {Cut} */
  settled() {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Cut('closed'));
      this.#pinged.push({ resolve, reject });
      this.send({ t: 'ping' });
    });
  }

  /** The cable is pulled, maybe in the middle of a frame. @param {boolean} inFrame */
  cut(inFrame) {
    const raw = /** @type {any} */ (this.#socket)._socket;
    // A masked text frame of 100 bytes of which three come.
    if (inFrame && this.isOpen) raw?.write(Buffer.from([0x81, 0x80 | 100, 1, 2, 3, 4, 0x7a, 0x20, 0x71]));
    raw?.destroy();
    this.#closed(1006);
  }

  close() {
    this.#socket.close();
    this.#closed(1000);
  }

  /** @param {any} packet */
  #received(packet) {
    if (this.code !== 0) return;
    if (packet.t === 'pong') return this.#pinged.shift()?.resolve();
    const asked = this.#asked.get(packet.rid);
    if (!asked) return this.#onPacket(packet, this);
    this.#asked.delete(packet.rid);
    clearTimeout(asked.timer);
    asked.resolve(packet);
  }

  /** @param {number} code */
  #closed(code) {
    if (this.code === 0) this.#onPacket({ t: 'closed', code }, this);
    this.code ||= code;
    for (const { reject, timer } of this.#asked.values()) (clearTimeout(timer), reject(new Cut('closed')));
    for (const { reject } of this.#pinged) reject(new Cut('closed'));
    this.#asked.clear();
    this.#pinged = [];
  }
}
