/**
 * A device: the shipped client over an outbox on a disk of its own, in a process that can be killed and started again. What
 * its application sends and is given goes into the history, under the device's label whatever id it has on the wire.
 */
import { JournalOutbox } from '../../lib/client/outbox.js';
import { Client } from '../../lib/client/index.js';
import { hashBody } from '../../lib/checker/history.js';

/** Codes after which a message is still on its way. */
const UNDECIDED = new Set(['UNCONFIRMED', 'CLOSED', 'OUTBOX_FAILED']);

/** Records of one outbox: what a process wrote, and what of it survives a power cut. */
class Disk {
  records = [];
  synced = 0;

  snapshot() {
    return { records: structuredClone(this.records.slice(0, this.synced)), synced: this.synced };
  }
}

export class Device {
  /** @type {Disk} */
  disk;
  /** Runs of this device's process. */
  life = 0;
  client = null;
  /** @type {{ records: any[], synced: number } | null} */
  saved = null;
  /** Labels of its installation before its outbox was lost. @type {string[]} */
  except = [];
  #world;
  #sent = 0;
  /** How far it had handled, when it was last killed: what is acked is acked, though its outbox may not know. @type {Map<string, number>} */
  #places = new Map();
  /** Parts by package. @type {Map<string, { conv: string, ids: string[] }>} */
  #packages = new Map();

  /**
   * @param {import('./world.js').World} world
   * @param {string} user
   * @param {string} label
   * @param {string[]} convs
   * @param {{ disk?: Disk, places?: Map<string, number>, except?: string[] }} [before] what it is not to begin without
   */
  constructor(world, user, label, convs, { disk = new Disk(), places = new Map(), except = [] } = {}) {
    this.#world = world;
    Object.assign(this, { user, label, convs, disk });
    // A process that is killed before it was told where it stands leaves these.
    this.#places = new Map(places);
    for (const conv of convs) {
      const seq = places.get(conv) ?? 0;
      world.history.record({ op: 'watch', user, device: label, conv, seq, except, t: world.clock.now() });
    }
  }

  /** What its disk holds, to be gone back to. */
  save() {
    this.saved = this.client ? this.disk.snapshot() : this.saved;
  }

  /**
   * The same installation from an old copy of its outbox, or, where there is none, with nothing left. For the judge it is another
   * device: nobody answers for what the old one alone knew.
   *
   * @param {boolean} [told] the server learns at once that the old one is over
   * @returns {Device}
   */
  goBack(told = true) {
    this.kill(false, told);
    if (this.saved === null) this.#places.clear();
    this.#world.trace.count(this.saved ? 'old outbox' : 'wiped outbox');
    return this.#successor();
  }

  /** A second one from the same copy, beside this, which goes on until it `makesWay`. REQUIRES: saved @returns {Device} */
  double() {
    this.#notePlaces();
    this.#world.trace.count('double');
    return this.#successor();
  }

  /** It ends. What it acked need not come to its double. @param {Device} other */
  makeWayFor(other) {
    this.kill(false);
    for (const event of this.#world.history.events)
      if (event.op === 'watch' && event.device === other.label)
        event.seq = Math.max(event.seq ?? 0, this.#places.get(String(event.conv)) ?? 0);
  }

  /** @returns {Device} */
  #successor() {
    this.#world.lost.add(this.label);
    const disk = Object.assign(new Disk(), structuredClone(this.saved));
    const [first, generation = '0'] = this.label.split('_');
    const label = `${first}_${Number(generation) + 1}`;
    const except = [this.label, ...this.except];
    const device = new Device(this.#world, this.user, label, this.convs, {
      disk,
      places: this.saved ? this.#places : undefined,
      except,
    });
    device.except = except;
    return device;
  }

