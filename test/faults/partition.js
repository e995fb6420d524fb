/**
 * A network that falls apart between hosts: four of them (hosts.js), a Redis Cluster on three, with a master on each and its
 * replicas on the two others, three server processes that wait for one of them (`replicas: 1`), and users of each server that send
 * all the while.
 *
 * - `server`: a server is alone: it can neither take nor tell anything, the others go on.
 * - `link`: it can't see one of the masters only.
 * - `master`: a master and a server are cut off from the majority. The master goes on for as long as the Cluster's time-out, and
 *   takes what its server writes, but the replicas of which it needs one are on the other side, where one is promoted: nothing
 *   that the majority lacks may be acked. Then the network heals, and the old master comes back as a replica.
 *
 * The judge at the end wants every message once, in order, unchanged.
 *
 * unshare --net node test/faults/partition.js [--rounds 6] [--seed N] [--json]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { until } from '../../examples/chat/local-cluster.js';
import { History } from '../../lib/checker/history.js';
import { isClean, judge } from '../../lib/checker/judge.js';
import { Client, MemoryOutbox } from '../../lib/index.js';
import { Participant } from '../../lib/torture/participant.js';
import { pick, seeded } from '../../lib/torture/random.js';
import { readConversations, readNewest } from '../../lib/torture/read-log.js';
import { runCommand } from './command.js';
import { Hosts } from './hosts.js';
import { ServerProcess } from './server-process.js';
import { severalServers } from './several-servers.js';
import { isMaster, offsetOf, SpreadCluster } from './spread-cluster.js';

const serverPort = 8080;
const secret = 'a secret of the partition test, 32 bytes and more';
/** So many that each master has some of them. */
const groups = Array.from({ length: 12 }, (_, i) => `g:group${i + 1}`);
const usersOfEach = 2;
const kinds = ['master', 'server', 'link'];
const waitMs = 90_000;
/** What a master writes to its replicas' connections without being asked meanwhile is less. */
const pingBytes = 200;
/** How long a network stays apart, at most, where nothing has to happen meanwhile. */
const apartMs = 6_000;

/** @typedef {import('./hosts.js').Host} Host */
/** @typedef {{ server: ServerProcess, host: Host, participants: Participant[] }} Side a server and its users */

class Run {
  /** @type {string[]} */
  problems = [];
  /** @type {Record<string, number>} */
  met = { master: 0, server: 0, link: 0, heldBack: 0 };
  #hosts = new Hosts();
  #history = new History();
  #dir = mkdtempSync(join(tmpdir(), 'everyonce-partition-'));
  #cluster = new SpreadCluster(this.#dir);
  /** @type {Side[]} */
  #sides = [];
  #seed;

  /** @param {number} seed */
  constructor(seed) {
    this.random = seeded(seed);
    this.#seed = seed;
  }

