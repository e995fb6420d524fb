/** One simulated deployment: a server or several, devices of some users, a network between them, and what happened. */
import { History, hashBody } from '../../lib/checker/history.js';
import { judge } from '../../lib/checker/judge.js';
import { VirtualClock, seeded, settled } from '../lib/client/fake/clock.js';
import { Device, nameOf } from './device.js';
import { Network } from './network.js';
import { Server } from './server.js';
import { Trace } from './trace.js';

export const DM = 'dm:alice:bob';
export const GROUP = 'g:all';
export const USERS = ['alice', 'bob', 'carol'];
/** Seconds after the last fault within which everything must have come true. */
const SETTLE_S = 300;
/** Messages of a conversation that a store may lose at once: of the last 64 a client knows what it has handled, and sends its own again. */
export const KNOWN_AGAIN = 25;
/** A server that has not answered by then does not. */
const MAX_ANSWER_MS = 5_000;

export class World {
  clock = new VirtualClock();
  history = new History();
  /** By message id. @type {Map<string, unknown>} */
  bodies = new Map();
  /** @type {Map<string, Device>} */
  senders = new Map();
  /** Conversations that there may be, and whose they are. @type {Map<string, string[]>} */
  convs = new Map([
    [DM, ['alice', 'bob']],
    [GROUP, USERS],
  ]);
  faults = { slowHandler: 0, throwingHandler: 0, outboxFails: 0 };
  /** @type {Device[]} */
  devices = [];
  /** Which rare things may happen, or happen often. @type {'usual' | 'backups' | 'outboxes' | 'members'} */
  kind = 'usual';
  /** Devices whose outbox was lost: what they alone knew need not come true. @type {Set<string>} */
  lost = new Set();
  /** Devices that took a new id: what they sent under the old one is another device's to them. @type {Set<string>} */
  renewed = new Set();
  /** Those that had one device id between them. @type {Set<Device>} */
  #doubles = new Set();
  #wentBack = false;
  /** The newest seqs of the backup. @type {Map<string, number>} */
  #backedUp = new Map();
  /** What no fault explains. @type {string[]} */
  errors = [];

  /** @param {number} seed @param {{ server?: Record<string, any>, client?: Record<string, any>, keep?: boolean }} [options] */
  constructor(seed, options = {}) {
    this.options = options;
    this.random = seeded(seed);
    this.trace = new Trace(this.clock, options.keep === true);
    const { clock, random, trace } = this;
    this.servers = this.makeServers({ seed, ...options.server });
    this.network = new Network({ clock, random, servers: this.servers, trace });
  }

  /** @param {Record<string, any>} options @returns {Server[]} */
  makeServers(options) {
    const { clock, random, trace } = this;
    return [new Server({ clock, random, trace, options })];
  }

  /** One that is up, where there is one. */
  get server() {
    return this.servers.find((server) => server.up) ?? this.servers[0];
  }

  /** Asks one server as a user, or with '' as the system. @param {string} user @param {Record<string, unknown>} packet @returns {Promise<Record<string, any>>} */
  async ask(user, packet) {
    const given = { answer: /** @type {Record<string, any> | null} */ (null) };
    void this.server.request(user, packet).then((answer) => Object.assign(given, { answer }));
    await settled();
    for (let waited = 0; given.answer === null && waited < MAX_ANSWER_MS; waited += 5) await this.clock.advance(5);
    return given.answer ?? { t: 'error', code: 'unavailable' };
  }

  async begin() {
    for (const server of this.servers) server.start();
    const made = await this.ask('alice', { t: 'create', rid: 1, conv: GROUP, members: USERS });
    if (made.t !== 'ok') throw new Error(`no group: ${JSON.stringify(made)}`);
    for (const user of ['alice', 'alice', 'bob', 'bob', 'carol']) {
      const label = `${user}-${this.devices.length}`;
      this.devices.push(new Device(this, user, label, user === 'carol' ? [GROUP] : [DM, GROUP]));
    }
    for (const device of this.devices) device.start();
    await this.clock.advance(1_000);
  }

