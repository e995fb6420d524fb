/** Rounds of kill -9: clients under load, a server (and clients) killed at random moments, and the judge at the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, FileOutbox, MemoryOutbox } from '../../lib/index.js';
import { History } from '../../lib/checker/history.js';
import { isClean, judge } from '../../lib/checker/judge.js';
import { ClientProcess } from './client-process.js';
import { Participant } from '../../lib/torture/participant.js';
import { pick, seeded } from '../../lib/torture/random.js';
import { readHeads, readLog } from '../../lib/torture/read-log.js';
import { freePort, ServerProcess } from './server-process.js';

const group = 'g:everyone';
/** How long the acks of a round, and the draining at the end, may take on a busy machine. */
const ackMs = 60_000;
const drainMs = 60_000;
const askEveryMs = 25;

/**
 * @typedef {object} RoundsOptions
 * @property {number} rounds
 * @property {number} seed
 * @property {number} [users] two at least; the last two are processes of their own
 * @property {number} [acks] of a round before its kill, at most
 * @property {(line: string) => void} [progress] one line a round
 *
 * @typedef {import('../../lib/checker/judge.js').Verdict & { rounds: number, seed: number, serverKills: number, clientKills: number,
 *   connections: number, peakBytes: number, seconds: number, problems: string[] }} Outcome `problems`: what went wrong beside the four
 *   counts; `peakBytes`: the most memory that the server's last life had
 */

/** @param {Outcome} outcome */
export const isGood = (outcome) => isClean(outcome) && outcome.problems.length === 0 && outcome.acked > 0;

/** @param {RoundsOptions} options @returns {Promise<Outcome>} */
export async function runRounds({ rounds, seed, users = 6, acks = 150, progress = () => {} }) {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-kill-'));
  const clean = () => rmSync(dir, { recursive: true, force: true });
  const random = seeded(seed);
  const server = new ServerProcess({ data: join(dir, 'data'), port: await freePort(random) });
  // After the server's own listener, which kills it.
  process.on('exit', clean);
  const run = new Run({ server, dir, random, seed, users });
  const started = performance.now();
  try {
    await server.start();
    await run.begin();
    for (let round = 1; round <= rounds; round++) {
      await run.round(acks);
      progress(`round ${round} of ${rounds}: ${run.describe()}`);
    }
    const verdict = await run.end();
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    return { rounds, seed, ...run.counts(), seconds, ...verdict };
  } finally {
    await run.close();
    await server.kill().catch(() => {});
    await server.stop();
    process.off('exit', clean);
    clean();
  }
}

class Run {
  /** @type {string[]} */
  problems = [];
  #server;
  #dir;
  #random;
  #seed;
  #history = new History();
  /** @type {string[]} */
  #users;
  /** @type {Participant[]} */
  #here = [];
  /** @type {ClientProcess[]} */
  #children = [];
  #acks = 0;
  #peakBytes = 0;

  /** @param {{ server: ServerProcess, dir: string, random: () => number, seed: number, users: number }} options */
  constructor({ server, dir, random, seed, users }) {
    this.#server = server;
    this.#dir = dir;
    this.#random = random;
    this.#seed = seed;
    this.#users = Array.from({ length: users }, (_, index) => `user${index + 1}`);
  }