  #notePlaces() {
    for (const { conv, got } of this.client?.conversations() ?? []) this.#places.set(conv, got);
  }

  start() {
    const { clock, network, random, options, history } = this.#world;
    const life = ++this.life;
    const alive = () => this.life === life && this.client !== null;
    const client = new Client({
      url: 'ws://simulated',
      token: this.user,
      outbox: new JournalOutbox(this.#storage(life)),
      WebSocket: network.classFor(this.label, alive),
      clock: mortal(clock, alive),
      random,
      maxAttempts: 100,
      reconnect: { min: 100, max: 2_000 },
      ...options.client,
    });
    this.client = client;
    client.on('message', (message) => this.#given(message));
    client.on('outbox', (entry) => alive() && this.#heard(entry));
    client.on('error', (error) => this.#world.onClientError(this, error));
    client.on('device', () => {
      this.#world.trace.count('new device');
      // What the installation had named before it was copied moves along.
      for (const label of [this.label, ...this.except]) this.#world.renewed.add(label);
    });
    client.on('epoch', ({ voided }) => voided > 0 && this.#world.trace.count('voided'));
    client.on('moved', () => this.#world.trace.count('moved'));
    client.on('state', (state) => alive() && state === 'replaced' && this.#world.replaced(this));
    client.connect().catch((error) => {
      if (!alive()) return;
      this.#world.onClientError(this, error);
      // Where the outbox does not open, the application has to be started again.
      if (error.code === 'OUTBOX_FAILED') clock.setTimeout(() => alive() && this.restart(), 1_000);
    });
    // What an earlier process was told nothing about is handed over again: the same id is the same message.
    const answered = new Set(history.events.filter(({ op }) => op === 'ack' || op === 'nack').map(({ id }) => id));
    const mine = ({ op, user, device, id }) =>
      op === 'invoke' && user === this.user && device === this.label && !answered.has(id);
    const kept = new Set(history.events.filter(({ op }) => op === 'keep').map(({ id }) => id));
    const left = new Map(history.events.filter(mine).map(({ id, conv }) => [id, conv]));
    const packages = new Set();
    for (const [id, conv] of left) {
      // The outbox may not have it: then it is one that is handed over now, behind those that it has.
      const pkg = /^(.*)-part-\d+$/.exec(id)?.[1];
      if (!kept.has(id)) this.#record('invoke', { conv, id, pkg, hash: hashBody(this.#world.bodies.get(id)) });
      if (!pkg) this.#hand(conv, id, life);
      else if (!packages.has(pkg)) this.#handPackage(pkg, life);
      packages.add(pkg);
    }
  }

  /** Its process dies. @param {boolean} power cut: what was not synced is gone, too @param {boolean} [told] the server learns of it at once */
  kill(power, told = true) {
    if (!this.client) return;
    this.#notePlaces();
    this.client = null;
    if (told) this.#world.network.cut(this.label);
    else this.#world.network.abandon(this.label);
    if (power) this.disk.records.length = this.disk.synced;
    this.disk.synced = this.disk.records.length;
    this.#record('restart', {});
    this.#world.trace.count(power ? 'power cut' : 'kill');
  }

  restart() {
    this.kill(false);
    this.start();
  }

  /** @param {string} conv */
  send(conv) {
    if (!this.client) return;
    const id = `${this.label}-${this.user}-${String(++this.#sent).padStart(6, '0')}`;
    this.#world.bodies.set(id, { text: id, pad: 'é'.repeat(this.#world.random() * 40) });
    this.#world.senders.set(id, this);
    this.#record('invoke', { conv, id, hash: hashBody(this.#world.bodies.get(id)) });
    this.#hand(conv, id, this.life);
  }

  /** Some messages that must land together, in as many frames as they need. @param {string} conv @param {number} parts @param {number} bytes of each */
  sendPackage(conv, parts, bytes) {
    if (!this.client) return;
    const pkg = `${this.label}-${this.user}-${String(++this.#sent).padStart(6, '0')}`;
    const ids = Array.from({ length: parts }, (_, i) => `${pkg}-part-${i}`);
    for (const id of ids) {
      this.#world.bodies.set(id, { text: id, pad: 'x'.repeat(bytes) });
      this.#world.senders.set(id, this);
      this.#record('invoke', { conv, id, pkg, hash: hashBody(this.#world.bodies.get(id)) });
    }
    this.#packages.set(pkg, { conv, ids });
    this.#handPackage(pkg, this.life);
  }

  /** @param {string} pkg @param {number} life */
  #handPackage(pkg, life) {
    const { conv, ids } = this.#packages.get(pkg);
    const bodies = ids.map((id) => this.#world.bodies.get(id));
    const isMine = () => this.life === life && this.client;
    this.client.sendPackage(conv, bodies, { id: pkg }).then(
      (acks) => isMine() && acks.forEach((ack, i) => this.#record('ack', { conv, ...ack, id: ids[i] })),
      (error) => {
        if (!isMine() || UNDECIDED.has(error.code)) return;
        for (const id of ids) this.#record('nack', { conv, id, code: error.code });
      },
    );
  }

  /** What the outbox has taken, and what was refused though nobody waited for it any more: a message, or all of a package. */
  #heard({ conv, id, state, error }) {
    const isRefused = error !== undefined && !UNDECIDED.has(error.code);
    for (const each of this.#packages.get(id)?.ids ?? [id]) {
      if (state === 'queued') this.#record('keep', { conv, id: each });
      if (isRefused) this.#record('nack', { conv, id: each, code: error.code });
    }
  }

  /** @param {string} conv @param {string} id @param {number} life */
  #hand(conv, id, life) {
    this.client.send(conv, this.#world.bodies.get(id), { id }).then(
      (ack) => this.life === life && this.client && this.#record('ack', { conv, id, ...ack }),
      (error) => {
        if (this.life !== life || !this.client || UNDECIDED.has(error.code)) return;
        // What no server would take was never under way, and a load of such messages shows nothing.
        if (error.code === 'INVALID_ARGUMENT') this.#world.errors.push(`${this.label}: ${error.message}`);
        this.#record('nack', { conv, id, code: error.code });
      },
    );
  }

  /** @param {any} message */
  async #given(message) {
    const { clock, random, faults } = this.#world;
    const { life } = this;
    if (random() < faults.slowHandler) await new Promise((resolve) => clock.setTimeout(resolve, random() * 2_000));
    if (random() < faults.throwingHandler) throw new Error('the handler fails');
    if (this.life !== life || !this.client) return new Promise(() => {});
    const { conv, epoch, seq, mid, from, type, body } = message;
    const id = nameOf(message);
    if (type.startsWith('system.')) this.#world.trace.count(type);
    const fromDevice = from === 'system' ? 'system' : this.#world.senders.get(id)?.label;
    this.#record('deliver', { conv, epoch, seq, mid, id, from, fromDevice, type, hash: hashBody(body) });
  }

  #record(op, about) {
    const { conv, id, n, epoch, seq, mid, from, fromDevice, type, hash, code, pkg } = about;
    const event = { op, user: this.user, device: this.label, t: this.#world.clock.now() };
    const known = { conv, id, n, epoch, seq, mid, from, fromDevice, type, hash, code, pkg };
    for (const [key, value] of Object.entries(known)) if (value !== undefined) event[key] = value;
    this.#world.history.record(event);
  }

  /** The outbox's storage, as a process sees it. @param {number} life */
  #storage(life) {
    const { disk } = this;
    const { clock, random, faults } = this.#world;
    const later = (act) =>
      new Promise((resolve, reject) =>
        clock.setTimeout(() => {
          if (this.life !== life || !this.client) return;
          if (random() < faults.outboxFails) reject(new Error('the disk of the outbox fails'));
          else resolve(act());
        }, random() * 3),
      );
    return {
      open: async () => ({ records: structuredClone(disk.records) }),
      write: (records, { sync }) =>
        later(() => {
          disk.records.push(...structuredClone(records));
          if (sync) disk.synced = disk.records.length;
        }),
      replace: (records) =>
        later(() => {
          disk.records = structuredClone(records);
          disk.synced = records.length;
        }),
      close: async () => {},
    };
  }
}

/** What the application calls a message: parts of a package have ids that the client makes. @param {any} message */
export const nameOf = ({ id, body }) => (typeof body?.text === 'string' ? body.text : id);

/** Timers of a process die with it. @param {any} clock @param {() => boolean} alive */
function mortal(clock, alive) {
  return {
    ...clock,
    now: clock.now,
    clearTimeout: clock.clearTimeout,
    setTimeout: (callback, ms) => clock.setTimeout(() => alive() && callback(), ms),
  };
}
