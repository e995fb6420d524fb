/**
 * A server process under load while something is wrong with its machine: participants that send all the time, over a proxy,
 * trouble that a test makes, and the judge at the end.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { History } from '../../lib/checker/history.js';
import { isClean, judge } from '../../lib/checker/judge.js';
import { Client, MemoryOutbox } from '../../lib/index.js';
import { ChaosProxy } from '../../lib/torture/chaos-proxy.js';
import { Participant } from '../../lib/torture/participant.js';
import { seeded } from '../../lib/torture/random.js';
import { readHeads, readLog } from '../../lib/torture/read-log.js';
import { freePort, ServerProcess } from './server-process.js';

const users = ['ann', 'bob', 'cid'];
const group = 'g:everyone';
const drainMs = 60_000;
const ackMs = 60_000;
/** Unanswered messages of the prober, where it is to write much. */
const inFlight = 32;

export class Troubled {
  history = new History();
  /** @type {Participant[]} */
  participants = [];
  /** @type {WebSocket | undefined} */
  prober;
  #clean;

  /** @param {{ seed: number, env?: Record<string, string>, data?: string }} options `data`: where the store is; default: in `dir` */
  constructor({ seed, env, data }) {
    this.random = seeded(seed);
    this.seed = seed;
    this.dir = mkdtempSync(join(tmpdir(), 'everyonce-trouble-'));
    this.#clean = () => rmSync(this.dir, { recursive: true, force: true });
    process.on('exit', this.#clean);
    this.options = { env, data: data ?? join(this.dir, 'data') };
  }

  async begin() {
    const port = await freePort(this.random);
    this.server = new ServerProcess({ ...this.options, port });
    await this.server.start();
    this.proxy = new ChaosProxy({ host: '127.0.0.1', port, random: this.random });
    const near = await this.proxy.listen();
    const creator = new Client({ url: this.server.url, token: users[0] });
    await creator.connect();
    await creator.createConversation(group, users.slice(1));
    await creator.close();
    for (const [index, user] of users.entries()) {
      const [a, b] = [user, users[(index + 1) % users.length]].sort();
      const [c, d] = [user, users[(index + 2) % users.length]].sort();
      const participant = new Participant({
        url: `ws://127.0.0.1:${near}/everyonce`,
        user,
        device: `${user}-a`,
        outbox: new MemoryOutbox(),
        history: this.history,
        convs: [group, `dm:${a}:${b}`, `dm:${c}:${d}`],
        random: seeded(this.seed + index),
      });
      this.participants.push(participant);
      participant.start();
      participant.load(true);
    }
  }

  get acks() {
    const { events } = this.history;
    // Counted on from where the last look ended: the history only grows.
    for (; this.#counted < events.length; this.#counted++) if (events[this.#counted].op === 'ack') this.#acks += 1;
    return this.#acks;
  }
  #acks = 0;
  #counted = 0;

  /** Waits for so many more acks. @param {number} more */
  async moreAcks(more) {
    const wanted = this.acks + more;
    await this.history.until(() => this.acks >= wanted, ackMs, `${more} more acks`);
  }

  /**
   * Sends, beside the participants, until the server has said so often that the store is unavailable.
   *
   * @param {number} times
   * @param {number} [bytes] of each of these messages
   * @returns {Promise<number>} how many of these messages it acked meanwhile
   */
  async untilUnavailable(times, bytes = 1) {
    const body = 'x'.repeat(bytes);
    const prober = await this.#proberNow();
    let acked = 0;
    let refused = 0;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(new Error(`${refused} of ${times} refusals in ${ackMs} ms`)), ackMs);
      const end = (/** @type {Error} */ error) => {
        clearTimeout(timer);
        prober.removeAllListeners('message').removeAllListeners('close');
        if (error) reject(error);
        else resolve(undefined);
      };
      const send = () => prober.send(JSON.stringify({ t: 'send', conv: 'dm:prober:zed', id: randomUUID(), body }));
      prober.on('close', (code) => end(new Error(`the prober was closed with ${code}`)));
      prober.on('message', (data) => {
        for (const { t, code } of [JSON.parse(String(data))].flat()) {
          if (t === 'ack') acked += 1;
          else if (t === 'nack' && code === 'unavailable') refused += 1;
          else continue;
          if (refused >= times) return end();
          send();
        }
      });
      for (let i = 0; i < (bytes > 1 ? inFlight : 1); i++) send();
    });
    return acked;
  }

  /** Connected before the trouble: a store that can't write lets nobody new in. @returns {Promise<WebSocket>} */
  async #proberNow() {
    if (this.prober?.readyState === WebSocket.OPEN) return this.prober;
    const prober = new WebSocket(/** @type {ServerProcess} */ (this.server).url, 'everyonce.v1');
    this.prober = prober;
    prober.on('error', () => {});
    await once(prober, 'open');
    prober.send(JSON.stringify({ t: 'hello', v: 1, device: randomUUID(), pe: 1, token: 'prober' }));
    await once(prober, 'message');
    return prober;
  }

  /** To be called while all is well. */
  async readyToProbe() {
    await this.#proberNow();
  }

  /** Everything comes true, and is judged. @returns {Promise<{ ok: boolean, text: string, problems: string[], verdict: import('../../lib/checker/judge.js').Verdict }>} */
  async end() {
    this.proxy?.calm();
    for (const participant of this.participants) participant.load(false);
    /** @type {string[]} */
    const problems = [];
    const { url } = /** @type {ServerProcess} */ (this.server);
    try {
      const isSettled = () => this.participants.every((one) => one.isSettled);
      await this.history.until(isSettled, drainMs, 'all sends answered');
      const heads = Object.assign({}, ...(await Promise.all(users.map((user) => readHeads(url, user)))));
      const isThere = () => this.participants.every((one) => one.hasReached(heads));
      await this.history.until(isThere, drainMs, 'everything delivered');
    } catch (error) {
      problems.push(String(error));
    }
    const log = [];
    for (const user of users) log.push(...(await readLog(url, user)));
    const verdict = judge([...this.history.events, ...log]);
    for (const { errors } of this.participants) problems.push(...errors);
    const { findings, ...counts } = verdict;
    const text = JSON.stringify({ seed: this.seed, ...counts, problems, findings: findings.slice(0, 10) }, null, 1);
    return { ok: isClean(verdict) && problems.length === 0 && verdict.acked > 0, text, problems, verdict };
  }

  async close() {
    await Promise.all(this.participants.map((participant) => participant.close()));
    this.prober?.terminate();
    await this.proxy?.close();
    await this.server?.kill().catch(() => {});
    await this.server?.stop();
    process.off('exit', this.#clean);
    this.#clean();
  }
}
