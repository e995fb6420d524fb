// Redis for tests: one server per test process, and Clusters.
import { Redis } from 'ioredis';
import { directoryFor, startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

const SLOTS = 16384;

/** @type {Promise<number> | undefined} */
let server;
/** By how many masters they have. @type {Map<number, Promise<number[]>>} */
const clusters = new Map();

/** @param {...string} flags @returns {Promise<number>} its port */
async function start(...flags) {
  const directory = directoryFor('redis', {});
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory, ...flags];
  await startDaemon({ command: 'redis-server', args, directory, ready: /Ready to accept connections/ });
  return port;
}

/** @returns {Promise<{ host: string, port: number }>} */
export async function redisServer() {
  server ??= start();
  return { host: '127.0.0.1', port: await server };
}

/**
 * @param {number} [masters]
 * @returns {Promise<{ ports: number[], nodes: string[] }>} masters that serve all slots, and nothing else
 */
export async function redisCluster(masters = 3) {
  const cluster = clusters.get(masters) ?? startCluster(masters);
  clusters.set(masters, cluster);
  const ports = await cluster;
  return { ports, nodes: ports.map((port) => `redis://127.0.0.1:${port}`) };
}

/** @param {number} masters @returns {Promise<number[]>} their ports */
async function startCluster(masters) {
  const ports = [];
  while (ports.length < masters) {
    const bus = await freePort();
    ports.push(
      await start('--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '60000'),
    );
  }
  const nodes = ports.map((port) => new Redis(port, '127.0.0.1'));
  try {
    for (const [i, node] of nodes.entries()) {
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * SLOTS) / masters));
      await node.call('CLUSTER', 'ADDSLOTSRANGE', from, to - 1);
      await node.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      const bus = String(await node.call('CONFIG', 'GET', 'cluster-port')).split(',')[1];
      if (i > 0) await nodes[0].call('CLUSTER', 'MEET', '127.0.0.1', ports[i], bus);
    }
    // Each tells when it has heard of all.
    for (const node of nodes) {
      const joined = new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${masters}\\b`);
      while (!joined.test(String(await node.call('CLUSTER', 'INFO')))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  } finally {
    for (const node of nodes) node.disconnect();
  }
  return ports;
}
