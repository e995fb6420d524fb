/** `everyonce serve` as a process of its own that can be killed and started again on the same data and port. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../bin/everyonce.js', import.meta.url));
/** Recovery of a store that was killed, on a busy machine. */
const startMs = 20_000;
/** Below the range that outgoing connections take their ports from: a client could connect to itself while the server is down. */
const ports = { first: 20_000, count: 12_000 };
const portTries = 100;

/**
 * @param {() => number} random 0 to 1
 * @returns {Promise<number>} a port that nobody listens on
 */
export async function freePort(random) {
  for (let tries = 0; tries < portTries; tries++) {
    const port = ports.first + Math.floor(random() * ports.count);
    const probe = createServer();
    const isFree = await new Promise((resolve) => {
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => probe.close(() => resolve(undefined)));
    return port;
  }
  throw new Error('no free port');
}

export class ServerProcess {
  kills = 0;
  #store;
  #args;
  #env;
  #host;
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  #said = '';
  // A run that is given up must not leave a server behind.
  #onExit = () => void this.#child?.kill('SIGKILL');

  /**
   * @param {{ data?: string, redis?: string[], port: number, args?: string[], env?: Record<string, string>, host?: import('./hosts.js').Host }}
   *   options `redis`: URLs, in place of `data`; `args`: more flags of `serve`; `host`: where it runs, then `args` say who may come in
   */
  constructor({ data, redis, port, args = [], env = {}, host }) {
    this.#host = host;
    this.#env = env;
    this.port = port;
    this.#store = redis ? ['--redis', redis.join(',')] : ['--data', String(data)];
    this.#args = args;
    process.on('exit', this.#onExit);
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/everyonce`;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** The most memory that this life of it has had; 0: not known here. */
  get peakBytes() {
    try {
      return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      return 0;
    }
  }

  /** Begins to start, without waiting for the port. */
  spawn() {
    const wayIn = this.#host ? [] : ['--insecure'];
    const flags = ['--port', String(this.port), ...this.#store, ...wayIn, '--rate', '0', ...this.#args];
    const args = [command, 'serve', ...flags];
    const child = spawn(...(this.#host?.command(process.execPath, args) ?? [process.execPath, args]), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    this.#said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => (this.#said = (this.#said + text).slice(-4000)));
    }
    return child;
  }

  /** @returns {Promise<void>} when it accepts connections */
  async start() {
    const child = this.spawn();
    const isListening = () => this.#said.includes('everyonce listening on');
    await new Promise((resolve, reject) => {
      const fail = (/** @type {string} */ why) =>
        reject(new Error(`the server ${why}: ${this.#said || 'it said nothing'}`));
      const timer = setTimeout(() => fail(`did not listen within ${startMs} ms`), startMs);
      child.stdout?.on('data', () => isListening() && resolve(clearTimeout(timer)));
      child.once('exit', (code, signal) => (clearTimeout(timer), fail(`ended with ${signal ?? code}`)));
    });
  }

  /** kill -9 @returns {Promise<void>} when the process is gone */
  async kill() {
    const child = this.#child;
    if (!child) return;
    this.#child = null;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the server had ended by itself with ${child.signalCode ?? child.exitCode}: ${this.#said}`);
    }
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    this.kills += 1;
    await gone;
  }

  /** SIGTERM @returns {Promise<number | null>} its exit code */
  async stop() {
    const child = this.#child;
    process.off('exit', this.#onExit);
    if (!child) return null;
    this.#child = null;
    if (child.exitCode !== null) return child.exitCode;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const [code] = await gone;
    return code;
  }
}
