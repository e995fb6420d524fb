/**
 * Drives a running server through bad connections, with the shipped client, and judges what arrived. Everything random is
 * drawn from one seed; how it meets the server is real time, and differs.
 */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { History } from '../checker/history.js';
import { judge } from '../checker/judge.js';
import { Client } from '../client-node.js';
import { MemoryOutbox } from '../client/outbox.js';
import { DEFAULT_PATH, EveryonceError } from '../protocol/index.js';
import { Chaos } from './chaos.js';
import { ChaosProxy } from './chaos-proxy.js';
import { flakySocket } from './flaky-socket.js';
import { latencies } from './latencies.js';
import { Participant } from './participant.js';
import { conversationsOf, createGroups, devicesOf, startOf } from './people.js';
import { seeded } from './random.js';
import { readConversations, readNewest } from './read-log.js';

/** To reach the server at first, ms. */
const CONNECT_MS = 10_000;
/** From the last fault until everything has come true, ms. */
const DRAIN_MS = 60_000;
const PROGRESS_MS = 250;
const RECONNECT = { min: 100, max: 2_000 };
/** Unanswered sends per conversation. */
const IN_FLIGHT = 3;
/** Users whose reading of a conversation is compared at the end. */
const READERS = 2;

/**
 * @typedef {object} TortureOptions
 * @property {string} url of the server: `http`, `https`, `ws`, `wss`
 * @property {number} users
 * @property {number} seconds under faults; draining comes on top
 * @property {number} seed
 * @property {number} [rate] messages a second of each user, about; default 4
 * @property {(user: string) => string | Promise<string>} [tokenOf] default: the token is the user's name (`--insecure`)
 * @property {string[]} [tokens] of users that exist, one each, instead of `users` new ones
 * @property {(counts: Progress) => void} [progress] a few times a second
 * @property {AbortSignal} [signal] ends the faults early; what was sent is judged all the same
 * @property {number} [drainMs] after which what has not come true is not waited for any more; default 60,000
 *
 * @typedef {object} Progress
 * @property {'connecting' | 'torture' | 'draining' | 'judging'} phase
 * @property {number} part 0 to 1, of the time under faults
 * @property {number} sent
 * @property {number} acked
 * @property {number} delivered
 * @property {number} reconnects
 * @property {number} online devices
 * @property {number} devices
 *
 * @typedef {import('../checker/judge.js').Verdict & { reconnects: number, p50Ms: number, p99Ms: number, seed: number,
 *   users: number, devices: number, seconds: number, faults: Record<string, number>, problems: string[] }} TortureResult
 *   `problems`: what went wrong beside the four counts, like answers that never came
 */

/**
 * @param {TortureOptions} options
 * @returns {Promise<TortureResult>}
 * @throws {EveryonceError} `INVALID_ARGUMENT` for a url that is none; `UNREACHABLE`, or the server's code, where the
 *   torture can't begin; `LOG_UNREADABLE` where the end can't be read
 */
export async function torture(options) {
  const target = targetOf(options.url);
  const random = seeded(options.seed);
  const proxy = new ChaosProxy({ ...target, random });
  const run = new Torture(options, target, proxy, random);
  try {
    await run.begin(await proxy.listen());
    await run.load();
    await run.drain();
    return await run.judge();
  } finally {
    await run.close();
    await proxy.close();
  }
}

class Torture {
  #options;
  #target;
  #proxy;
  #random;
  #history = new History();
  #faults = { repeat: 0 };
  /** @type {Record<string, number>} */
  #counts = { repeatedFrames: 0 };
  /** @type {string[]} */
  #problems = [];
  /** By user. @type {Map<string, () => string | Promise<string>>} */
  #tokens = new Map();
  /** @type {import('./people.js').Conversation[]} */
  #convs = [];
  /** @type {Participant[]} */
  #devices = [];
  #tally = { looked: 0, sent: 0, acked: 0, delivered: 0 };
  #startedAt = 0;
  #tookSeconds = 0;

  /** @param {TortureOptions} options @param {Target} target @param {ChaosProxy} proxy @param {() => number} random */
  constructor(options, target, proxy, random) {
    this.#options = options;
    this.#target = target;
    this.#proxy = proxy;
    this.#random = random;
  }

