/**
 * The receiving side of one conversation: each message once, in order of seq, and nothing skipped that is not explained.
 *
 * `next` is the first seq that is not handled. What came out of order waits in a bounded buffer; a seq that is own,
 * covered, acked or a hole is explained by a span. Where `next` is neither, and the head is beyond it, the hole is
 * pulled. The handler is called for one message at a time; only then is the position saved and acked.
 */
import { backoff } from './clock.js';
import { handleMessage } from './handling.js';
import { messageKey } from './outbox-state.js';
import { ReorderBuffer } from './reorder-buffer.js';
import { Spans } from './spans.js';

const SPANS = 1024;
/** Wait for what may be on its way (an ack of an own message) before a hole is pulled, ms. */
const HOLE_MS = 50;
/** Messages handled before an ack goes out though more are at hand. */
const ACK_EVERY = 32;
/** An ack waits this long for the next message, ms: acks are cumulative, so one does for all that come meanwhile. */
const ACK_DELAY_MS = 50;
/** While a handler takes its time, the last ack is repeated, ms; the server sends again after 10 s. */
const REPEAT_ACK_MS = 5_000;
const PULL_AGAIN = { min: 250, max: 15_000 };

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('../protocol/index.js').EveryonceError} EveryonceError
 * @typedef {{ conv: string, epoch: number, seq: number, mid: string, from: string, device: string, id: string, type: string, body: any, at: number }} Message
 *
 * @typedef {object} InboxHost
 * @property {import('./clock.js').Clock} clock
 * @property {import('./clock.js').Random} random
 * @property {import('./outbox.js').JournalOutbox} outbox
 * @property {number} maxAttempts
 * @property {boolean} online
 * @property {() => readonly ((message: Message) => any)[]} handlers
 * @property {(packet: Packet) => void} write
 * @property {(inbox: Inbox) => void} wantsPull asks for a turn; the host calls pull()
 * @property {(question: Packet) => Promise<Packet>} ask
 * @property {(conv: string) => void} learn asks the server where the conversation stands
 * @property {(event: string, value: unknown) => void} emit
 * @property {(inbox: Inbox) => void} changed
 * @property {(inbox: Inbox, message: Message) => void} handled
 */

export class Inbox {
  epoch = 0;
  next = 1;
  head = 0;
  /** What the application sees as unread and read; kept by the host. */
  read = 0;
  unread = 0;
  /** The backlog is left to offline(): nothing is pulled by itself. */
  manual = false;
  /** The server told where it stands on this connection; before that nothing is taken. */
  placed = false;
  pulling = false;
  #buffer = new ReorderBuffer();
  #spans = new Spans(SPANS);
  /** Changes when what was known about the log became void. */
  #generation = 0;
  #running = false;
  /** What is left of the log that the message being handled came from. */
  #keptOfRunning = Infinity;
  /** The last page brought something, so the next is asked for at once. */
  #paging = false;
  /** The lowest seq that found no room while a page was taken. */
  #noRoomFrom = Infinity;
  #handledSinceAck = 0;
  #ackDue = false;
  /** @type {any} */
  #ackTimer = null;
  /** @type {any} */
  #holeTimer = null;
  #pullAttempts = 0;
  /** @type {any} */
  #pullAgain = null;

  /** @param {string} conv @param {InboxHost} host */
  constructor(conv, host) {
    this.conv = conv;
    this.host = host;
  }

  get buffered() {
    return this.#buffer.size;
  }

  /** Everything up to here is handled. */
  get handledUpTo() {
    return this.next - 1;
  }

  /** Begins at a position that the server confirmed. @param {number} epoch @param {number} handledUpTo @param {number} head */
  begin(epoch, handledUpTo, head) {
    this.#forget();
    // The log went back, though not behind what is handled: what is being handled, and is asked for, may have lost its place.
    if (epoch !== this.epoch) this.#placesAreVoidAbove(handledUpTo);
    this.epoch = epoch;
    this.head = head;
    this.next = handledUpTo + 1;
    this.placed = true;
    this.#ackDue = false;
    this.#paging = false;
  }

  /** A new epoch: what was handled above `keep` is void. @param {number} epoch @param {number} keep */
  voidAbove(epoch, keep) {
    this.#forget();
    this.#placesAreVoidAbove(keep);
    this.epoch = epoch;
    this.head = keep;
    this.next = Math.min(this.next, keep + 1);
  }

  /** @param {number} keep */
  #placesAreVoidAbove(keep) {
    this.#generation += 1;
    if (this.#running) this.#keptOfRunning = Math.min(this.#keptOfRunning, keep);
  }

