/**
 * Tokens for the messages of one conversation (docs/protocol.md "Tokens"). Two rules keep every message from being stored
 * twice: a message whose ids may have been transmitted keeps them; and new ids are durable in the outbox before they are
 * transmitted. A message that the server refused for its token was refused for good, so it may go out as a new one.
 */
import { EveryonceError, LIMITS, errorOf } from '../protocol/index.js';

/** New tokens for one message, before its sender is told that they are no use. */
const RENEWALS = 16;
/** Wait before tokens are asked for again, ms, where neither the server nor the connection says when. */
const AGAIN_MS = 1_000;

/**
 * @typedef {import('./send.js').Send} Send
 * @typedef {import('../protocol/index.js').Packet} Packet
 */

export class LaneTokens {
  #binding = false;
  #renewing = false;
  /** Sends whose tokens were refused, with what was said. @type {{ send: Send, nack: Packet }[]} */
  #refused = [];

  /** @param {import('./lane.js').Lane} lane */
  constructor(lane) {
    this.lane = lane;
  }

  get #pool() {
    return this.lane.host.tokens;
  }

  /** Whether it must not be transmitted as it is. @param {Send} send */
  wants({ entry, bound, fresh, offered }) {
    if (entry.skip || bound) return false;
    return entry.waits === true || (this.#pool.required && fresh && !offered);
  }

  /** Gives what waits in the lane its tokens; where the server wants none any more, its own ids. */
  bind() {
    if (this.#binding) return;
    this.#binding = true;
    void this.#run(async () => {
      const sends = this.lane.sends.filter((send) => this.wants(send)).slice(0, LIMITS.sendSpan);
      const tokens = this.#pool.required ? await this.#pool.take(countOf(sends)) : null;
      /** @type {[string, string[]][]} */
      const items = [];
      for (const { entry, ids } of sends) {
        // What an earlier try could not make durable is bound already.
        if (!entry.skip && !entry.tokens) items.push([entry.id, tokens ? tokens.splice(0, ids.length) : ids]);
      }
      await this.#durably(() => this.lane.host.outbox.bind(this.lane.conv, items));
      for (const send of sends) if (this.lane.byId.get(send.ids[0]) === send) this.lane.renamed(send);
    }).finally(() => {
      this.#binding = false;
      this.lane.pump();
    });
  }

  /** @param {Send} send @param {Packet} nack @returns {boolean} false: it is not to be sent again */
  renew(send, nack) {
    if (send.renewing) return true;
    if (send.entry.skip || send.abandoned || send.renewals >= RENEWALS) return false;
    send.renewing = true;
    send.renewals += 1;
    this.#pool.distrust(send.sentAt);
    this.#refused.push({ send, nack });
    this.#renewAll();
    return true;
  }

  #renewAll() {
    if (this.#renewing) return;
    this.#renewing = true;
    void this.#run(async () => {
      while (this.#refused.length > 0) await this.#renewSome(this.#refused.splice(0));
    }).finally(() => {
      this.#renewing = false;
      this.lane.pump();
    });
  }

  /** @param {{ send: Send, nack: Packet }[]} refused */
  async #renewSome(refused) {
    const { device } = this.lane.host.outbox.state;
    const sends = refused.map(({ send }) => send);
    try {
      const count = countOf(sends);
      // Where none are required (any more), an id that no token is does as well.
      const tokens = this.#pool.required
        ? await this.#pool.take(count)
        : Array.from({ length: count }, () => this.lane.host.newId());
      // Whoever gave it up, or took a new device, meanwhile has settled what becomes of it.
      const still = sends.filter(
        (send) => this.lane.byId.get(send.ids[0]) === send && !send.entry.skip && send.entry.device === device,
      );
      if (still.length === 0 || this.lane.host.outbox.state.device !== device) return;
      /** @type {[string, string[]][]} */
      const items = still.map(({ entry, ids }) => [entry.id, tokens.splice(0, ids.length)]);
      await this.#durably(() => this.lane.host.outbox.renew(this.lane.conv, items));
      for (const send of still) {
        this.lane.renamed(send);
        this.lane.renumbered(send);
      }
    } catch (error) {
      // A lost connection ends it: sent again as they are, they get the same answer. No tokens to be had: that is final.
      if (error instanceof EveryonceError && !error.retryable) {
        for (const { send, nack } of refused) {
          const about = { id: send.entry.id, conv: this.lane.conv };
          if (this.lane.byId.get(send.ids[0]) === send) this.lane.rejected(send, errorOf(nack, about));
        }
        return;
      }
      throw error;
    } finally {
      for (const send of sends) send.renewing = false;
    }
  }

  /** @param {() => Promise<void>} write where it fails, all of the outbox is written anew before it is acted on */
  async #durably(write) {
    try {
      await write();
    } catch {
      await this.lane.host.outbox.durable();
    }
  }

  /** @param {() => Promise<void>} step what fails while there is a connection is begun again after a while */
  async #run(step) {
    try {
      await step();
    } catch {
      const { host } = this.lane;
      if (host.online) await new Promise((resolve) => host.clock.setTimeout(() => resolve(undefined), AGAIN_MS));
    }
  }
}

/** @param {Send[]} sends */
const countOf = (sends) => sends.reduce((sum, { ids }) => sum + ids.length, 0);