  /** Makes the groups, undisturbed, and all devices. @param {number} proxyPort */
  async begin(proxyPort) {
    this.#report('connecting');
    const run = randomUUID().slice(0, 8);
    /** @type {Map<string, Client>} */
    const clients = new Map();
    try {
      await this.#findUsers(run, clients);
      const users = [...this.#tokens.keys()];
      this.#convs = conversationsOf(users, run, this.#options.tokens === undefined);
      await createGroups((user) => this.#direct(user, clients), this.#convs);
    } finally {
      await Promise.all([...clients.values()].map((client) => client.close()));
    }
    const users = [...this.#tokens.keys()];
    for (const [index, person] of devicesOf(users, this.#convs, run).entries()) this.#add(person, index, proxyPort);
  }

  /** @param {string} run @param {Map<string, Client>} clients */
  async #findUsers(run, clients) {
    const { users, tokens, tokenOf = (user) => user } = this.#options;
    if (!tokens) {
      for (let i = 1; i <= users; i++) {
        const user = `torture-${run}-${i}`;
        this.#tokens.set(user, () => tokenOf(user));
      }
      return;
    }
    for (const token of tokens) {
      const client = await this.#connect(() => token);
      if (clients.has(client.user)) await client.close();
      clients.set(client.user, client);
      this.#tokens.set(client.user, () => token);
    }
  }

  /** @param {string} user @param {Map<string, Client>} clients kept until the groups are made */
  async #direct(user, clients) {
    const known = clients.get(user);
    if (known) return known;
    const client = await this.#connect(/** @type {() => string} */ (this.#tokens.get(user)));
    clients.set(user, client);
    return client;
  }

  /** @param {() => string | Promise<string>} getToken @returns {Promise<Client>} straight to the server */
  async #connect(getToken) {
    const { url } = this.#target;
    const client = new Client({ url, getToken, outbox: new MemoryOutbox() });
    client.on('error', () => {});
    const connected = client.connect();
    const why = await Promise.race([connected, after(CONNECT_MS)]).catch((error) => error);
    connected.catch(() => {});
    if (client.state === 'online') return client;
    await client.close();
    if (why instanceof EveryonceError) throw why;
    throw new EveryonceError('UNREACHABLE', `${this.#options.url} does not answer as an everyonce server within ${CONNECT_MS / 1000} s`, { option: 'url' }); // prettier-ignore
  }

  /** @param {import('./people.js').Person} person @param {number} index @param {number} proxyPort */
  #add({ user, device, convs }, index, proxyPort) {
    const { rate = 4, seed } = this.#options;
    const shares = new Map(convs.map(({ name, share }) => [name, share]));
    const random = seeded(seed + 1 + index);
    const participant = new Participant({
      url: this.#target.through(proxyPort),
      user,
      device,
      getToken: this.#tokens.get(user),
      outbox: new MemoryOutbox(),
      history: this.#history,
      convs: convs.map(({ name }) => name),
      starts: Object.fromEntries(convs.map((conv) => [conv.name, startOf(conv, user)])),
      random,
      WebSocket: flakySocket({ random, faults: this.#faults, counts: this.#counts, connection: this.#target.tls }),
      inFlight: IN_FLIGHT,
      // As many loops, each with a pause of half this on average.
      pauseMs: (conv) => (2 * IN_FLIGHT * 1000) / (rate * (shares.get(conv) ?? 1)),
      reconnect: RECONNECT,
    });
    this.#devices.push(participant);
    participant.start();
  }

  async load() {
    this.#startedAt = performance.now();
    const chaos = new Chaos({
      proxy: this.#proxy,
      faults: this.#faults,
      random: this.#random,
      connections: this.#devices.length,
    });
    for (const device of this.#devices) device.load(true);
    chaos.start();
    const timer = setInterval(() => this.#report('torture'), PROGRESS_MS);
    await after(this.#options.seconds * 1000, this.#options.signal);
    clearInterval(timer);
    chaos.stop();
    for (const device of this.#devices) device.load(false);
    this.#tookSeconds = Math.round((performance.now() - this.#startedAt) / 100) / 10;
  }

  /** On a good network, everything sent is answered, and everybody has everything. What does not come is the judge's to name. */
  async drain() {
    const drainMs = this.#options.drainMs ?? DRAIN_MS;
    const timer = setInterval(() => this.#report('draining'), PROGRESS_MS);
    try {
      const settled = () => this.#devices.every(({ isSettled }) => isSettled);
      await this.#history.until(settled, drainMs, 'every message answered');
      const heads = await this.#heads();
      const there = () => this.#devices.every((device) => device.hasReached(heads));
      await this.#history.until(there, drainMs, 'everything delivered');
    } catch (error) {
      this.#problems.push(String(/** @type {Error} */ (error).message));
    } finally {
      clearInterval(timer);
    }
  }

  /** @returns {Promise<Record<string, number>>} the newest seq of every conversation */
  async #heads() {
    const heads = {};
    for (const [user, convs] of this.#readers(1)) {
      Object.assign(heads, await readNewest(this.#target.url, await this.#token(user), convs));
    }
    return heads;
  }

  /** @returns {Promise<TortureResult>} */
  async judge() {
    this.#report('judging');
    const events = [...this.#history.events];
    try {
      for (const [user, convs] of this.#readers(READERS))
        events.push(...(await readConversations(this.#target.url, await this.#token(user), convs)));
    } catch (cause) {
      const message = `what the server holds can't be read: ${/** @type {Error} */ (cause).message}`;
      throw new EveryonceError('LOG_UNREADABLE', message, { cause });
    }
    for (const { errors } of this.#devices) this.#problems.push(...errors);
    const { reconnects, devices } = this.#progress('judging');
    const { seed } = this.#options;
    const more = { users: this.#tokens.size, devices, seconds: this.#tookSeconds, problems: this.#problems };
    const faults = { ...this.#proxy.counts, ...this.#counts };
    return { ...judge(events), reconnects, ...latencies(events), seed, ...more, faults };
  }

  async close() {
    await Promise.all(this.#devices.map((device) => device.close()));
    this.#history.close();
  }

  /** So many members of each conversation, to read it: those who already read, before others. @param {number} each @returns {Map<string, string[]>} */
  #readers(each) {
    /** @type {Map<string, string[]>} */
    const readers = new Map();
    for (const { name, members } of this.#convs) {
      const [first, ...others] = members;
      for (const user of [first, ...others.toReversed()].slice(0, each))
        readers.set(user, [...(readers.get(user) ?? []), name]);
    }
    return readers;
  }

  /** @param {string} user */
  async #token(user) {
    return String(await this.#tokens.get(user)?.());
  }

  /** @param {Progress['phase']} phase */
  #report(phase) {
    this.#options.progress?.(this.#progress(phase));
  }

  /** @param {Progress['phase']} phase @returns {Progress} */
  #progress(phase) {
    const { events } = this.#history;
    const tally = this.#tally;
    for (; tally.looked < events.length; tally.looked++) {
      const { op } = events[tally.looked];
      if (op === 'invoke') tally.sent += 1;
      else if (op === 'ack') tally.acked += 1;
      else if (op === 'deliver') tally.delivered += 1;
    }
    const { sent, acked, delivered } = tally;
    const elapsedMs = this.#startedAt ? performance.now() - this.#startedAt : 0;
    const part = Math.min(1, elapsedMs / (this.#options.seconds * 1000));
    const reconnects = this.#devices.reduce((sum, { connections }) => sum + Math.max(0, connections - 1), 0);
    const online = this.#devices.filter(({ client }) => client.state === 'online').length;
    return { phase, part, sent, acked, delivered, reconnects, online, devices: this.#devices.length };
  }
}

/**
 * @typedef {object} Target
 * @property {string} url
 * @property {string} host
 * @property {number} port
 * @property {(port: number) => string} through a proxy on loopback
 * @property {import('ws').ClientOptions} tls so that server and certificate are asked for by their own name
 */

/** @param {string} url @returns {Target} */
function targetOf(url) {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const isSecure = parsed?.protocol === 'https:' || parsed?.protocol === 'wss:';
  if (!parsed || !/^(http|ws)s?:$/.test(parsed.protocol)) {
    throw new EveryonceError('INVALID_ARGUMENT', `url must be an http, https, ws or wss address, not ${url}`, {
      option: 'url',
    });
  }
  const scheme = isSecure ? 'wss' : 'ws';
  const path = `${parsed.pathname === '/' ? DEFAULT_PATH : parsed.pathname}${parsed.search}`;
  const name = parsed.hostname.replace(/^\[|\]$/g, '');
  return {
    url: `${scheme}://${parsed.host}${path}`,
    host: name,
    port: Number(parsed.port || (isSecure ? 443 : 80)),
    through: (port) => `${scheme}://127.0.0.1:${port}${path}`,
    tls: { headers: { host: parsed.host }, ...(isSecure && !/^[\d.]+$|:/.test(name) ? { servername: name } : {}) },
  };
}

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
function after(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = () => (clearTimeout(timer), resolve());
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end, { once: true });
  });
}
