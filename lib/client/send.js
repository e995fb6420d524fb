import { idsOf } from './package.js';

/**
 * One message, or one package, on its way: what this process knows about it beside its durable Entry, and who waits for it.
 *
 * @typedef {import('./outbox-state.js').Entry} Entry
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('../protocol/index.js').EveryonceError} EveryonceError
 * @typedef {{ id: string, token?: string, conv: string, seq: number, epoch: number, mid: string, at: number, dup: boolean, safe?: string }} Sent
 */

export class Send {
  /** @type {'queued' | 'sent' | 'acked' | 'unconfirmed' | 'rejected'} */
  status = 'queued';
  /** Transmissions so far. */
  attempts = 0;
  /** Transmissions on this connection that are not answered. */
  inFlight = 0;
  /** The connection that it was last transmitted on. */
  connection = 0;
  sentAt = 0;
  /** The timer ran out for it on this connection. */
  timedOut = false;
  /** Connections in a row that ended, or were given up, without an answer to it. */
  silentConnections = 0;
  /** Some of it was transmitted by this process, so that its ids must stay what they are. */
  offered = false;
  /** It was taken by this process: nobody can have transmitted it before. */
  fresh = false;
  /** Its ids are what the outbox durably says, and need no tokens any more. */
  bound;
  /** It waits for other tokens, its own having been refused. */
  renewing = false;
  /** How often that happened. */
  renewals = 0;
  /** Where it was stored. @type {{ seq: number, epoch: number, mid: string, at: number } | null} */
  place = null;
  /** Not to be transmitted while someone asks what became of it. */
  held = false;
  /** Parts of a package that were transmitted since the lane last went back. */
  partsOut = 0;
  /** Where parts of a package were accepted. @type {Packet[]} */
  places = [];
  /** A package that is not to be sent again, because of this. @type {EveryonceError | null} */
  abandoned = null;
  /** Of a package, with one for each part. @type {((sent: any) => void)[]} */
  resolvers = [];
  /** @type {((error: EveryonceError) => void)[]} */
  rejecters = [];
  /** Whoever waits for its number to be skipped. @type {{ resolve: () => void, reject: (error: EveryonceError) => void } | null} */
  discarding = null;

  /** @param {Entry} entry */
  constructor(entry) {
    this.entry = entry;
    /** Under which the server answers. */
    this.ids = idsOf(entry);
    this.bound = entry.tokens !== undefined;
    if (entry.frozen) this.status = 'unconfirmed';
  }

  /**
   * Notes an acceptance.
   * @param {Packet} place
   * @returns {Packet[] | null} all of them in order, once all parts are accepted
   */
  answered(place) {
    this.places[this.ids.indexOf(place.id)] = place;
    return this.ids.every((_, i) => this.places[i]) ? this.places : null;
  }

  /** @returns {Promise<any>} Sent; of a package, Sent[] */
  promise() {
    return new Promise((resolve, reject) => {
      this.resolvers.push(resolve);
      this.rejecters.push(reject);
    });
  }

  /** @param {Sent | Sent[]} sent */
  resolve(sent) {
    for (const resolve of this.resolvers) resolve(sent);
    this.resolvers = [];
    this.rejecters = [];
  }

  /** @param {EveryonceError} error */
  reject(error) {
    for (const reject of this.rejecters) reject(error);
    this.resolvers = [];
    this.rejecters = [];
  }
}