  async begin() {
    const [first] = this.#users;
    await this.#createGroup(first);
    const children = this.#users.slice(-2);
    for (const user of this.#users) {
      const convs = [this.#pairOf(user), group];
      const options = { url: this.#server.url, user, device: `${user}-a`, convs };
      if (children.includes(user)) {
        this.#children.push(
          new ClientProcess({ ...options, dir: this.#dir, seed: this.#seed + this.#children.length * 1000 }),
        );
      } else this.#add({ ...options, outbox: new FileOutbox({ dir: join(this.#dir, user) }) });
    }
    // A second device of one user: it gets what the first one sends, too.
    const second = { url: this.#server.url, user: first, device: `${first}-b`, convs: [this.#pairOf(first), group] };
    this.#add({ ...second, outbox: new MemoryOutbox() });
    for (const participant of this.#all()) participant.load(true);
  }

  /** One round: load, a kill at a random moment, a restart. @param {number} acks */
  async round(acks) {
    const before = this.#acked();
    const kind = pick(this.#random, 10);
    const wanted = before + 1 + pick(this.#random, acks);
    if (kind > 1) await this.#history.until(() => this.#acked() >= wanted, ackMs, 'acks since the restart');
    await wait(this.#random() * 60);
    if (pick(this.#random, 3) === 0) await this.#killClient();
    await this.#server.kill();
    if (kind === 0) {
      // Killed once more while it recovers.
      const starting = this.#server.spawn();
      await wait(this.#random() * 250);
      if (starting.exitCode === null) await this.#server.kill();
    }
    if (pick(this.#random, 6) === 0) await this.#killClient();
    await this.#server.start();
  }

  /** Lets everything drain, kills once more to see that it stays so, and judges. */
  async end() {
    for (const participant of this.#all()) participant.load(false);
    await this.#drained('after the load');
    await this.#server.kill();
    await this.#server.start();
    for (const participant of this.#all()) participant.sendOnce();
    await this.#drained('after the last restart');
    const log = [];
    for (const user of this.#users) log.push(...(await readLog(this.#server.url, user)));
    await this.close();
    this.#peakBytes = this.#server.peakBytes;
    const code = await this.#server.stop();
    if (code !== 0) this.problems.push(`the server ended with ${code} after SIGTERM`);
    for (const { errors } of this.#all()) this.problems.push(...errors);
    const verdict = judge([...this.#history.events, ...this.#children.flatMap((child) => child.events()), ...log]);
    return { ...verdict, problems: this.problems };
  }

  describe() {
    const { serverKills, clientKills } = this.counts();
    return `${this.#acked()} acked in this process, ${serverKills} kills of the server, ${clientKills} of clients`;
  }

  counts() {
    const sum = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);
    return {
      serverKills: this.#server.kills,
      clientKills: sum(this.#children.map(({ kills }) => kills)),
      connections: sum(this.#all().map(({ connections }) => connections)),
      peakBytes: this.#peakBytes,
    };
  }

  async close() {
    await Promise.all(this.#all().map((participant) => participant.close()));
  }

  /** @returns {(Participant | ClientProcess)[]} */
  #all() {
    return [...this.#here, ...this.#children];
  }

  /** @param {Omit<import('../../lib/torture/participant.js').ParticipantOptions, 'history' | 'random'>} options */
  #add(options) {
    const random = seeded(this.#seed + 100 + this.#here.length);
    const participant = new Participant({ ...options, history: this.#history, random });
    this.#here.push(participant);
    participant.start();
  }

  /** @param {string} user @returns {string} its conversation with the one beside it */
  #pairOf(user) {
    const index = this.#users.indexOf(user);
    const other = this.#users[index % 2 === 0 ? Math.min(index + 1, this.#users.length - 1) : index - 1];
    // The last of an odd number talks to the first.
    const [a, b] = [user, other === user ? this.#users[0] : other].sort();
    return `dm:${a}:${b}`;
  }

  /** @param {string} creator */
  async #createGroup(creator) {
    const client = new Client({ url: this.#server.url, token: creator });
    await client.connect();
    await client.createConversation(group, this.#users.slice(1));
    await client.close();
  }

  async #killClient() {
    await this.#children[pick(this.#random, this.#children.length)].killAndRestart();
  }

  /** Acks seen in this process. */
  #acked() {
    const { events } = this.#history;
    // Counted on from where the last look ended: the history only grows.
    for (; this.#counted < events.length; this.#counted++) if (events[this.#counted].op === 'ack') this.#acks += 1;
    return this.#acks;
  }
  #counted = 0;

  /** Everything sent is answered, and everybody has everything. What does not come is the judge's to name. @param {string} when */
  async #drained(when) {
    const deadline = performance.now() + drainMs;
    const here = this.#here;
    try {
      await this.#history.until(() => here.every(({ isSettled }) => isSettled), drainMs, `all sends answered ${when}`);
      await this.#childrenAre(deadline, {}, ({ isSettled }) => isSettled, `all sends of the children answered ${when}`);
      const heads = await this.#heads();
      const all = () => here.every((participant) => participant.hasReached(heads));
      await this.#history.until(all, drainMs, `everything delivered ${when}`);
      await this.#childrenAre(
        deadline,
        heads,
        ({ isThere }) => isThere,
        `everything delivered to the children ${when}`,
      );
    } catch (error) {
      this.problems.push(String(/** @type {Error} */ (error).message));
    }
  }

  /**
   * @param {number} deadline
   * @param {Record<string, number>} heads
   * @param {(state: { isSettled: boolean, isThere: boolean }) => boolean} isDone
   * @param {string} what
   */
  async #childrenAre(deadline, heads, isDone, what) {
    for (const child of this.#children) {
      while (!isDone(await child.ask(heads))) {
        if (performance.now() > deadline) throw new Error(`not within ${drainMs} ms: ${what}`);
        await wait(askEveryMs);
      }
    }
  }

  /** @returns {Promise<Record<string, number>>} the newest seq of every conversation */
  async #heads() {
    const heads = await Promise.all(this.#users.map((user) => readHeads(this.#server.url, user)));
    return Object.assign({}, ...heads);
  }
}

/** @param {number} ms */
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
