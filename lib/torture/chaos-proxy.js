/**
 * A TCP proxy on loopback that does to connections what networks do: it delays, slows down, stalls for a while or for good,
 * cuts, and refuses. Within a direction bytes keep their order and none is lost before the connection is, as TCP promises;
 * TLS goes through as it is.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pick } from './random.js';

/** Bytes that wait in one direction, above which nothing more is read from its source. */
const HELD_BYTES = 1_048_576;
/** Both ends of a connection that has stalled for good find out by themselves; after this it is closed in any case, ms. */
const HALF_OPEN_MS = 60_000;

/** @typedef {import('node:net').Socket} Socket */

export class ChaosProxy {
  /** The longest that bytes are under way, ms; each chunk's time is drawn. */
  latencyMs = 0;
  /** Connections are closed at once. */
  refuses = false;
  /** What was done, by name. @type {Record<string, number>} */
  counts = { cut: 0, cutAll: 0, stalled: 0, halfOpen: 0, throttled: 0, refused: 0 };
  #target;
  #random;
  /** @type {Set<Link>} */
  #links = new Set();
  #server = createServer({ noDelay: true }, (socket) => this.#accept(socket));

  /** @param {{ host: string, port: number, random: () => number }} options */
  constructor({ host, port, random }) {
    this.#target = { host, port };
    this.#random = random;
  }

  /** @returns {Promise<number>} the port that it listens on */
  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return /** @type {import('node:net').AddressInfo} */ (this.#server.address()).port;
  }

  /** Resets one connection. */
  cutOne() {
    this.#count('cut', this.#any()?.cut());
  }

