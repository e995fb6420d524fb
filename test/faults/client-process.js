/** The parent's side of client-child.js. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readHistory } from '../../lib/checker/history.js';

const program = fileURLToPath(new URL('client-child.js', import.meta.url));
const closeMs = 10_000;

export class ClientProcess {
  kills = 0;
  connections = 0;
  /** @type {string[]} */
  errors = [];
  #options;
  #seed;
  /** @type {import('node:child_process').ChildProcess} */
  #child;
  #isLoaded = false;

  /** @param {{ url: string, user: string, device: string, convs: string[], dir: string, seed: number }} options `dir`: of the outbox; the history lies beside it */
  constructor({ dir, seed, ...options }) {
    this.#options = { ...options, dir: join(dir, `outbox-${options.user}`), path: join(dir, `${options.user}.jsonl`) };
    this.#seed = seed;
    this.#child = this.#start();
  }

  #start() {
    // Each life has moments of its own.
    const options = { ...this.#options, seed: this.#seed + this.kills };
    return fork(program, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  /** @param {boolean} on */
  load(on) {
    this.#isLoaded = on;
    this.#child.send({ ask: on ? 'load' : 'rest' });
  }

  sendOnce() {
    this.#child.send({ ask: 'once' });
  }

  /** @param {Record<string, number>} heads @returns {Promise<{ isSettled: boolean, isThere: boolean }>} */
  async ask(heads) {
    const ended = new AbortController();
    const onExit = () => ended.abort();
    this.#child.once('exit', onExit).send({ ask: 'state', heads });
    const [{ isSettled, isThere, connections, errors }] = await once(this.#child, 'message', {
      signal: ended.signal,
    }).catch((error) => {
      throw ended.signal.aborted ? new Error('a client process ended by itself') : error;
    });
    this.#child.off('exit', onExit);
    this.connections = connections;
    this.errors = errors;
    return { isSettled, isThere };
  }

  /** kill -9, and a new process on the same outbox. */
  async killAndRestart() {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
    this.kills += 1;
    this.#child = this.#start();
    if (this.#isLoaded) this.#child.send({ ask: 'load' });
  }

  /** @returns {Promise<void>} when its process has ended */
  async close() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), closeMs);
    this.#child.send({ ask: 'close' });
    await gone;
    clearTimeout(timer);
  }

  /** @returns {import('../../lib/checker/history.js').HistoryEvent[]} of all its lives */
  events() {
    return readHistory(this.#options.path);
  }
}
