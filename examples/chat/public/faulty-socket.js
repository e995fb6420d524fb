// A WebSocket that suffers what the network panel says. The client gets it as its `WebSocket` option and knows nothing.
import { network } from './network.js';

/** Things that come out in the order they went in, each after the delay of its moment. */
class Pipe {
  /** @type {(() => void)[]} */
  #waiting = [];
  #lastDue = 0;
  #broken = false;

  /** @param {number} delayMs @param {() => void} arrive */
  push(delayMs, arrive) {
    if (this.#broken) return;
    if (delayMs === 0 && this.#waiting.length === 0) return arrive();
    const now = performance.now();
    this.#lastDue = Math.max(this.#lastDue, now + delayMs);
    this.#waiting.push(arrive);
    setTimeout(() => this.#waiting.shift()?.(), this.#lastDue - now);
  }

  /** What is on its way is lost. */
  break() {
    this.#broken = true;
    this.#waiting = [];
  }
}

/** @param {unknown} frame @returns {any[]} its packets */
function packetsOf(frame) {
  try {
    const value = JSON.parse(String(frame));
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}

export class FaultySocket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {WebSocket | null} */
  #socket = null;
  #out = new Pipe();
  #in = new Pipe();
  #isCut = false;
  #forget = () => {};

  /** @param {string} url @param {string | string[]} [protocols] */
  constructor(url, protocols) {
    if (network.settings.offline) {
      queueMicrotask(() => this.#cut());
      return;
    }
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    this.#forget = network.opened(() => {
      network.counters.cuts += 1;
      this.#cut();
    });
    socket.onopen = (event) => this.#in.push(network.settings.delayIn, () => this.onopen?.(event));
    socket.onmessage = (event) => this.#in.push(network.settings.delayIn, () => this.#receive(event.data));
    socket.onerror = (event) => this.onerror?.(event);
    socket.onclose = (event) => {
      this.#forget();
      this.#in.push(network.settings.delayIn, () => this.onclose?.(event));
    };
  }

  get readyState() {
    return this.#isCut ? FaultySocket.CLOSED : (this.#socket?.readyState ?? FaultySocket.CONNECTING);
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  get protocol() {
    return this.#socket?.protocol ?? '';
  }

  /** @param {string} data */
  send(data) {
    const sends = packetsOf(data).filter(({ t }) => t === 'send');
    // Only what carries messages: a hello said twice on one connection is an offence, not bad luck.
    const twice = sends.length > 0 && Math.random() < network.settings.duplicate;
    if (twice) network.counters.duplicatedFrames += 1;
    for (let time = 0; time < (twice ? 2 : 1); time++) {
      for (const { id } of sends) network.countSend(id);
      this.#out.push(network.settings.delayOut, () => this.#transmit(data));
    }
    if (sends.length > 0) network.changed();
  }

  /** @param {string} data */
  #transmit(data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  /** @param {unknown} data */
  #receive(data) {
    const packets = packetsOf(data);
    const { counters, settings } = network;
    const kept = packets.filter((packet) => {
      counters.received += packet.t === 'msg' ? 1 : packet.t === 'page' ? (packet.items?.length ?? 0) : 0;
      if (packet.t !== 'ack') return true;
      counters.acks += 1;
      if (packet.dup === true) counters.answeredDup += 1;
      if (Math.random() >= settings.dropAcks) return true;
      counters.swallowedAcks += 1;
      return false;
    });
    network.changed();
    if (kept.length === packets.length) this.onmessage?.({ data });
    else if (kept.length > 0) this.onmessage?.({ data: JSON.stringify(kept) });
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    this.#forget();
    this.#socket?.close(code, reason);
  }

  /** The server is not told: it finds out when this device comes back, as on a real network. */
  #cut() {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#forget();
    this.#out.break();
    this.#in.break();
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onerror = this.#socket.onclose = null;
      if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.close();
    }
    this.onclose?.({ code: 1006, reason: 'cut by the network panel', wasClean: false });
  }
}
