/**
 * Two server processes on a Redis Cluster of three masters, behind a door that leads to whichever lives, and faults of all
 * kinds under load: kill -9 of a server, of a master, connections of bells that are cut, scripts that are forgotten, the
 * hottest slot moved to another master. The judge at the end wants every message once, in order, unchanged.
 *
 * With `--replicas 1` each master has a replica that an ack waits for; masters are killed for good, and what comes back is
 * the replica of another. Masters and servers stand still (SIGSTOP), too, for less and for longer than it takes to be replaced,
 * and every connection to Redis is cut.
 *
 * node test/faults/several-servers.js [--rounds 60] [--seed N] [--users 6] [--replicas 0] [--json]
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { lead } from '../../examples/chat/cluster.js';
import { command, moveSlot, startLocalCluster, whole } from '../../examples/chat/local-cluster.js';
import { History } from '../../lib/checker/history.js';
import { isClean, judge } from '../../lib/checker/judge.js';
import { Client, MemoryOutbox } from '../../lib/index.js';
import { Participant } from '../../lib/torture/participant.js';
import { pick, seeded } from '../../lib/torture/random.js';
import { readHeads, readLog } from '../../lib/torture/read-log.js';
import { runCommand } from './command.js';
import { failOver, mastersOf, replicated, standStill } from './failover.js';
import { freePort, ServerProcess } from './server-process.js';

const group = 'g:everyone';
const ackMs = 60_000;
const drainMs = 90_000;

const faults = ['server', 'bells', 'slot', 'master', 'scripts', 'server', 'server'];

const failovers = ['failover', 'server', 'bells', 'slot', 'still', 'scripts', 'clients', 'pause', 'failover'];
/** How long a process stands still: a Cluster's master is replaced after two to three seconds. */
const stillMs = 6_000;

/** @param {any} outcome */
export const isGood = (outcome) => isClean(outcome) && outcome.problems.length === 0 && outcome.acked > 0;

/**
 * @param {{ rounds: number, seed: number, users?: number, acks?: number, replicas?: number, progress?: (line: string) => void }}
 *   options
 */
export async function runServers({ rounds, seed, users = 6, acks = 150, replicas = 0, progress = () => {} }) {
  const random = seeded(seed);
  // An ack says `disk`: a master that is killed comes back with all of it.
  const fsync = replicas === 0 ? 'always' : 'everysec';
  const cluster = await startLocalCluster({ masters: 3, replicas, flags: ['--appendfsync', fsync] });
  const kinds = replicas === 0 ? faults : failovers;
  const args = replicas === 0 ? [] : ['--durability', `replicas=${replicas}`];
  const servers = [];
  const door = createServer((socket) => lead(socket, servers));
  const run = new Run({ cluster, servers, random, seed, users });
  const started = performance.now();
  try {
    for (let i = 0; i < 2; i++)
      servers.push(new ServerProcess({ redis: cluster.urls, port: await freePort(random), args }));
    await Promise.all(servers.map((server) => server.start()));
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (door.address());
    await run.begin(`ws://127.0.0.1:${port}/everyonce`);
    for (let round = 1; round <= rounds; round++) {
      // Each kind comes once before any comes by chance.
      const fault = round <= kinds.length ? kinds[round - 1] : kinds[pick(random, kinds.length)];
      await run.round(fault, acks);
      progress(`round ${round} of ${rounds}: ${fault}, ${run.acked()} acked`);
    }
    const verdict = await run.end();
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    const kills = servers.reduce((sum, { kills }) => sum + kills, 0);
    const peakBytes = Math.max(...servers.map((server) => server.peakBytes));
    return { rounds, seed, kills, peakBytes, seconds, ...verdict, met: run.met };
  } finally {
    await run.close();
    door.close();
    await Promise.all(servers.map((server) => server.stop()));
    await cluster.stop();
  }
}

class Run {
  /** @type {string[]} */
  problems = [];
  /** How often each fault was done, and masters replaced. @type {Record<string, number>} */
  met = {};
  #history = new History();
  /** @type {Participant[]} */
  #participants = [];
  #url = '';
  #acks = 0;
  #counted = 0;

  constructor({ cluster, servers, random, seed, users }) {
    Object.assign(this, { cluster, servers, random, seed });
    this.users = Array.from({ length: users }, (_, index) => `user${index + 1}`);
  }