  #forget() {
    this.#buffer.clear();
    this.#spans.clear();
  }

  /** The server counts all up to `got` as acked by this device. @param {number} got */
  acked(got) {
    this.explain(this.next, got);
  }

  /** Nothing is to be waited for in this span. @param {number} from @param {number} to @param {string} [reason] */
  explain(from, to, reason) {
    if (to < this.next) return;
    this.#spans.add(Math.max(from, this.next), to, reason);
    this.head = Math.max(this.head, to);
  }

  /**
   * A message that was pushed or pulled.
   * @param {Message} message
   * @param {number} bytes about how much it takes
   */
  take(message, bytes) {
    const { seq } = message;
    this.head = Math.max(this.head, seq);
    if (seq < this.next) {
      // It came again, so its ack was lost.
      this.#ackDue = true;
      this.flushAck();
      return;
    }
    if (this.#buffer.has(seq) || this.host.handlers().length === 0) return;
    const noRoom = this.#buffer.put(message, bytes);
    // A page may have explained what is dropped here; it must be pulled again.
    this.#spans.dropFrom(noRoom);
    this.#noRoomFrom = Math.min(this.#noRoomFrom, noRoom);
  }

  /** Goes on as far as possible; call after anything became known. */
  advance() {
    if (this.#running) return;
    const message = this.#step();
    if (message) return void this.#handleAll(message);
    this.#ackSoon();
    this.#lookForHole();
  }

  /** Steps over what is explained. @returns {Message | null} the next message to be handled */
  #step() {
    const started = this.next;
    const message = this.#stepOver();
    if (this.next !== started) this.#moved();
    return message;
  }

  /** @returns {Message | null} */
  #stepOver() {
    for (;;) {
      const held = this.#buffer.get(this.next);
      if (held) return this.host.handlers().length > 0 ? held : null;
      const span = this.#spans.at(this.next);
      if (!span) return null;
      const from = this.next;
      const to = Math.min(span.to, this.#buffer.firstAbove(from) - 1);
      this.next = to + 1;
      this.#spans.dropBelow(this.next);
      if (span.reason === undefined) continue;
      this.#handledSinceAck += 1;
      this.#ackDue = true;
      this.host.emit('gap', { conv: this.conv, epoch: this.epoch, from, to, reason: span.reason });
    }
  }

  /** @param {string} [key] */
  #moved(key) {
    this.host.outbox.handled(this.conv, this.epoch, this.handledUpTo, key);
    this.host.changed(this);
  }

  /** @param {Message} first */
  async #handleAll(first) {
    this.#running = true;
    const { clock } = this.host;
    let repeat = clock.setTimeout(() => repeatAck(), REPEAT_ACK_MS);
    const repeatAck = () => {
      this.#sendAck();
      repeat = clock.setTimeout(repeatAck, REPEAT_ACK_MS);
    };
    for (let message = /** @type {Message | null} */ (first); message; message = this.#step()) {
      this.#keptOfRunning = Infinity;
      const key = messageKey(message);
      const shown = this.host.outbox.state.positions.get(this.conv)?.voided.includes(key) === true;
      if (!shown && !(await handleMessage(message, this.host))) break;
      this.#finished(message, key, shown);
      if (this.#handledSinceAck >= ACK_EVERY) this.flushAck();
    }
    clock.clearTimeout(repeat);
    this.#running = false;
    this.advance();
  }

  /** @param {Message} message @param {string} key @param {boolean} shown it had been shown before, and counted then */
  #finished(message, key, shown) {
    const { seq } = message;
    if (seq > this.#keptOfRunning) {
      // Its place became void while it was being handled: it was shown all the same, and is known when it comes back.
      this.host.outbox.voidAbove(this.conv, this.epoch, this.#keptOfRunning, key);
      return;
    }
    this.#buffer.drop(seq);
    this.next = Math.max(this.next, seq + 1);
    this.#spans.dropBelow(this.next);
    this.#handledSinceAck += 1;
    this.#ackDue = true;
    if (!shown) this.host.handled(this, message);
    this.#moved(key);
    // It was shown once and is not shown again; who keeps it by its place must learn the new one.
    if (shown) this.host.emit('moved', message);
  }

  #ackSoon() {
    if (!this.#ackDue || this.#ackTimer) return;
    this.#ackTimer = this.host.clock.setTimeout(() => {
      this.#ackTimer = null;
      this.flushAck();
    }, ACK_DELAY_MS);
  }

  /** Acks at once what is handled. */
  flushAck() {
    if (this.#ackDue) this.#sendAck();
  }

  #sendAck() {
    if (!this.host.online || !this.placed || this.epoch === 0 || this.handledUpTo === 0) return;
    this.host.write({ t: 'got', conv: this.conv, epoch: this.epoch, seq: this.handledUpTo });
    this.#ackDue = false;
    this.#handledSinceAck = 0;
  }

  /** Whether something is known to lie beyond what can be explained. */
  get hasHole() {
    return this.next <= this.head && !this.#running && !this.#buffer.has(this.next) && !this.#spans.at(this.next);
  }

  get #mayPull() {
    return (
      this.host.online &&
      this.placed &&
      !this.manual &&
      !this.pulling &&
      this.hasHole &&
      this.host.handlers().length > 0
    );
  }

  #lookForHole() {
    if (!this.hasHole) this.#paging = false;
    if (!this.#mayPull || this.#holeTimer || this.#pullAgain) return;
    if (this.#paging) return this.host.wantsPull(this);
    this.#holeTimer = this.host.clock.setTimeout(() => {
      this.#holeTimer = null;
      if (this.#mayPull) this.host.wantsPull(this);
    }, HOLE_MS);
  }

  /** Pulls now, without waiting for what may be on its way: after a welcome, all that is missing is to be pulled. */
  pullSoon() {
    if (this.#mayPull && !this.#pullAgain) this.host.wantsPull(this);
  }

  /** The host's turn for this conversation. @param {number} limit */
  async pull(limit) {
    if (!this.#mayPull) return;
    this.pulling = true;
    this.flushAck();
    const generation = this.#generation;
    const before = this.next;
    let page = null;
    try {
      page = await this.host.ask({ t: 'pull', conv: this.conv, limit, order: 'oldest' });
    } catch (error) {
      this.#pullFailed(/** @type {EveryonceError} */ (error));
    }
    this.pulling = false;
    if (!page || generation !== this.#generation || this.host.handlers().length === 0) return this.advance();
    this.takePage(page);
    this.#paging = page.items.length > 0;
    // Also where pushes were handled meanwhile: what the page alone has brought waits for nothing else.
    this.advance();
    if (this.next > before || this.#running) this.#pullAttempts = 0;
    else if (this.hasHole) this.#pullLater();
  }

  /** @param {EveryonceError} error */
  #pullFailed(error) {
    // Not in it any more, or not served: whatever the server tells next begins anew.
    if (error.retryable) this.#pullLater();
    else this.head = this.handledUpTo;
    if (!error.retryable && error.code !== 'unknown_conv') this.host.emit('error', error);
  }

  #pullLater() {
    if (this.#pullAgain) return;
    const waitMs = backoff(PULL_AGAIN, this.#pullAttempts, this.host.random);
    this.#pullAttempts += 1;
    this.#pullAgain = this.host.clock.setTimeout(() => {
      this.#pullAgain = null;
      this.pullSoon();
    }, waitMs);
  }

  /** What an oldest-first page of this conversation brings. @param {Packet} page */
  takePage({ items, covers = [] }) {
    this.#noRoomFrom = Infinity;
    for (const item of items) this.takeItem(item, sizeOf(item));
    // Spans run from the lowest seq that the server waits for: what lies below it was acked, is own, or is not visible.
    const own = covers.filter((/** @type {any} */ cover) => cover?.[0] === this.conv);
    if (own.some((/** @type {any} */ cover) => cover[1] > this.epoch)) return this.host.learn(this.conv);
    for (const [index, cover] of own.entries()) {
      const [from, to] = [Number(cover[2]), Math.min(Number(cover[3]), this.#noRoomFrom - 1)];
      this.explain(index === 0 ? Math.min(from, this.next) : from, to);
    }
  }

  /** @param {Packet} item of a page, or a push @param {number} bytes */
  takeItem(item, bytes) {
    if (item?.conv !== this.conv) return;
    if (item.epoch > this.epoch) return this.host.learn(this.conv);
    if (item.t === 'hole') this.explain(item.from, item.to, String(item.reason ?? 'unknown'));
    else if (item.t === 'msg') {
      const { conv, epoch, seq, mid, from, device, id, type, body, at } = item;
      this.take({ conv, epoch, seq, mid, from, device, id, type, body, at }, bytes);
    }
  }

  /** The connection is gone. */
  onLost() {
    this.placed = false;
    this.pulling = false;
    this.#pullAttempts = 0;
    this.stop();
  }

  stop() {
    const { clock } = this.host;
    clock.clearTimeout(this.#holeTimer);
    clock.clearTimeout(this.#pullAgain);
    clock.clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
    this.#holeTimer = null;
    this.#pullAgain = null;
  }
}

/** About how many bytes an item of a page takes. @param {Packet} item */
function sizeOf(item) {
  try {
    return 200 + JSON.stringify(item.body ?? null).length;
  } catch {
    return 200;
  }
}
