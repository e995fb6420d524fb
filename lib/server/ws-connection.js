// One WebSocket of the `ws` edge: reading is ws's, writing is ours. The engine hands out complete frames, so data goes
// straight to the socket that the upgrade gave us, in one write; ws writes only its control frames, each in one
// synchronous step (deflate is off, so its queue is never used), so the two can't tear each other's frames apart.

import { CLOSE } from '../protocol/constants.js';
import { EDGE } from './defaults.js';
import { Pause } from './edge.js';

const OPEN = 1;
// A slice below this part of its batch is copied before it is written: what a peer that stops reading keeps alive is then
// at most so many times what it is owed.
const SHARED_PART = 4;

/** @implements {EdgeConnection} */
export class WsConnection {
  #ws;
  #socket;
  #edge;
  #id = 0;
  #paused = 0;
  #lagging = false;
  #closed = false;
  #heardMs;
  #pingedMs;
  #bytesRead = 0;

  /**
   * @param {import('ws').WebSocket} ws
   * @param {import('node:net').Socket} socket the one from the `upgrade` event
   * @param {import('./ws-edge.js').WsEdge} edge
   * @param {string} remoteAddress see EdgeConnection
   */
  constructor(ws, socket, edge, remoteAddress) {
    this.#ws = ws;
    this.#socket = socket;
    this.#edge = edge;
    this.remoteAddress = remoteAddress;
    this.#heardMs = this.#pingedMs = edge.wheel.nowMs;
  }

  /** @param {import('node:http').IncomingMessage} request of the upgrade */
  open(request) {
    const ws = this.#ws;
    ws.on('message', (data, isBinary) => this.#received(/** @type {Buffer} */ (data), isBinary));
    ws.on('pong', () => this.#heard());
    ws.on('ping', () => this.#heard());
    // ws has begun to close with the code that fits (1007, 1009, 1002 …) before it says so here.
    ws.on('error', () => this.#gone(1006));
    ws.on('close', (code) => {
      this.#gone(code);
      this.#edge.forget(this);
    });
    this.#socket.on('drain', () => this.#drained());
    this.#socket.on('timeout', () => this.terminate());
    this.#id = this.#edge.handler.opened(this, request);
    this.#edge.wheel.add(this, EDGE.pingEveryMs);
  }

  get bufferedAmount() {
    return this.#socket.writableLength;
  }

  get isPaused() {
    return this.#paused !== 0;
  }

  /**
   * @param {Uint8Array} bytes
   * @param {boolean} shared
   */
  write(bytes, shared) {
    if (this.#closed || this.#ws.readyState !== OPEN || !this.#socket.writable) return;
    const socket = this.#socket;
    if (shared && (socket.writableLength > 0 || bytes.length * SHARED_PART < bytes.buffer.byteLength)) {
      bytes = Buffer.from(bytes);
    }
    socket.write(bytes);
    if (socket.writableLength > this.#edge.bufferedBytes) this.#overflowing();
  }

  /** @param {number} code @param {string} [reason] */
  close(code, reason) {
    if (this.#ws.readyState === OPEN) this.#ws.close(code, reason);
    this.#gone(code);
  }

  terminate() {
    this.#ws.terminate();
    this.#gone(1006);
  }

  /** @param {number} reason */
  pause(reason) {
    if (this.#closed) return;
    if (this.#paused === 0) this.#ws.pause();
    this.#paused |= reason;
  }

  /** @param {number} reason */
  resume(reason) {
    if (this.#paused === 0) return;
    this.#paused &= ~reason;
    if (this.#paused !== 0) return;
    // While it was not read it could not be heard.
    this.#heard();
    this.#ws.resume();
  }

  /**
   * Pings, and drops who is silent.
   *
   * @param {number} nowMs
   */
  tick(nowMs) {
    if (this.#closed) return 0;
    if (this.#paused !== 0) return EDGE.pingEveryMs;
    // A large frame on a slow line is no silence, although no frame of it is complete.
    if (this.#socket.bytesRead !== this.#bytesRead) {
      this.#bytesRead = this.#socket.bytesRead;
      if (nowMs - this.#heardMs >= EDGE.silentMs) this.#heardMs = nowMs - EDGE.pingEveryMs;
    }
    if (nowMs - this.#heardMs >= EDGE.silentMs) {
      this.terminate();
      return 0;
    }
    if (nowMs - this.#pingedMs >= EDGE.pingEveryMs) {
      this.#pingedMs = nowMs;
      if (this.#ws.readyState === OPEN) this.#ws.ping();
    }
    const silentInMs = this.#heardMs + EDGE.silentMs - nowMs;
    return Math.max(1, Math.min(this.#pingedMs + EDGE.pingEveryMs - nowMs, silentInMs));
  }

  #heard() {
    this.#heardMs = this.#edge.wheel.nowMs;
  }

  /**
   * @param {Buffer} data
   * @param {boolean} isBinary
   */
  #received(data, isBinary) {
    if (this.#closed) return;
    this.#heard();
    if (isBinary) this.close(CLOSE.badPacket);
    else this.#edge.handler.frame(this.#id, data);
  }

  #overflowing() {
    if (this.#socket.writableLength > this.#edge.bufferedBytes * EDGE.hardBufferedFactor) {
      this.terminate();
      return;
    }
    if (this.#lagging) return;
    this.#lagging = true;
    // Node's socket timer starts again with every byte that the peer takes, so it measures just what is meant here.
    this.#socket.setTimeout(EDGE.stuckMs);
    this.pause(Pause.LAGGING);
    this.#edge.handler.lagging(this.#id, true);
  }

  #drained() {
    if (!this.#lagging || this.#closed) return;
    this.#lagging = false;
    this.#socket.setTimeout(0);
    this.resume(Pause.LAGGING);
    this.#edge.handler.lagging(this.#id, false);
  }

  /** @param {number} code */
  #gone(code) {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#paused !== 0) {
      // A close frame must be able to come in.
      this.#paused = 0;
      this.#ws.resume();
    }
    if (this.#id !== 0) this.#edge.handler.closed(this.#id, code);
  }
}

/** @typedef {import('./edge.js').EdgeConnection} EdgeConnection */
