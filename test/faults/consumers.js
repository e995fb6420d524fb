/**
 * Two consumer processes and two server processes on a Redis Cluster, and faults while messages are published: kill -9 of a
 * consumer, of a server, of a master. Every message that was acked has its effect once in the end, in order of its
 * conversation, and none has one that was not published.
 *
 * With `--replicas 1` masters are killed for good, and replaced by their replicas, which an ack waits for.
 *
 * node test/faults/consumers.js [--rounds 30] [--seed N] [--replicas 0] [--json]
 */
import Sqlite from 'better-sqlite3';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startLocalCluster } from '../../examples/chat/local-cluster.js';
import { pick, seeded } from '../../lib/torture/random.js';
import { runCommand } from './command.js';
import { failOver } from './failover.js';
import { freePort, ServerProcess } from './server-process.js';

const CHILD = fileURLToPath(new URL('./consumer-child.js', import.meta.url));
const CONVS = ['dm:ann:bob', 'dm:ann:cid', 'dm:bob:cid', 'dm:cid:dan', 'dm:dan:eve', 'dm:bob:eve'];
const KEY = 'key-of-this-test-alone';
const GROUP = 'work';
const FAULTS = ['consumer', 'server', 'master', 'consumer', 'consumer'];
/** Conversations that one member handles at once: more can't be half done when it dies. */
const CONCURRENCY = 16;
const LEASE_MS = 1000;
const WAIT_MS = 60_000;

/** @param {any} outcome */
export const isGood = ({ findings, problems, published }) =>
  findings.length === 0 && problems.length === 0 && published > 0;

/**
 * @param {{ rounds: number, seed: number, replicas?: number, messages?: number, progress?: (line: string) => void }} options
 *   `messages`: that are published between two faults, about
 */
export async function runConsumers({ rounds, seed, replicas = 0, messages = 60, progress = () => {} }) {
  const run = new Run({ seed, replicas });
  const started = performance.now();
  try {
    await run.begin();
    for (let round = 1; round <= rounds; round++) {
      const fault = round <= FAULTS.length ? FAULTS[round - 1] : FAULTS[pick(run.random, FAULTS.length)];
      await run.round(fault, messages);
      progress(`round ${round} of ${rounds}: ${fault}, ${run.published()} published, ${run.effects()} effects`);
    }
    await run.end();
  } catch (error) {
    run.problems.push(String(/** @type {Error} */ (error).message));
  }
  const told = run.judge();
  await run.close();
  return { rounds, seed, seconds: Math.round((performance.now() - started) / 100) / 10, ...told };
}

class Run {
  /** @type {string[]} */
  problems = [];
  #directory = mkdtempSync(join(tmpdir(), 'everyonce-consumers-'));
  #replicas;
  /** @type {ServerProcess[]} */
  #servers = [];
  /** @type {import('node:child_process').ChildProcess[]} */
  #consumers = [];
  /** How many of each conversation are acked. @type {Map<string, number>} */
  #acked = new Map(CONVS.map((conv) => [conv, 0]));
  #kills = 0;
  #isLoading = true;
  /** @type {Promise<void>[]} */
  #publishers = [];