  /** @param {string} url */
  async begin(url) {
    this.#url = url;
    const [first] = this.users;
    const client = new Client({ url, token: first });
    await client.connect();
    await client.createConversation(group, this.users.slice(1));
    await client.close();
    for (const [i, user] of this.users.entries()) {
      const other = this.users[(i + 1) % this.users.length];
      const before = this.users[(i + this.users.length - 1) % this.users.length];
      const convs = [group, ...[other, before].map((name) => `dm:${[user, name].sort().join(':')}`)];
      this.#add(user, `${user}-a`, convs);
      if (i === 0) this.#add(user, `${user}-b`, convs);
    }
    for (const participant of this.#participants) participant.load(true);
  }

  #add(user, device, convs) {
    const random = seeded(this.seed + 100 + this.#participants.length);
    const outbox = new MemoryOutbox();
    const participant = new Participant({
      url: this.#url,
      user,
      device,
      convs,
      outbox,
      history: this.#history,
      random,
    });
    this.#participants.push(participant);
    participant.start();
  }

  /** @param {string} fault @param {number} acks */
  async round(fault, acks) {
    const wanted = this.acked() + 1 + pick(this.random, acks);
    await this.#history.until(() => this.acked() >= wanted, ackMs, `acks before the fault "${fault}"`);
    const { nodes } = this.cluster;
    if (fault === 'server') {
      const server = this.servers[pick(this.random, this.servers.length)];
      const { port } = server;
      server.port = 0;
      await server.kill();
      server.port = port;
      await server.start();
    } else if (fault === 'master') {
      const node = nodes[pick(this.random, nodes.length)];
      await node.kill();
      await node.start();
    } else if (fault === 'bells') {
      for (const { port } of nodes) await command(port, 'CLIENT KILL TYPE pubsub');
    } else if (fault === 'clients') {
      for (const { port } of nodes) await command(port, 'CLIENT KILL TYPE normal SKIPME yes');
    } else if (fault === 'pause') {
      const pid = Number(this.servers[pick(this.random, this.servers.length)].pid);
      process.kill(pid, 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, this.random() * stillMs));
      process.kill(pid, 'SIGCONT');
    } else if (fault === 'still') {
      if (await standStill(this.cluster, this.random, this.random() * stillMs)) this.#count('failovers');
    } else if (fault === 'scripts') {
      for (const { port } of nodes) await command(port, 'SCRIPT FLUSH');
    } else if (fault === 'failover') {
      await failOver(this.cluster, this.random);
      this.#count('failovers');
    } else await this.#moveHottest();
    this.#count(fault);
  }

  /** @param {string} what */
  #count(what) {
    this.met[what] = (this.met[what] ?? 0) + 1;
  }

  /** The slot of the conversation in which everybody writes goes to the next master. */
  async #moveHottest() {
    const { nodes } = this.cluster;
    await whole(nodes);
    const masters = await mastersOf(nodes);
    for (const [i, from] of masters.entries()) {
      const key = await command(from.port, `KEYS *:c:${group}`);
      if (key === '') continue;
      const slot = Number(await command(from.port, `CLUSTER KEYSLOT ${key}`));
      await moveSlot(slot, from, masters[(i + 1) % masters.length]);
      // Redis moves keys without waiting for the new master's replicas: a master that died now would take them along.
      return replicated(nodes);
    }
    throw new Error(`no master has ${group}`);
  }

  acked() {
    const { events } = this.#history;
    for (; this.#counted < events.length; this.#counted++) if (events[this.#counted].op === 'ack') this.#acks += 1;
    return this.#acks;
  }

  async end() {
    for (const participant of this.#participants) participant.load(false);
    await this.#drained('after the load');
    for (const participant of this.#participants) participant.sendOnce();
    await this.#drained('after one more each');
    const log = [];
    for (const user of this.users) log.push(...(await readLog(this.#url, user)));
    await this.close();
    for (const { errors } of this.#participants) this.problems.push(...errors);
    // A master that starts again begins a new epoch, with nothing lost: seqs must be what they were.
    const events = [...this.#history.events, ...log].map((event) =>
      'epoch' in event ? { ...event, epoch: 1 } : event,
    );
    return { ...severalServers(judge(events), log), problems: this.problems };
  }

  /** @param {string} when */
  async #drained(when) {
    try {
      const all = this.#participants;
      await this.#history.until(() => all.every(({ isSettled }) => isSettled), drainMs, `all sends answered ${when}`);
      const heads = Object.assign({}, ...(await Promise.all(this.users.map((user) => readHeads(this.#url, user)))));
      const reached = () => all.every((participant) => participant.hasReached(heads));
      await this.#history.until(reached, drainMs, `everything delivered ${when}`);
    } catch (error) {
      this.problems.push(String(/** @type {Error} */ (error).message));
    }
  }

  async close() {
    await Promise.all(this.#participants.map((participant) => participant.close()));
  }
}

/**
 * Two servers give mids out of their own clocks: unique, but in one conversation only about ascending.
 *
 * @param {import('../../lib/checker/judge.js').Verdict} verdict
 * @param {import('../../lib/checker/history.js').HistoryEvent[]} log
 */
export function severalServers(verdict, log) {
  const places = new Map();
  for (const { mid, conv, seq } of log) {
    const place = `${conv} ${seq}`;
    if ((places.get(mid) ?? place) !== place) return verdict;
    places.set(mid, place);
  }
  const findings = verdict.findings.filter(({ rule }) => rule !== 'mid_reused');
  return { ...verdict, findings, changed: findings.filter(({ count }) => count === 'changed').length };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runCommand(
    {
      rounds: { least: 1, otherwise: 60 },
      seed: { least: 0 },
      users: { least: 2, otherwise: 6 },
      replicas: { least: 0, otherwise: 0 },
    },
    (numbers, progress) => runServers({ ...numbers, progress }),
    isGood,
  );
}
