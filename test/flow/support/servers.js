// Real servers for flow tests: in this process, or as `everyonce serve` in one of its own. All are closed, and their
// directories removed, after each test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createServer } from '../../../lib/server/server.js';

const BIN = fileURLToPath(new URL('../../../bin/everyonce.js', import.meta.url));

/** @type {(() => unknown)[]} */
let cleanups = [];

/** To be called in afterEach. */
export async function cleanUp() {
  const all = cleanups.reverse();
  cleanups = [];
  for (const cleanup of all) await cleanup();
}

/** @param {() => unknown} cleanup called by cleanUp, last added first */
export function onCleanUp(cleanup) {
  cleanups.push(cleanup);
}

/** A directory of its own, removed afterwards. */
export function makeDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'everyonce-flow-'));
  onCleanUp(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Where set, to a Redis that is the tests' own: what has no directory of its own is kept there, each time from nothing. */
const REDIS = process.env.EVERYONCE_FLOW_REDIS;

/** @param {import('../../../lib/server/options.js').ServerOptions} options */
async function onRedis({ data: _data, memory: _memory, ...options }) {
  const { port } = new URL(/** @type {string} */ (REDIS));
  const socket = connect(Number(port), '127.0.0.1');
  socket.write('FLUSHALL\r\n');
  await once(socket, 'data');
  socket.destroy();
  return { redis: REDIS, ...options };
}

/**
 * A server in this process, on a free port.
 *
 * @param {import('../../../lib/server/options.js').ServerOptions} [options] over: insecure, data in a new directory
 */
export async function startServer(options = {}) {
  const wayIn = options.authenticate || options.jwtSecret || options.jwks ? {} : { insecure: true };
  const inRedis = REDIS !== undefined && options.data === undefined && options.redis === undefined;
  const data = options.memory || inRedis ? undefined : join(makeDirectory(), 'data');
  const store = inRedis ? await onRedis(options) : { data, ...options };
  const server = createServer({ ...wayIn, ...store });
  onCleanUp(() => server.close());
  const { port } = await server.listen(0);
  return Object.assign(server, { port });
}

/**
 * `everyonce serve` with these flags, in a process of its own; killed afterwards if it still lives.
 *
 * @param {...string} flags
 */
export function spawnServer(...flags) {
  const child = spawn(process.execPath, [BIN, 'serve', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const exited = once(child, 'close').then(([code, signal]) => ({ code, signal, ...said }));
  onCleanUp(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => (said.out += `${line}\n`));
  /** Resolves with the port, or rejects with what it said instead. */
  const listening = new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const port = /^everyonce listening on http:\/\/\S+:(\d+)$/.exec(line)?.[1];
      if (port) resolve(Number(port));
    });
    exited.then((end) => reject(new Error(`it ended: ${JSON.stringify(end)}`)));
  });
  listening.catch(() => {});
  return { child, exited, listening };
}