  constructor({ seed, replicas }) {
    this.random = seeded(seed);
    this.#replicas = replicas;
    this.file = join(this.#directory, 'effects.db');
    this.database = new Sqlite(this.file, { timeout: 20_000 });
    this.database.pragma('journal_mode = WAL');
    this.database.exec(`CREATE TABLE tried (id TEXT NOT NULL);
      CREATE TABLE effect (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, conv TEXT, number INTEGER)`);
  }

  published = () => [...this.#acked.values()].reduce((sum, count) => sum + count, 0);
  effects = () => /** @type {any} */ (this.database.prepare('SELECT count(*) AS count FROM effect').get()).count;

  async begin() {
    const fsync = this.#replicas === 0 ? 'always' : 'everysec';
    const options = { masters: 3, replicas: this.#replicas, flags: ['--appendfsync', fsync] };
    this.cluster = await startLocalCluster(options);
    const durability = this.#replicas === 0 ? [] : ['--durability', `replicas=${this.#replicas}`];
    const args = ['--service-key', KEY, ...durability];
    for (let i = 0; i < 2; i++) {
      this.#servers.push(new ServerProcess({ redis: this.cluster.urls, port: await freePort(this.random), args }));
    }
    await Promise.all(this.#servers.map((server) => server.start()));
    for (let i = 0; i < 2; i++) this.#consumers.push(await this.#startConsumer());
    this.#publishers = CONVS.map((conv) => this.#publishTo(conv));
  }

  async #startConsumer() {
    const redis = { nodes: this.cluster?.urls, cluster: true };
    const orders = JSON.stringify({ redis, group: GROUP, file: this.file, leaseMs: LEASE_MS });
    const child = fork(CHILD, [orders], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const gone = once(child, 'exit').then(([code]) => Promise.reject(new Error(`a consumer ended (${code})`)));
    gone.catch(() => {});
    await Promise.race([once(child, 'message'), gone]);
    return child;
  }

  /** One after the other; what was not answered is asked for again, anywhere, under its key. @param {string} conv */
  async #publishTo(conv) {
    for (let number = 1; this.#isLoading; number++) {
      const body = JSON.stringify({ conv, from: conv.split(':')[1], body: { number } });
      const headers = { authorization: `Bearer ${KEY}`, 'idempotency-key': `${conv}-${number}` };
      for (let tries = 0; !(await this.#post(body, headers, tries)); tries++) {
        if (!this.#isLoading) return; // not acked: it may be there or not, and is not counted
        await new Promise((resolve) => setTimeout(resolve, 20)); // or a server that is down is asked all the time
      }
      this.#acked.set(conv, number);
    }
  }

  /** @param {string} body @param {Record<string, string>} headers @param {number} tries */
  async #post(body, headers, tries) {
    const { port } = this.#servers[(tries + body.length) % this.#servers.length];
    try {
      const url = `http://127.0.0.1:${port}/everyonce/publish`;
      const answer = await fetch(url, {
        method: 'POST',
        body,
        headers: { ...headers, 'content-type': 'application/json' },
      });
      const text = await answer.text();
      if (answer.ok) return true;
      if (answer.status !== 503 && answer.status !== 429) throw new Error(`publish: ${answer.status} ${text}`);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch's own: no connection
    }
    return false;
  }

  /** @param {() => boolean} question @param {string} what */
  async #until(question, what) {
    const end = performance.now() + WAIT_MS;
    while (!question()) {
      if (performance.now() > end) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 20)), Promise.all(this.#publishers)]);
    }
  }

  /** @param {string} fault @param {number} messages */
  async round(fault, messages) {
    const wanted = this.published() + 1 + pick(this.random, messages);
    const handled = this.effects() + 1 + pick(this.random, messages);
    await this.#until(() => this.published() >= wanted, `acks before the fault "${fault}"`);
    await this.#until(() => this.effects() >= handled, `effects before the fault "${fault}"`);
    const cluster = /** @type {import('../../examples/chat/local-cluster.js').LocalCluster} */ (this.cluster);
    if (fault === 'consumer') {
      const at = pick(this.random, this.#consumers.length);
      const gone = once(this.#consumers[at], 'exit');
      this.#consumers[at].kill('SIGKILL');
      this.#kills += 1;
      await gone;
      this.#consumers[at] = await this.#startConsumer();
    } else if (fault === 'server') {
      const server = this.#servers[pick(this.random, this.#servers.length)];
      await server.kill();
      await server.start();
    } else if (this.#replicas > 0) {
      await failOver(cluster, this.random);
    } else {
      const node = cluster.nodes[pick(this.random, cluster.nodes.length)];
      await node.kill();
      await node.start();
    }
  }

  async end() {
    this.#isLoading = false;
    await Promise.all(this.#publishers);
    const missing = () => [...this.#acked].some(([conv, count]) => this.#numbersOf(conv).length < count);
    await this.#until(() => !missing(), 'all effects');
    const gone = this.#consumers.map((child) => once(child, 'exit'));
    for (const child of this.#consumers) child.disconnect();
    for (const [code] of await Promise.all(gone)) if (code !== 0) this.problems.push(`a consumer ended with ${code}`);
    this.#consumers = [];
  }

  /** @param {string} conv @returns {number[]} in the order in which they had their effects */
  #numbersOf(conv) {
    const rows = this.database.prepare('SELECT number FROM effect WHERE conv = ? ORDER BY place').all(conv);
    return rows.map((row) => /** @type {any} */ (row).number);
  }

  judge() {
    const findings = [];
    for (const [conv, acked] of this.#acked) {
      const numbers = this.#numbersOf(conv);
      // One more may have been stored whose answer nobody got.
      const good = numbers.length === acked || numbers.length === acked + 1;
      if (!good) findings.push({ rule: 'lost', conv, acked, effects: numbers.length });
      const at = numbers.findIndex((number, i) => number !== i + 1);
      if (at !== -1) findings.push({ rule: 'order', conv, at, numbers: numbers.slice(Math.max(0, at - 2), at + 3) });
    }
    const { tries } = /** @type {any} */ (this.database.prepare('SELECT count(*) AS tries FROM tried').get());
    const repeats = tries - this.effects();
    // What is noted as handled outlives everything but a failover that lost a tail; half done is what a kill found.
    if (this.#replicas === 0 && repeats > this.#kills * CONCURRENCY) findings.push({ rule: 'repeats', repeats });
    return { published: this.published(), kills: this.#kills, repeats, findings, problems: this.problems };
  }

  async close() {
    this.#isLoading = false;
    for (const child of this.#consumers) child.kill('SIGKILL');
    await Promise.allSettled(this.#publishers);
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.cluster?.stop();
    this.database.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runCommand(
    { rounds: { least: 1, otherwise: 30 }, seed: { least: 0 }, replicas: { least: 0, otherwise: 0 } },
    (numbers, progress) => runConsumers({ ...numbers, progress }),
    isGood,
  );
}