  cutAll() {
    this.counts.cutAll += 1;
    for (const link of this.#links) link.cut();
  }

  /** Nothing goes through one connection, in either direction, for so long. @param {number} ms Infinity: for good, and nobody is told */
  stallOne(ms) {
    this.#count(ms === Infinity ? 'halfOpen' : 'stalled', this.#any()?.stall(ms));
  }

  /** Nothing goes through any of the connections from here on, and nobody is told; who connects again gets through. */
  stallAll() {
    for (const link of this.#links) this.#count('halfOpen', link.stall(Infinity));
  }

  /** @param {number} bytesPerSecond @param {number} ms */
  throttleOne(bytesPerSecond, ms) {
    this.#count('throttled', this.#any()?.throttle(bytesPerSecond, ms));
  }

  /** From here on it is a good network: what was stalled goes on, and what was stalled for good is over. */
  calm() {
    this.latencyMs = 0;
    this.refuses = false;
    for (const link of this.#links) link.calm();
  }

  async close() {
    for (const link of this.#links) link.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** @param {keyof ChaosProxy['counts']} name @param {unknown} done */
  #count(name, done) {
    if (done) this.counts[name] += 1;
  }

  /** @returns {Link | undefined} */
  #any() {
    return [...this.#links][pick(this.#random, Math.max(1, this.#links.size))];
  }

  /** @param {Socket} near */
  #accept(near) {
    if (this.refuses) {
      this.counts.refused += 1;
      near.on('error', () => {}).resetAndDestroy();
      return;
    }
    const far = connect({ ...this.#target, noDelay: true });
    const delayMs = () => this.#random() * this.latencyMs;
    /** @type {Link} */
    const link = new Link(near, far, delayMs, () => this.#links.delete(link));
    this.#links.add(link);
  }
}

/** One connection: two sockets and what is under way between them. */
class Link {
  #ends;
  #directions;
  #onGone;
  #isOver = false;
  #isHalfOpen = false;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();

  /** @param {Socket} near @param {Socket} far @param {() => number} delayMs @param {() => void} onGone */
  constructor(near, far, delayMs, onGone) {
    this.#ends = [near, far];
    this.#onGone = onGone;
    this.#directions = [new Direction(near, far, delayMs), new Direction(far, near, delayMs)];
    for (const [index, end] of this.#ends.entries()) {
      end.on('error', () => {});
      end.on('close', () => this.#closed(index));
    }
  }

  /** @returns {true} */
  cut() {
    this.#end();
    for (const end of this.#ends) if (!end.destroyed) end.resetAndDestroy();
    return true;
  }

  /** @param {number} ms @returns {boolean} */
  stall(ms) {
    if (this.#isHalfOpen) return false;
    for (const direction of this.#directions) direction.hold(true);
    this.#isHalfOpen = ms === Infinity;
    this.#later(ms === Infinity ? HALF_OPEN_MS : ms, () => (this.#isHalfOpen ? this.cut() : this.#go()));
    return true;
  }

  /** @param {number} bytesPerSecond @param {number} ms @returns {true} */
  throttle(bytesPerSecond, ms) {
    for (const direction of this.#directions) direction.bytesPerSecond = bytesPerSecond;
    this.#later(ms, () => this.#directions.forEach((direction) => (direction.bytesPerSecond = Infinity)));
    return true;
  }

  calm() {
    if (this.#isHalfOpen) return void this.cut();
    for (const direction of this.#directions) direction.bytesPerSecond = Infinity;
    this.#go();
  }

  #go() {
    for (const direction of this.#directions) direction.hold(false);
  }

  /** @param {number} index of the end that is closed: what it had sent still arrives, and then the other is closed, too */
  #closed(index) {
    if (this.#ends.every((end) => end.destroyed)) return this.#end();
    // Where nothing goes through, not even the end does.
    if (!this.#isHalfOpen) this.#directions[index].end();
  }

  #end() {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const direction of this.#directions) direction.stop();
    this.#onGone();
  }

  /** @param {number} ms @param {() => void} act */
  #later(ms, act) {
    if (this.#isOver) return;
    const timer = setTimeout(() => (this.#timers.delete(timer), act()), ms);
    this.#timers.add(timer);
  }
}

/** Bytes from one socket to the other, in order. */
class Direction {
  bytesPerSecond = Infinity;
  #source;
  #sink;
  #delayMs;
  /** What is under way, and when it is due; null is the end. @type {{ bytes: Buffer | null, due: number }[]} */
  #held = [];
  #heldBytes = 0;
  #isHeld = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Socket} source @param {Socket} sink @param {() => number} delayMs */
  constructor(source, sink, delayMs) {
    this.#source = source;
    this.#sink = sink;
    this.#delayMs = delayMs;
    source.on('data', (bytes) => this.#put(/** @type {Buffer} */ (bytes)));
    source.on('end', () => this.#put(null));
    sink.on('drain', () => this.#flow());
  }

  end() {
    this.#put(null);
  }

  /** @param {boolean} held */
  hold(held) {
    this.#isHeld = held;
    if (!held) this.#pump();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#held = [];
  }

  /** @param {Buffer | null} bytes */
  #put(bytes) {
    const last = this.#held.at(-1)?.due ?? 0;
    const slowMs = ((bytes?.length ?? 0) / this.bytesPerSecond) * 1000;
    this.#held.push({ bytes, due: Math.max(last, performance.now() + this.#delayMs()) + slowMs });
    this.#heldBytes += bytes?.length ?? 0;
    this.#flow();
    this.#pump();
  }

  #flow() {
    const isFull = this.#heldBytes > HELD_BYTES || this.#sink.writableNeedDrain;
    if (isFull) this.#source.pause();
    else if (!this.#source.destroyed) this.#source.resume();
  }

  #pump() {
    clearTimeout(this.#timer);
    if (this.#isHeld) return;
    const now = performance.now();
    for (let next = this.#held[0]; next; next = this.#held[0]) {
      if (next.due > now) return void (this.#timer = setTimeout(() => this.#pump(), next.due - now));
      this.#held.shift();
      this.#heldBytes -= next.bytes?.length ?? 0;
      if (next.bytes === null) this.#sink.end();
      else if (!this.#sink.destroyed) this.#sink.write(next.bytes);
    }
    this.#flow();
  }
}
