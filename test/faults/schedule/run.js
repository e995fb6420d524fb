/** Runs schedules (plan.js) against a real server that is killed between and in the midst of them, and judges the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileOutbox } from '../../../lib/index.js';
import { History } from '../../../lib/checker/history.js';
import { isClean, judge } from '../../../lib/checker/judge.js';
import { Participant } from '../../../lib/torture/participant.js';
import { pick, seeded } from '../../../lib/torture/random.js';
import { freePort, ServerProcess } from '../server-process.js';
import { Device } from './device.js';
import { convOf, operations } from './operations.js';
import { clientConvs, clientUser, groups, plan, users } from './plan.js';
import { readStore, unreadOf } from './store.js';

/** Operations that wait in all devices together: few, so that what is done meets what was done just before. */
const mostPending = 6;
const mostDevices = 9;
/** How long quiet may take to come on a busy machine. */
const quietMs = 20_000;
/** Heads go out once a second at most; more on a busy machine. */
const toldMs = 8000;
/** How often that is looked at. */
const lookMs = 10;

/**
 * @typedef {{ rounds: number, seed: number, steps?: number, progress?: (line: string) => void }} ScheduleOptions
 * @typedef {import('../../../lib/checker/judge.js').Verdict & { rounds: number, seed: number, kills: number, devices: number,
 *   connections: number, stored: number, seconds: number, met: Record<string, number>, problems: string[] }} Outcome
 */

/** @param {Outcome} outcome */
export const isGood = (outcome) => isClean(outcome) && outcome.problems.length === 0 && outcome.acked > 0;

/** @param {ScheduleOptions} options @returns {Promise<Outcome>} */
export async function runSchedules({ rounds, seed, steps = 400, progress = () => {} }) {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-schedule-'));
  const clean = () => rmSync(dir, { recursive: true, force: true });
  const data = join(dir, 'data');
  // A small window, so that devices fall behind.
  const args = ['--window', '24'];
  const server = new ServerProcess({ data, port: await freePort(seeded(seed)), args });
  process.on('exit', clean);
  const started = performance.now();
  const run = new Run(server, seed);
  try {
    await run.begin(join(dir, 'outbox'));
    for (let round = 1; round <= rounds && run.problems.length === 0; round++) {
      await run.round(round, steps);
      progress(`round ${round} of ${rounds}: ${run.history.events.length} events`);
    }
    const { verdict, stored } = await run.end(data);
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    return {
      rounds,
      seed,
      kills: server.kills,
      ...run.counts(),
      stored,
      seconds,
      met: run.met,
      problems: run.problems,
      ...verdict,
    };
  } finally {
    await run.close();
    await server.stop();
    process.off('exit', clean);
    clean();
  }
}

class Run {
  history = new History();
  /** @type {string[]} */
  problems = [];
  /** @type {Device[]} */
  #devices = [];
  #server;
  #seed;
  /** @type {Participant | undefined} */
  #client;
  /** @type {Promise<void>} */
  #up = Promise.resolve();
  #quiet;
  /** How often each rare thing happened: a workload that never meets it tests nothing of it. @type {Record<string, number>} */
  met = {};

  /** @param {ServerProcess} server @param {number} seed */
  constructor(server, seed) {
    this.#server = server;
    this.#seed = seed;
    this.#quiet = seeded(seed + 1);
  }

