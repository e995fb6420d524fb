// What the tests of `everyonce migrate` share.
import { spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer as createTcpServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { run as everyonce } from '../../../lib/cli/run.js';
import { createServer } from '../../../lib/server/server.js';
import { redisCluster } from '../../support/redis.js';
import { LIMITS } from './random-history.js';
import { onCleanUp } from './servers.js';

const BIN = fileURLToPath(new URL('../../../bin/everyonce.js', import.meta.url));

/** Starts `everyonce` with these arguments. @returns what it said, when it has ended, with its exit code */
export function run(...args) {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...said }));
  onCleanUp(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, ended };
}

/** `everyonce migrate` to its end, in this process, which begins sooner. */
export async function migrateTo(data, to, ...more) {
  const said = { out: '', err: '' };
  const say = { out: (line) => (said.out += `${line}\n`), err: (line) => (said.err += `${line}\n`) };
  const code = await everyonce(['migrate', '--from', data, '--to', to, '--yes', ...more], say);
  return { code, ...said };
}

/** Moves, and gives what was counted. */
export async function migrate(data, to) {
  const { code, out, err } = await migrateTo(data, to, '--json');
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

/** A server in this process, that the test stops, or cleanUp. */
export async function start({ port = 0, ...options }) {
  const server = createServer({ insecure: true, limits: LIMITS, dedup: { tokens: 'accepted' }, ...options });
  onCleanUp(() => server.close());
  const listening = await server.listen(port);
  return Object.assign(server, { port: listening.port });
}

/** @returns {Promise<string[]>} the masters of a Cluster without a key */
export async function emptyCluster() {
  const { ports, nodes } = await redisCluster();
  for (const port of ports) {
    const node = new Redis(port, '127.0.0.1');
    await node.flushall();
    node.disconnect();
  }
  return nodes;
}

/**
 * Stands before a Redis and passes on so many bytes of what it is told; then nothing more until it is to go on.
 *
 * @param {number | (() => number)} port asked for with each connection
 * @param {number} bytes
 * @param {string} [before] stops before this word, too; the first time
 * @returns {Promise<{ url: string, stuck: Promise<void>, goOn: (bytes?: number) => void }>} `stuck` when there was more;
 *   `goOn` for so many more, or for good
 */
export async function stoppingProxy(port, bytes, before) {
  let left = bytes;
  /** @type {() => void} */
  let stop = () => {};
  const wait = () => new Promise((resolve) => (stop = () => resolve(undefined)));
  const sockets = new Set();
  /** @type {[import('node:net').Socket, Buffer][]} */
  const kept = [];
  const pass = (far, chunk) => {
    const at = before === undefined ? -1 : chunk.indexOf(before);
    if (at >= 0) left = Math.min(left, at);
    const passed = Math.min(chunk.length, Math.max(0, left));
    if (passed > 0) far.write(chunk.subarray(0, passed));
    if (passed < chunk.length) kept.push([far, chunk.subarray(passed)]);
    left -= chunk.length;
    if (left < 0) stop();
  };
  const proxy = createTcpServer((near) => {
    const far = connect(typeof port === 'function' ? port() : port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    near.on('data', (chunk) => pass(far, chunk));
    far.pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroySoon());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onCleanUp(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const { port: own } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
  const door = { url: `redis://127.0.0.1:${own}`, stuck: wait(), goOn };
  return door;

  function goOn(more = Infinity) {
    before = undefined;
    left = more;
    door.stuck = wait();
    for (const [far, chunk] of kept.splice(0)) pass(far, chunk);
  }
}