  async begin() {
    const [one, two, three] = [await this.#hosts.add(), await this.#hosts.add(), await this.#hosts.add()];
    const four = await this.#hosts.add();
    await this.#cluster.start([one, two, three]);
    for (const host of [one, two, four]) {
      const args = ['--host', '0.0.0.0', '--jwt-secret', secret, '--durability', 'replicas=1'];
      const server = new ServerProcess({ redis: this.#cluster.urls, port: serverPort, args, host });
      this.#sides.push({ server, host, participants: [] });
    }
    await Promise.all(this.#sides.map(({ server }) => server.start()));
    await this.#beginLoad();
  }

  /**
   * Users of the two servers beside a master are in the groups that this master keeps, and so still reach all that they have to do
   * with when both are cut off; those of the third server are in all groups.
   */
  async #beginLoad() {
    const everywhere = usersOf(this.#sides.length - 1);
    const creator = new Client({ url: urlOf(this.#sides[0]), getToken: () => tokenOf(everywhere[0]) });
    await creator.connect();
    for (const conv of groups) await creator.createConversation(conv, everywhere.slice(1));
    const kept = await Promise.all(this.#cluster.masters.slice(0, 2).map((master) => keptBy(master)));
    for (const [number, convs] of kept.entries())
      for (const conv of convs) await creator.addMembers(conv, usersOf(number));
    kept.push(groups);
    await creator.close();
    for (const [number, side] of this.#sides.entries()) {
      const convs = kept[number];
      for (const user of usersOf(number)) side.participants.push(this.#participant(user, side, convs));
    }
  }

  /** @param {string} user @param {Side} side @param {string[]} convs */
  #participant(user, side, convs) {
    const who = {
      user,
      device: `${user}-a`,
      getToken: () => tokenOf(user),
      url: urlOf(side),
      outbox: new MemoryOutbox(),
    };
    const random = seeded(this.#seed + Number(user.slice(4)));
    // Of the groups that were there before him he is not shown how they began.
    const starts = Object.fromEntries(side === this.#sides.at(-1) ? [] : convs.map((conv) => [conv, 1]));
    const participant = new Participant({ ...who, convs, starts, history: this.#history, random, pauseMs: () => 50 });
    participant.start();
    participant.load(true);
    return participant;
  }

  /** @param {Side[]} sides */
  #acksOf(sides) {
    const users = new Set(sides.flatMap(({ host }) => usersOf(this.#sides.findIndex((side) => side.host === host))));
    return this.#history.events.filter(({ op, user }) => op === 'ack' && users.has(user)).length;
  }

  /** @param {Side[]} sides @param {number} more @param {string} when */
  async #moreAcks(sides, more, when) {
    const wanted = this.#acksOf(sides) + more;
    await this.#untilAcks(() => this.#acksOf(sides) >= wanted, `${more} more acks ${when}`);
  }

  /** @param {() => boolean} question @param {string} what */
  async #untilAcks(question, what) {
    const end = performance.now() + waitMs;
    while (!question()) {
      if (performance.now() > end) throw new Error(`not within ${waitMs} ms: ${what}`);
      await wait(50);
    }
  }

  /** @param {string} kind */
  async round(kind) {
    for (const side of this.#sides) await this.#moreAcks([side], 20, 'while all is well');
    this.met[kind] += 1;
    if (kind === 'master') return this.#cutMaster(pick(this.random, 2));
    const four = this.#sides[2];
    const others = this.#sides.slice(0, 2);
    if (kind === 'link') {
      this.#hosts.cutBetween(four.host, this.#cluster.masters[pick(this.random, 3)].host);
      await this.#moreAcks(others, 100, 'beside a server that lacks a master');
    } else {
      const open = this.#cut([four.host], four);
      await this.#moreAcks(others, 100, 'beside a server that is alone');
      await wait(this.random() * apartMs);
      this.#onlyThose(open, four);
    }
    this.#hosts.heal();
    await this.#moreAcks([four], 50, 'of the server that was cut off');
  }

  /** The master and the server of a host are cut off from the others, and come back. @param {number} at */
  async #cutMaster(at) {
    const [master, replicas] = [this.#cluster.masters[at], this.#cluster.replicas[at]];
    const [minority, majority] = [this.#sides[at], this.#sides.filter((_, i) => i !== at)];
    const offset = await offsetOf(master);
    const open = this.#cut([master.host], minority);
    await until(async () => (await Promise.all(replicas.map(isMaster))).includes(true));
    await this.#moreAcks(majority, 200, 'of the majority');
    // What it took and nobody else has: gone, and never told to anybody.
    if ((await offsetOf(master)) > offset + pingBytes) this.met.heldBack += 1;
    this.#onlyThose(open, minority);
    this.#hosts.heal();
    await until(async () => /role:slave[^]*master_link_status:up/.test(await master.ask('INFO replication')));
    await this.#cluster.isWhole();
    await this.#moreAcks([minority], 50, 'of the server that was cut off');
    await this.#cluster.takeBack(master);
  }

  /** @param {Host[]} hosts @param {Side} side theirs @returns {{ acks: number, unanswered: number }} at that moment */
  #cut(hosts, side) {
    this.#hosts.cutOff(hosts);
    const unanswered = side.participants.reduce((sum, participant) => sum + participant.unanswered, 0);
    return { acks: this.#acksOf([side]), unanswered };
  }

  /**
   * Only what was under way when it was cut may have been acked since: its master and replica may have had it before. With each ack
   * the next message goes out, which no ack may follow.
   *
   * @param {{ acks: number, unanswered: number }} then
   * @param {Side} side
   */
  #onlyThose({ acks, unanswered }, side) {
    const since = this.#acksOf([side]) - acks;
    if (since > unanswered) this.problems.push(`${since} acks while cut off, only ${unanswered} were under way before`);
  }

  acked = () => this.#acksOf(this.#sides);

  async end() {
    const all = this.#sides.flatMap(({ participants }) => participants);
    for (const participant of all) participant.load(false);
    const token = await tokenOf(usersOf(this.#sides.length - 1)[0]);
    try {
      await this.#history.until(() => all.every(({ isSettled }) => isSettled), waitMs, 'all sends answered');
      const heads = await readNewest(urlOf(this.#sides[1]), token, groups);
      await this.#history.until(() => all.every((one) => one.hasReached(heads)), waitMs, 'everything delivered');
    } catch (error) {
      this.problems.push(String(/** @type {Error} */ (error).message));
    }
    const log = [];
    for (const side of this.#sides) log.push(...(await readConversations(urlOf(side), token, groups)));
    for (const { errors } of all) this.problems.push(...errors);
    // What was promoted begins a new epoch with all that was acked: seqs must be what they were.
    const events = [...this.#history.events, ...log].map((event) =>
      'epoch' in event ? { ...event, epoch: 1 } : event,
    );
    return { ...severalServers(judge(events), log), met: this.met, problems: this.problems };
  }

  async close() {
    this.#hosts.heal();
    await Promise.all(this.#sides.flatMap(({ participants }) => participants.map((one) => one.close())));
    await Promise.all(this.#sides.map(({ server }) => server.stop()));
    await this.#cluster.stop();
    this.#hosts.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

const usersOf = (/** @type {number} */ side) => Array.from({ length: usersOfEach }, (_, i) => `user${side}${i}`);

/** @param {import('./spread-cluster.js').Node} master @returns {Promise<string[]>} groups */
async function keptBy({ ask, host }) {
  const keys = (await ask('KEYS *:c:g:group*')).split('\n');
  const kept = groups.filter((conv) => keys.some((key) => key.endsWith(`:c:${conv}`)));
  if (kept.length === 0) throw new Error(`no group is kept on ${host.address}`);
  return kept;
}

const urlOf = (/** @type {Side} */ { host }) => `ws://${host.controlAddress}:${serverPort}/everyonce`;

const tokenOf = (/** @type {string} */ user) =>
  new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime('2h').sign(new TextEncoder().encode(secret)); // prettier-ignore

/** @param {number} ms */
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const isGood = (/** @type {any} */ outcome) =>
  isClean(outcome) && outcome.problems.length === 0 && outcome.acked > 0 && outcome.met.heldBack > 0;

await runCommand(
  { rounds: { least: 1, otherwise: 6 }, seed: { least: 0 } },
  async ({ rounds, seed }, progress) => {
    const started = performance.now();
    const run = new Run(seed);
    try {
      await run.begin();
      for (let round = 1; round <= rounds; round++) {
        const kind = round <= kinds.length ? kinds[round - 1] : kinds[pick(run.random, kinds.length)];
        await run.round(kind);
        progress(`round ${round} of ${rounds}: ${kind}, ${run.acked()} acked`);
      }
      const outcome = await run.end();
      return { rounds, seed, seconds: Math.round((performance.now() - started) / 100) / 10, ...outcome };
    } finally {
      await run.close();
    }
  },
  isGood,
);