  /** @param {string} outbox directory of the shipped client's */
  async begin(outbox) {
    await this.#server.start();
    const ann = this.#add('ann');
    await ann.enqueue(async () => {
      for (const conv of groups)
        await ann.ask({
          t: 'create',
          conv,
          members: [...users, clientUser],
          history: conv === groups[0] ? 'all' : undefined,
        });
    });
    for (const user of ['ann', 'bob', 'bob', 'cyd', 'cyd']) this.#add(user);
    this.#client = new Participant({
      ...{ url: this.#server.url, user: clientUser, device: `${clientUser}-1`, convs: clientConvs },
      ...{ history: this.history, outbox: new FileOutbox({ dir: outbox }), random: seeded(this.#seed + 2) },
    });
    this.#client.start();
  }

  /** @param {number} round @param {number} count */
  async round(round, count) {
    const steps = plan({ seed: this.#seed, round, steps: count });
    const killAt = pick(this.#quiet, count);
    for (const [index, step] of steps.entries()) {
      // What went wrong already is not waited for again and again.
      if (this.problems.length > 0) return;
      if (index === killAt) await this.#kill();
      await this.#until(() => this.#pending() < mostPending, 'operations done');
      this.#do(step);
    }
    await this.#becomeQuiet(`in round ${round}`);
  }

  /** @param {string} data */
  async end(data) {
    const views = this.problems.length > 0 ? [] : await this.#rest();
    await this.close();
    const code = await this.#server.stop();
    if (code !== 0) this.problems.push(`the server ended with ${code} after SIGTERM`);
    const log = await readStore(data).catch((error) => {
      this.problems.push(`the store can't be read: ${error.code} ${error.message}`);
      return null;
    });
    if (!log) return { verdict: judge([]), stored: 0 };
    this.#checkViews(views, log);
    return { verdict: judge([...this.history.events, ...log]), stored: log.length };
  }

  /** Everything is taken, and stays so over one more kill. */
  async #rest() {
    await this.#drain();
    await this.#kill();
    await this.#becomeQuiet('after the last kill');
    // Nothing is left to come, and what was acked before the kill is acked.
    await this.#drain();
    return this.#views();
  }

  counts() {
    const connections = this.#devices.reduce((sum, { pe }) => sum + pe, 0);
    return { devices: this.#devices.length, connections };
  }

  async close() {
    for (const device of this.#devices) device.connection?.close();
    await this.#client?.close();
  }

  /** @param {string} user */
  #add(user) {
    const { history, problems } = this;
    const name = `${user}-${this.#devices.filter((each) => each.user === user).length + 1}`;
    const isUp = () => this.#up;
    const isOver = () => problems.length > 0;
    const problem = (/** @type {string} */ text) => void problems.push(text);
    const met = (/** @type {string} */ what) => void (this.met[what] = (this.met[what] ?? 0) + 1);
    const device = new Device({ url: this.#server.url, user, name, history, isUp, isOver, met, problem });
    this.#devices.push(device);
    return device;
  }

  /** @param {import('./plan.js').Step} step */
  #do(step) {
    if (step.op === 'client') return this.#client?.sendOnce();
    if (step.op === 'newDevice') {
      if (this.#devices.length < mostDevices) this.#add(users[step.a % users.length]).enqueue(() => {});
      return;
    }
    const owners = this.#devices.filter(({ user }) => {
      if (step.op === 'add' || step.op === 'remove') return user === 'ann';
      return step.op === 'leave' ? user !== 'ann' : true;
    });
    const device = owners[step.device % owners.length];
    void device.enqueue(() => operations[step.op](device, step, convOf(step, device.user)));
  }

  /** kill -9 in the midst of what is going on, and a start on what is left. */
  async #kill() {
    let isUp = () => {};
    this.#up = new Promise((resolve) => (isUp = () => resolve(undefined)));
    // The shipped client has something on its way as well.
    for (let i = 0; i < 3; i++) this.#client?.sendOnce();
    await this.#server.kill();
    await this.#server.start();
    isUp();
  }

  #pending() {
    return this.#devices.reduce((sum, { pending }) => sum + pending, 0);
  }

  /** All is answered, and every device that is connected was told of all that is there. @param {string} when */
  async #becomeQuiet(when) {
    // A device that sends what it kept is asked until all of it is answered; others may wake it meanwhile.
    const isSettled = () =>
      this.#devices.every(({ senders }) => [...senders.values()].every((each) => each.isSettled)) &&
      this.#client?.isSettled === true;
    await this.#until(() => this.#pending() === 0, `operations done ${when}`);
    for (const device of this.#devices) await device.enqueue((each) => each.settled());
    await this.#until(isSettled, `all sends answered ${when}`);
    await this.#clientHasAll(when);
    for (const device of this.#devices) {
      await device.enqueue(async () => {
        /** @type {Map<string, number>} */
        const heads = new Map();
        await device.countsOf(({ conv, head }) => heads.set(conv, head));
        const { connection } = device;
        // Heads go out once a second at most.
        const isTold = () => [...heads].every(([conv, head]) => device.receiver(conv).told >= head);
        await this.#until(() => isTold() || device.connection !== connection || !connection?.isOpen, '', toldMs);
        if (device.connection !== connection || !connection?.isOpen) return;
        for (const [conv, to] of heads) {
          const { told } = device.receiver(conv);
          this.history.record({ op: 'told', user: device.user, device: device.name, conv, seq: told, to });
        }
      });
    }
  }

  /** The shipped client's handler was given everything, as far as another user's device knows it. @param {string} when */
  async #clientHasAll(when) {
    const [ann] = this.#devices;
    /** @type {Record<string, number>} */
    const heads = {};
    await ann.enqueue(() => ann.countsOf(({ conv, head }) => (heads[conv] = head)));
    await this.#until(() => this.#client?.hasReached(heads) === true, `the client given all ${when}`);
    this.problems.push(...(this.#client?.errors.splice(0) ?? []));
  }

  /** Every device takes and acks all that there is for it. */
  async #drain() {
    for (const device of this.#devices) await device.enqueue((each) => each.drain());
  }

  async #views() {
    /** @type {{ device: Device, total: number, views: any[] }[]} */
    const all = [];
    for (const device of this.#devices) {
      await device.enqueue(async () => {
        /** @type {any[]} */
        const views = [];
        const total = await device.countsOf((view) => views.push(view));
        const marks = await device.ask({ t: 'resume', at: Object.fromEntries(views.map(({ conv, epoch, got }) => [conv, [epoch, got]])) }); // prettier-ignore
        for (const view of views)
          view.read = marks.convs.find((/** @type {any} */ { conv }) => conv === view.conv)?.read;
        all.push({ device, total, views });
      });
    }
    return all;
  }

  /** Counts and marks at the end are what the log says. @param {{ device: Device, total: number, views: any[] }[]} all @param {import('../../../lib/checker/history.js').HistoryEvent[]} log */
  #checkViews(all, log) {
    for (const { device, total, views } of all) {
      const sum = views.reduce((each, { unread }) => each + unread, 0);
      if (sum !== total) device.problem(`counts say ${total} in total and ${sum} one by one`);
      for (const { conv, head, got, read, unread } of views) {
        const stored = log.filter((event) => event.conv === conv);
        const wanted = unreadOf(stored, device.user, read);
        if (unread !== wanted) device.problem(`${conv}: ${unread} unread, the log says ${wanted} past ${read}`);
        if (got < head) device.problem(`${conv}: all was taken up to ${head}, and acked up to ${got}`);
      }
    }
  }

  /** @param {() => boolean} condition @param {string} what empty: it is the caller's to look @param {number} [limitMs] */
  async #until(condition, what, limitMs = quietMs) {
    for (const end = performance.now() + limitMs; !condition();) {
      if (performance.now() > end) {
        if (what) this.problems.push(`not within ${limitMs} ms: ${what}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }
}
