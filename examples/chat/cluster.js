// `npm start -- --cluster`: the example chat as it runs when one machine is not enough, all on this one: a throw-away
// Redis Cluster of three masters with a replica each, two server processes over it, and a door in front that leads to
// whichever of them lives. Kill any one of them and watch.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startLocalCluster } from './local-cluster.js';

const SERVERS = 2;
const START_AGAIN_MS = 3_000;
const program = fileURLToPath(new URL('server.js', import.meta.url));

/**
 * @typedef {object} ServerProcess
 * @property {number} number 1, 2 …
 * @property {import('node:child_process').ChildProcess} child
 * @property {number} port 0: not yet, or not any more
 */

/**
 * Runs until SIGTERM or SIGINT, and removes everything then.
 *
 * @param {{ port: number, host: string }} where people come in
 * @returns {Promise<never>}
 */
export async function runCluster({ port, host }) {
  let stopping = false;
  /** @type {ServerProcess[]} */
  const servers = [];
  /** @type {import('./local-cluster.js').LocalCluster | undefined} */
  let cluster;
  /** @param {number} code */
  const stop = async (code) => {
    if (stopping) return;
    stopping = true;
    await Promise.all(servers.map(({ child }) => endOf(child)));
    await cluster?.stop();
    process.exit(code);
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(0));
  /** @param {string} message */
  const fail = (message) => {
    console.error(message);
    return stop(1);
  };

  console.log('Starting a Redis Cluster: three masters, three replicas …');
  try {
    cluster = await startLocalCluster({ masters: 3, replicas: 1 });
  } catch (/** @type {any} */ error) {
    await fail(`No Cluster: ${error.message}`);
  }
  if (stopping) await cluster.stop();
  const urls = cluster?.urls ?? [];

  /** @param {number} number */
  const start = async (number) => {
    const server = { number, child: spawnServer(urls), port: 0 };
    servers[number - 1] = server;
    server.child.once('exit', () => {
      server.port = 0;
      if (stopping) return;
      console.log(`server ${number} (pid ${server.child.pid}) is gone; the other one goes on. A new one in 3 s.`);
      setTimeout(() => void (stopping || start(number)), START_AGAIN_MS);
    });
    server.port = await portOf(server.child);
    if (server.port > 0) console.log(`server ${number}   pid ${server.child.pid}   http://${host}:${server.port}`);
  };
  for (let number = 1; number <= SERVERS; number++) await start(number);
  const door = createServer((socket) => lead(socket, servers));
  door.on('error', (/** @type {any} */ error) => {
    if (error.code !== 'EADDRINUSE') return fail(`Can't listen on ${host}:${port}: ${error.message}`);
    return fail(`Port ${port} is in use. Choose another: PORT=${port + 1} npm start -- --cluster`);
  });
  door.listen(port, host, () => {
    for (const node of cluster?.nodes ?? []) {
      console.log(`${node.master ? 'master ' : 'replica'}    pid ${node.pid}   127.0.0.1:${node.port}`);
    }
    console.log('Open the address below in two windows and write. Then, in a terminal:');
    console.log(
      `  kill -9 ${servers[0].child.pid}   a server: its windows come back at the other, nothing is lost or twice`,
    );
    console.log(
      `  kill -9 ${cluster?.nodes[0].pid}   a master: what it kept waits some seconds until its replica takes over`,
    );
    const { port: taken } = /** @type {import('node:net').AddressInfo} */ (door.address());
    console.log(`everyonce listening on http://${host === '127.0.0.1' ? 'localhost' : host}:${taken}`);
  });
  return new Promise(() => {});
}

/** @param {string[]} urls */
function spawnServer(urls) {
  const env = { ...process.env, REDIS: urls.join(','), PORT: '0', HOST: '127.0.0.1' };
  // It ends with us: the channel closes, however we end.
  return spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>} where it listens; 0: it ended instead
 */
function portOf(child) {
  return new Promise((resolve) => {
    child.once('exit', () => resolve(0));
    createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) }).on('line', (line) => {
      const port = /^everyonce listening on http:\/\/\S+:(\d+)$/.exec(line)?.[1];
      if (port) resolve(Number(port));
    });
  });
}

/** @param {import('node:child_process').ChildProcess} child */
async function endOf(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

let turn = 0;

/**
 * Leads a connection to a server that lives, in turn; what a load balancer does.
 *
 * @param {import('node:net').Socket} socket
 * @param {{ port: number }[]} servers port 0: not there
 */
export function lead(socket, servers) {
  const living = servers.filter(({ port }) => port > 0);
  const ports = living.map((_, i) => living[(turn + i) % living.length].port);
  turn += 1;
  socket.on('error', () => socket.destroy());
  const next = () => {
    const port = ports.shift();
    if (port === undefined || socket.destroyed) return void socket.destroy();
    const there = connect(port, '127.0.0.1');
    let led = false;
    there.once('connect', () => {
      led = true;
      socket.pipe(there);
      there.pipe(socket);
    });
    // One that has just died takes no connections: then the other one.
    there.on('error', () => led || next());
    there.on('close', () => led && socket.destroy());
    socket.on('close', () => there.destroy());
    return undefined;
  };
  next();
}
