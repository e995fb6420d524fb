/**
 * One device of a schedule: a client of the protocol written for the test alone, so that nothing of the shipped client
 * stands between the server and the judge. Its operations are those of plan.js; each ends when it is answered, or cut.
 */
import { Connection, Cut } from './connection.js';
import { PageChain, checkHistory } from './pages.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';

const retryMs = 15;
/** Errors that a race between devices explains: it was removed, or another connection of it took over. */
const expectedErrors = ['unknown_conv', 'forbidden', 'stale_device'];
/** Fewer spans than the server keeps, so that no ack is dropped. */
const mostSpans = 20;

export class Device {
  pe = 0;
  /** @type {Map<string, Sender>} */
  senders = new Map();
  /** @type {Map<string, Receiver>} */
  receivers = new Map();
  /** @type {Connection | null} */
  connection = null;
  #options;
  /** @type {Promise<unknown>} */
  #queue = Promise.resolve();
  #ids = 0;
  /** Acks on their way: the next answer to anything confirms them. @type {{ conv: string, seq: number, to: number }[]} */
  #acks = [];
  /** The end of what is acked without a gap, by conversation. @type {Map<string, number>} */
  #confirmed = new Map();
  #chain;

  /**
   * @param {{ url: string, user: string, name: string, history: import('../../../lib/checker/history.js').History,
   *   isUp: () => Promise<void>, isOver: () => boolean, met: (what: string) => void, problem: (text: string) => void }} options
   */
  constructor(options) {
    this.#options = options;
    this.#chain = new PageChain(this);
  }

  get user() {
    return this.#options.user;
  }

  get name() {
    return this.#options.name;
  }

  /** Operations that wait or run. */
  pending = 0;