  /** @param {Device} device @param {any} error */
  onClientError(device, error) {
    const expected = ['OUTBOX_FAILED', 'STORE_FAILED', 'unavailable', 'HANDLER_FAILED', 'CONNECTION_REFUSED'];
    if (['REPLACED', 'stale_device'].includes(error?.code) && this.#doubles.has(device)) return;
    if (expected.includes(error?.code)) this.trace.count(error.code);
    else this.errors.push(`${device.label}: ${error?.code} ${error?.message}`);
  }

  /** Nobody else has this device: one that is told so would stand still for ever. @param {Device} device */
  replaced(device) {
    // By a hello of the one before it that was late: its application says that it is wanted again.
    if (this.#doubles.has(device))
      this.clock.setTimeout(() => this.devices.includes(device) && device.client?.state === 'replaced' && device.restart(), 1_000); // prettier-ignore
    else this.errors.push(`${device.label}: replaced, by nobody`);
  }

  /** The group's creator takes carol out, or in again. @param {'add' | 'remove'} t */
  async changeMembers(t) {
    if (this.server.up) await this.ask('alice', { t, rid: 1, conv: GROUP, members: ['carol'] });
  }

  /** @param {Device} device @param {number} ms until it is there again */
  async swapOutbox(device, ms) {
    const other = device.goBack();
    this.#doubles.add(other);
    this.devices[this.devices.indexOf(device)] = other;
    await this.clock.advance(ms);
    other.start();
  }

  /**
   * An installation is copied, goes on, and then the copy takes its place, as where a phone's backup is restored: what the
   * copy sends next has numbers that were used.
   *
   * @param {Device} device
   * @param {() => number} chance
   */
  async copyOutbox(device, chance) {
    device.save();
    this.#sendSome(device, chance);
    await this.clock.advance(chance() * 1_000);
    // Each start raises the number by which the server tells an older copy.
    for (let i = chance() * 3; i > 1; i--) {
      device.restart();
      await this.clock.advance(chance() * 500);
    }
    if (chance() < 0.4) return this.#runBeside(device, chance);
    const other = device.goBack(chance() < 0.5);
    this.#doubles.add(other);
    this.devices[this.devices.indexOf(device)] = other;
    await this.clock.advance(chance() * 500);
    other.start();
    await this.clock.advance(chance() * 300);
    this.#sendSome(other, chance);
  }

  /** A device and its copy run at once, as two tabs of which one was cloned; then the first ends. @param {Device} device @param {() => number} chance */
  async #runBeside(device, chance) {
    const other = device.double();
    for (const each of [device, other]) this.#doubles.add(each);
    other.start();
    for (let i = 1 + chance() * 3; i > 0; i--) {
      this.#sendSome(chance() < 0.5 ? device : other, chance);
      await this.clock.advance(chance() * 500);
      if (chance() < 0.2) this.network.cut(device.label);
    }
    this.devices[this.devices.indexOf(device)] = other;
    device.makeWayFor(other);
    if (other.client?.state === 'replaced') other.restart();
  }

  /** @param {Device} device @param {() => number} chance */
  #sendSome(device, chance) {
    for (let i = 1 + chance() * 4; i > 0; i--) device.send(device.convs[Math.floor(chance() * device.convs.length)]);
  }

