// The example chat as a process of its own, on a free port and a data directory that is gone afterwards.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../../examples/chat/server.js', import.meta.url));

/** Processes that run, so that a failing test leaves none behind. @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class ChatServer {
  /** Where the page is; the same after a restart. */
  url = '';
  port = 0;
  data = mkdtempSync(join(tmpdir(), 'everyonce-chat-'));
  /** Everything it has printed. */
  output = '';
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  /** @type {Promise<number | null>} */
  #ended = Promise.resolve(null);

  /** Resolves when it accepts connections. */
  async start() {
    const env = { ...process.env, PORT: String(this.port), HOST: '127.0.0.1', DATA: this.data };
    const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    this.#ended = new Promise((resolve) =>
      child.once('exit', (code) => {
        running.delete(child);
        resolve(code);
      }),
    );
    await new Promise((resolve, reject) => {
      const listen = (/** @type {Buffer} */ chunk) => {
        this.output += chunk;
        const found = /listening on http:\/\/localhost:(\d+)/.exec(this.output);
        if (!found) return;
        this.port = Number(found[1]);
        this.url = `http://127.0.0.1:${this.port}`;
        resolve(undefined);
      };
      child.stdout.on('data', listen);
      child.stderr.on('data', listen);
      this.#ended.then((code) => reject(new Error(`the server ended with ${code}: ${this.output}`)));
    });
    return this;
  }

  /** @param {NodeJS.Signals} signal @returns {Promise<number | null>} its exit code, when it is gone */
  async stop(signal = 'SIGTERM') {
    this.#child?.kill(signal);
    const code = await this.#ended;
    this.output = '';
    return code;
  }

  /** Ends it and forgets its data. */
  async remove() {
    await this.stop('SIGKILL');
    rmSync(this.data, { recursive: true, force: true });
  }
}