  /** Does this when all before it is done. A cut ends it; anything else wrong is a problem. @param {(device: Device) => unknown} act */
  enqueue(act) {
    this.pending += 1;
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#connected();
        await act(this);
      } catch (error) {
        if (!(error instanceof Cut)) this.problem(String(/** @type {Error} */ (error).stack));
      }
      this.pending -= 1;
    });
    return this.#queue;
  }

  /** Something rare happened. @param {string} what */
  met(what) {
    this.#options.met(what);
  }

  /** @param {string} text */
  problem(text) {
    this.#options.problem(`${this.name}: ${text}`);
  }

  /** @param {string} conv @returns {(op: any, event: any) => void} */
  #recorder = (conv) => (op, event) =>
    this.#options.history.record({ op, user: this.user, device: this.name, conv, ...event });

  /** @param {string} conv */
  sender(conv) {
    const known = this.senders.get(conv);
    if (known) return known;
    const sender = new Sender(conv, {
      name: this.name,
      record: this.#recorder(conv),
      transmit: (packets) => packets.forEach((packet) => this.connection?.send(packet)),
      skip: (each) => void this.#skip(conv, each),
      own: ({ epoch, seq }) => this.receiver(conv).isKnown && this.receiver(conv).own(epoch, seq),
      met: this.#options.met,
      problem: (text) => this.problem(text),
      newId: () => `${this.name}-${String(++this.#ids).padStart(6, '0')}`,
    });
    this.senders.set(conv, sender);
    return sender;
  }

  /** @param {string} conv */
  receiver(conv) {
    const known = this.receivers.get(conv) ?? new Receiver(this.#recorder(conv));
    this.receivers.set(conv, known);
    return known;
  }

  async #connected() {
    while (!this.connection?.isOpen) {
      if (this.#options.isOver()) throw new Cut('the run is over');
      await this.#options.isUp();
      try {
        await this.connect();
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  /** @param {{ live?: boolean, withPositions?: boolean }} [options] */
  async connect({ live = true, withPositions = false } = {}) {
    const isFirst = this.pe === 0;
    this.pe += 1;
    this.#acks = [];
    this.#chain.clear();
    const known = [...this.receivers].filter(([, { epoch, isKnown }]) => epoch > 0 && isKnown);
    const at = Object.fromEntries(known.map(([conv, { epoch, next }]) => [conv, [epoch, next - 1]]));
    const hello = { device: this.name, pe: this.pe, token: this.user, live, ...(withPositions ? { at } : {}) };
    await Connection.open(this.#options.url, hello, (packet, connection) => {
      if (packet.t === 'welcome') this.#welcomed(packet, connection, withPositions ? at : {});
      else this.#received(packet, connection);
    });
    if (isFirst) await this.countsOf((view) => this.#view(view));
    for (const sender of this.senders.values()) sender.online();
  }

  /** @param {any} welcome @param {Connection} connection @param {Record<string, number[]>} at positions that it brought */
  #welcomed({ convs }, connection, at) {
    this.connection = connection;
    for (const view of convs) this.#view(view);
    for (const { conv, resume } of convs) {
      if (resume) this.met(`resume ${resume}`);
      if (!(conv in at)) continue;
      if (resume !== 'ok') this.problem(`${conv}: at ${at[conv]} is answered ${resume}`);
      else this.confirm(conv, 1, at[conv][1]);
    }
  }

  /** @param {(view: any) => void} each @returns {Promise<number>} the total that it was told */
  async countsOf(each) {
    for (let after; ;) {
      const { t, total, convs, more } = await this.ask({ t: 'counts', after });
      if (t !== 'counts') throw new Error(`counts was answered ${t}`);
      convs.forEach(each);
      if (!more) return total;
      after = convs.at(-1).conv;
    }
  }

  /** What the server says it has, and has of this device. @param {any} view */
  #view({ conv, epoch, head, got }) {
    const receiver = this.receiver(conv);
    if (receiver.epoch > 0 && epoch !== receiver.epoch) this.problem(`${conv}: epoch ${epoch} after ${receiver.epoch}`);
    if (got < (this.#confirmed.get(conv) ?? 0))
      this.problem(`${conv}: got ${got}, ${this.#confirmed.get(conv)} was acked`);
    receiver.epoch = epoch;
    receiver.told = Math.max(receiver.told, head);
    if (!receiver.isKnown) receiver.begin(got);
    else receiver.pass(receiver.next, got);
  }

  /** @param {any} packet @param {Connection} connection */
  #received(packet, connection) {
    if (packet.t === 'closed') return this.met(`close ${packet.code}`);
    // Before its welcome this device does not act on a connection.
    if (connection !== this.connection) return;
    const { t, conv, head, got, code } = packet;
    if (t === 'ack') this.sender(conv).onAck(packet);
    else if (t === 'nack') this.sender(conv).onNack(packet);
    else if (t === 'msg') (this.met('push'), this.receiver(conv).see(packet, 'push'));
    else if (t === 'head') {
      const receiver = this.receiver(conv);
      if (!receiver.isKnown) receiver.begin(got);
      receiver.told = Math.max(receiver.told, head);
      this.met('head');
    } else if (t === 'error' && !expectedErrors.includes(code)) this.problem(JSON.stringify(packet));
    else if (!['error', 'receipt', 'signal', 'bye'].includes(t)) this.problem(`unexpected ${JSON.stringify(packet)}`);
  }

  /** @param {object} question @returns {Promise<any>} @throws {Cut} */
  async ask(question) {
    const { connection } = this;
    if (!connection) throw new Cut('closed');
    const acks = this.#acks;
    const answer = await connection.ask(question);
    this.#confirmAll(acks, connection);
    return answer;
  }

  async settled() {
    const { connection } = this;
    if (!connection) throw new Cut('closed');
    const acks = this.#acks;
    await connection.settled();
    this.#confirmAll(acks, connection);
  }

  /** @param {{ conv: string, seq: number, to: number }[]} acks @param {Connection} connection */
  #confirmAll(acks, connection) {
    if (connection !== this.connection) return;
    for (const { conv, seq, to } of acks.splice(0)) this.confirm(conv, seq, to);
  }

  /** The server has taken an ack. @param {string} conv @param {number} seq @param {number} to */
  confirm(conv, seq, to) {
    if (to < seq) return;
    this.#recorder(conv)('confirm', { seq, to });
    const whole = this.#confirmed.get(conv) ?? 0;
    if (seq <= whole + 1) this.#confirmed.set(conv, Math.max(whole, to));
  }

  /** Acks all that it has given on, or a span above. @param {string} conv @param {number} pick */
  got(conv, pick) {
    const { connection } = this;
    const receiver = this.receiver(conv);
    const spans = receiver.spans();
    const whole = pick % 2 === 0 || spans.length > mostSpans ? undefined : spans[pick % Math.max(1, spans.length)];
    // Not always all of it: what is left between two acks must stay.
    const span = whole && [whole[0] + (pick % 3 === 0 && whole[1] > whole[0] ? 1 : 0), whole[1]];
    const seq = receiver.next - 1;
    if (!connection || (!span && seq < 1)) return;
    if (span) connection.send({ t: 'got', conv, from: span[0], to: span[1] });
    else connection.send({ t: 'got', conv, seq });
    this.#acks = [...this.#acks, span ? { conv, seq: span[0], to: span[1] } : { conv, seq: 1, to: seq }];
  }

  /** @param {string} conv */
  read(conv) {
    const seq = this.receiver(conv).next - 1;
    if (seq > 0) this.connection?.send({ t: 'read', conv, seq });
  }

  /** @param {object} options */
  pull(options) {
    return this.#chain.pull(options);
  }

  /** Everything, until an empty page says that there is no more. */
  drain() {
    return this.#chain.drain();
  }

  /** @param {string} conv @param {number} pick */
  async history(conv, pick) {
    const place = pick % 3 === 0 ? { after: pick % 20 } : pick % 3 === 1 ? { before: 1 + (pick % 30) } : {};
    const limit = 1 + (pick % 7);
    const page = await this.ask({ t: 'history', conv, limit, ...place });
    if (page.t !== 'page') return;
    for (const item of page.items) if (item.t === 'msg') this.receiver(conv).see(item, 'history');
    for (const wrong of checkHistory(page, { limit, ...place })) this.problem(`${conv} history: ${wrong}`);
  }

  /** What became of earlier sends: what was found is an answer like an ack. @param {string} conv */
  async status(conv) {
    const { answered } = this.sender(conv);
    const ids = answered.slice(-40).flatMap(({ parts }) => parts.map(({ id }) => id)).slice(0, 100); // prettier-ignore
    if (ids.length === 0) return;
    const { t, found, unknown } = await this.ask({ t: 'status', conv, ids });
    if (t !== 'status') return;
    for (const { id, epoch, seq, mid } of found) this.#recorder(conv)('ack', { id, epoch, seq, mid, dup: true });
    const known = new Set(found.map((/** @type {any} */ each) => each.id));
    const lost = this.#options.history.events.filter(
      ({ op, user, device, conv: of, id }) =>
        op === 'ack' && user === this.user && device === this.name && of === conv && ids.includes(id) && !known.has(id),
    );
    if (lost.length > 0 || unknown.length > 0) this.problem(`${conv}: status does not know ${lost[0]?.id ?? unknown}`);
  }

  /** @param {string} conv @param {Sender} sender */
  async #skip(conv, sender) {
    const [from, to] = sender.skipping ?? [1, 0];
    const { connection } = this;
    try {
      const { code } = await this.ask({ t: 'skip', conv, from, to });
      // A connection that was replaced meanwhile asks no more; the new one does.
      if (connection === this.connection && code !== 'stale_device') sender.skipped();
    } catch (error) {
      if (!(error instanceof Cut)) this.problem(String(error));
    }
  }
}
