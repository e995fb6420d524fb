/**
 * What a lane does when sending again is not enough: it asks the server what became of its messages, gives numbers up,
 * or moves to a new device. Nothing is transmitted meanwhile; a step that a lost connection ends is begun anew.
 */
import { EveryonceError, LIMITS } from '../protocol/index.js';

/**
 * Asks about any number of ids.
 * @param {string[]} ids
 * @param {(ids: string[]) => Promise<Packet>} ask a `status` about at most 100
 * @returns {Promise<Packet>} the answers in one
 */
export async function statusOf(ids, ask) {
  const whole = { t: 'status', found: [], unknown: [] };
  for (let start = 0; start < ids.length; start += LIMITS.statusIds) {
    const { found, unknown } = await ask(ids.slice(start, start + LIMITS.statusIds));
    whole.found = whole.found.concat(found);
    whole.unknown = whole.unknown.concat(unknown);
  }
  return whole;
}

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./send.js').Send} Send
 */

export class Recovery {
  /** @param {import('./lane.js').Lane} lane */
  constructor(lane) {
    this.lane = lane;
  }

  /** @param {Send} send */
  async tooLarge(send) {
    const { id } = send.entry;
    const error = new EveryonceError('too_large', undefined, { id, conv: this.lane.conv });
    await this.#alone(async () => {
      await this.giveUp(send);
      send.reject(error);
      send.status = 'rejected';
      this.lane.host.changed(send, error);
    });
  }

  /** Durably turns a message into a number to skip. @param {Send} send */
  giveUp(send) {
    return this.#durably(() => this.lane.host.outbox.skip(send.entry));
  }

  /** A write that must be on disk before it is acted on; where it fails, all of the outbox is written anew. @param {() => Promise<void>} write */
  async #durably(write) {
    try {
      await write();
    } catch {
      await this.lane.host.outbox.durable();
    }
  }

  /**
   * Runs a step during which nothing is transmitted. A step that fails is tried again after a pause; one whose
   * connection ended is begun anew by the next.
   * @param {() => Promise<void>} step
   */
  async #alone(step) {
    const { connection } = this.lane.host;
    this.lane.busy = true;
    let failed = false;
    try {
      await step();
    } catch {
      failed = true;
    }
    if (this.lane.host.connection !== connection || !this.lane.host.online) return;
    this.lane.busy = false;
    this.lane.goBack();
    if (failed) this.lane.later(0);
    if (this.lane.isEmpty) this.lane.host.emptied(this.lane);
    this.lane.pump();
  }

  /**
   * Gives the numbers from..to up.
   * @param {number} from
   * @param {number} to
   * @param {Send} [send] the one message that this number belongs to
   */
  skip(from, to, send) {
    return this.#alone(async () => {
      try {
        await this.lane.host.ask({ t: 'skip', conv: this.lane.conv, from, to });
      } catch (error) {
        const { code } = /** @type {EveryonceError} */ (error);
        // Accepted after all, or below what the server knows: either way nothing waits for this number.
        if (!send || (code !== 'conflict' && code !== 'bad_request')) throw error;
        const told = new EveryonceError('ALREADY_ACCEPTED', undefined, { id: send.entry.id, conv: this.lane.conv });
        if (code === 'conflict') send.discarding?.reject(told);
      }
      if (!send) return;
      this.lane.host.outbox.settle(send.entry);
      this.lane.remove(send);
      send.discarding?.resolve();
    });
  }

  /**
   * The server does not know this device: settle what it has, offer again what it had once acked and has lost, give up what is
   * below, go on.
   */
  reintroduce() {
    if (this.lane.busy) return Promise.resolve();
    return this.#alone(async () => {
      await this.#askStatus(this.lane.sends);
      this.lane.offerLostAgain(1);
      const lowest = this.lane.sends[0];
      if (lowest && lowest.entry.n > 1)
        await this.lane.host.ask({ t: 'skip', conv: this.lane.conv, from: 1, to: lowest.entry.n - 1 });
    });
  }

  /** Messages of an older device: settle what the server has of them; the rest gets numbers of this device. */
  move() {
    return this.#alone(async () => {
      const { state } = this.lane.host.outbox;
      this.#dropSkipped();
      const strangers = this.lane.sends.filter(({ entry }) => entry.device !== state.device);
      for (const device of new Set(strangers.map(({ entry }) => entry.device))) {
        if (device === '') continue;
        await this.#askStatus(
          strangers.filter(({ entry }) => entry.device === device),
          device,
        );
      }
      const absent = this.lane.sends.filter(({ entry }) => entry.device !== state.device).map((send) => send.entry);
      if (absent.length > 0) await this.#durably(() => this.lane.host.outbox.adopt(this.lane.conv, absent));
      this.lane.reorder();
    });
  }

  /** Nothing waits for a number of an older device. */
  #dropSkipped() {
    for (const send of [...this.lane.sends]) {
      if (!send.entry.skip || send.entry.device === this.lane.host.outbox.state.device) continue;
      this.lane.host.outbox.settle(send.entry);
      this.lane.remove(send);
      send.discarding?.resolve();
    }
  }

  /**
   * @param {Send[]} sends
   * @param {string} [device] whose they are, if not this one's
   */
  async #askStatus(sends, device) {
    const ask = (/** @type {string[]} */ ids) =>
      this.lane.host.ask({ t: 'status', conv: this.lane.conv, ids, ...(device ? { device } : {}) });
    const waiting = [...sends];
    for (let start = 0; start < waiting.length; start += LIMITS.statusIds) {
      const part = waiting.slice(start, start + LIMITS.statusIds);
      const answer = await statusOf(
        part.flatMap((send) => send.ids),
        ask,
      );
      this.#settleByStatus(part, answer);
    }
  }

  /** @param {Send[]} sends @param {Packet} answer */
  #settleByStatus(sends, { found, unknown }) {
    const places = new Map(found.map((/** @type {any} */ place) => [place?.id, place]));
    for (const send of sends) {
      // It was answered while the question was on its way, and may even wait again.
      if (this.lane.byId.get(send.ids[0]) !== send) continue;
      const mine = send.ids.map((id) => /** @type {any} */ (places.get(id)));
      if (mine.every((place) => place)) {
        if (send.entry.device === this.lane.host.outbox.state.device)
          for (const { epoch, seq } of mine) this.lane.host.own(this.lane.conv, epoch, seq);
        this.lane.accepted(
          send,
          mine.map((place) => ({ ...place, dup: true })),
        );
      } else if (send.ids.some((id) => unknown.includes(id))) this.lane.freeze(send);
    }
  }

  /**
   * By hand: asks whether the message arrived; gives it up if not.
   * @param {Send} send
   * @param {Packet} answer of a `status` that was asked after its last transmission
   * @returns {Promise<void>} resolves when its number is skipped
   * @throws {EveryonceError} `ALREADY_ACCEPTED`
   */
  async discard(send, answer) {
    send.held = false;
    if (!this.lane.byId.has(send.ids[0])) {
      throw new EveryonceError(send.status === 'acked' ? 'ALREADY_ACCEPTED' : 'NOT_FOUND', undefined, {
        id: send.entry.id,
      });
    }
    const skipped = new Promise((resolve, reject) => (send.discarding = { resolve: () => resolve(undefined), reject }));
    skipped.catch(() => {});
    const wasFrozen = this.lane.frozen.has(send.entry.id);
    if (answer.found.some((/** @type {any} */ place) => send.ids.includes(place?.id)))
      this.#settleByStatus([send], answer);
    else {
      const discarded = new EveryonceError('DISCARDED', undefined, { id: send.entry.id, conv: this.lane.conv });
      const error = send.abandoned ?? discarded;
      if (wasFrozen || send.entry.n === 0 || send.entry.device !== this.lane.host.outbox.state.device) {
        // No number of this device is in use: nothing to skip.
        this.lane.rejected(send, error);
        send.discarding?.resolve();
      } else {
        await this.giveUp(send);
        send.status = 'rejected';
        send.reject(error);
        this.lane.host.changed(send, error);
      }
    }
    this.lane.goBack();
    this.lane.pump();
    return /** @type {Promise<void>} */ (skipped);
  }
}