  /** Copies the server's disk. */
  async backUp() {
    if (!this.server.start()) return;
    const newest = [await this.#newest(DM), await this.#newest(GROUP)];
    if (newest.includes(null)) return;
    for (const [index, conv] of [DM, GROUP].entries()) this.#backedUp.set(conv, newest[index]?.seq ?? 0);
    this.server.backup();
  }

  /** The server's disk goes back to its backup; what was told since is void. */
  async goBack() {
    if (!this.server.start()) return;
    /** @type {Map<string, any>} */
    const newest = new Map();
    for (const conv of [DM, GROUP]) newest.set(conv, await this.#newest(conv));
    if ([...newest.values()].includes(null)) return;
    const lost = [...newest].map(([conv, last]) => (last?.seq ?? 0) - (this.#backedUp.get(conv) ?? 0));
    // The second time a client may be told that all is void, and knows the last 64 of that all only.
    if (Math.max(...lost) > KNOWN_AGAIN || this.#wentBack) return this.backUp();
    this.#wentBack = true;
    this.server.crash({ kept: 0, told: this.random() < 0.7 }, this.network);
    this.server.restore();
    this.server.failWrite(0, false, 0);
    this.server.failReads(false);
    await this.clock.advance(this.random() * 2_000);
    if (!this.server.start({ newEpochs: true })) throw new Error('the backup does not open');
    this.trace.count('gone back');
    for (const [conv, last] of newest) {
      const kept = await this.#newest(conv);
      const about = { user: '', device: '', conv, epoch: last?.epoch ?? 0, seq: kept?.seq ?? 0 };
      this.history.record({ op: 'void', ...about, t: this.clock.now() });
    }
  }

  /** @param {string} conv @returns {Promise<any>} its newest message; undefined: there is none; null: the store is in trouble */
  async #newest(conv) {
    this.server.failReads(false);
    for (let tries = 0; tries < 30; tries++) {
      const page = await this.ask('', { t: 'history', rid: 1, conv, limit: 1 });
      if (page.t === 'page' || page.code === 'unknown_conv') return page.items?.[0];
      await this.clock.advance(1_000);
    }
    return null;
  }

  /** Faults end, everybody is there, and what was promised must come true. @returns {Promise<void>} */
  async settle() {
    this.network.calm();
    Object.assign(this.faults, { slowHandler: 0, throwingHandler: 0, outboxFails: 0 });
    this.repair();
    for (const device of this.devices) if (!device.client) device.start();
    await this.clock.advance(5_000);
    await this.changeMembers('add');
    for (let waited = 0; waited < SETTLE_S && (await this.#unsettled()).length > 0; waited++)
      await this.clock.advance(1_000);
    await this.clock.advance(2_000);
    this.errors.push(...(await this.#unsettled()));
  }

  /** The servers and their store are well again. */
  repair() {
    this.server.failReads(false);
    this.server.failWrite(0, false, 0);
    if (!this.server.start()) throw new Error('the store does not open');
  }

  /** Who is not done, judged by what the server's log holds. @returns {Promise<string[]>} */
  async #unsettled() {
    /** @type {Map<string, number>} */
    const heads = new Map();
    for (const conv of this.convs.keys()) {
      const page = await this.ask('', { t: 'history', rid: 1, conv, limit: 1 });
      if (page.t !== 'page' && page.code !== 'unknown_conv') return [`the server answers ${page.code} at the end`];
      heads.set(conv, page.items?.[0]?.seq ?? 0);
    }
    return this.devices.flatMap(({ user, label, client }) => {
      const open = client.outbox().length;
      const known = new Map(client.conversations().map(({ conv, got }) => [conv, got]));
      const mine = [...heads.keys()].filter((conv) => this.convs.get(conv)?.includes(user));
      const behind = mine.filter((conv) => (known.get(conv) ?? 0) < (heads.get(conv) ?? 0));
      return [
        ...(client.state === 'online' ? [] : [`${label}: ${client.state} at the end`]),
        ...(open === 0 ? [] : [`${label}: ${open} in the outbox at the end`]),
        ...behind.map((conv) => `${label}: ${conv} handled to ${known.get(conv)} of ${heads.get(conv)} at the end`),
      ];
    });
  }

  /** Reads what every member sees. */
  async readLog() {
    for (const user of USERS) {
      for (const conv of [...this.convs.keys()].filter((each) => this.convs.get(each)?.includes(user))) {
        for (let after = 0; ;) {
          const page = await this.ask(user, { t: 'history', rid: 1, conv, after, limit: 200 });
          if (page.t === 'error' && page.code === 'unknown_conv') break;
          if (page.t !== 'page') throw new Error(`no history: ${JSON.stringify(page)}`);
          for (const item of page.items) this.#read(user, item);
          if (!page.more) break;
          after = page.items.at(-1).to ?? page.items.at(-1).seq;
        }
      }
    }
  }

  #read(user, item) {
    if (item.t === 'hole') return this.trace.count('hole');
    const { conv, epoch, seq, mid, from, type, body } = item;
    const id = nameOf(item);
    const change = type === 'system.members' ? { change: body } : {};
    const fromDevice = from === 'system' ? 'system' : (this.senders.get(id)?.label ?? `nobody's ${id}`);
    const event = {
      op: /** @type {const} */ ('log'),
      user,
      device: 'reader',
      conv,
      epoch,
      seq,
      mid,
      id,
      from,
      fromDevice,
    };
    this.history.record({ ...event, ...change, type, hash: hashBody(body), t: this.clock.now() });
  }

  judge() {
    const isLost = ({ op, device }) => ['keep', 'watch', 'nack'].includes(op) && this.lost.has(device);
    const verdict = judge(this.history.events.filter((event) => !isLost(event)));
    const ofAnother = ['own_delivered', 'log_order'];
    const findings = verdict.findings.filter(
      ({ rule, device = '' }) => !ofAnother.includes(rule) || !this.renewed.has(device),
    );
    const count = (wanted) => findings.filter((finding) => finding.count === wanted).length;
    return { ...verdict, findings, repeated: count('repeated'), swapped: count('swapped') };
  }
}
