/** The servers that are measured, each in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const startMs = 20_000;
const stopMs = 20_000;
const file = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {(data: string) => string[]} args of node
 * @property {boolean} counts whether it tells its groups and syncs at /everyonce/metrics
 */

const serve = (/** @type {string} */ data) => {
  return [file('../bin/everyonce.js'), 'serve', '--port', '0', '--insecure', '--rate', '0', '--data', data];
};

/** @type {Record<string, Target>} */
export const targets = {
  relay: { name: 'bare ws relay', args: () => [file('relay.js')], counts: false },
  disk: { name: 'everyonce, disk', args: (data) => serve(data), counts: true },
  memory: { name: 'everyonce, memory', args: (data) => [...serve(data), '--durability', 'memory'], counts: true },
};

/**
 * Starts a server, calls `use`, and takes the server and its data away again.
 *
 * @template T
 * @param {Target} target
 * @param {{ dir: string, nodeArgs?: string[] }} options `dir`: where its data directory is made
 * @param {(server: { port: number, pid: number }) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withTarget({ name, args }, { dir, nodeArgs = [] }, use) {
  const data = mkdtempSync(join(dir, 'everyonce-bench-'));
  const child = spawn(process.execPath, [...nodeArgs, ...args(join(data, 'data'))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), startMs);
  try {
    let port = 0;
    for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
      port = Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(String(text))?.[1] ?? 0);
      if (port > 0) break;
    }
    if (port === 0) throw new Error(`${name} did not start`);
    clearTimeout(timer);
    child.stdout.resume();
    return await use({ port, pid: child.pid ?? 0 });
  } finally {
    clearTimeout(timer);
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await gone;
    clearTimeout(killer);
    rmSync(data, { recursive: true, force: true });
  }
}
