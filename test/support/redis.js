// Redis for tests: one server per test process, and one Cluster of three masters.
import { Redis } from 'ioredis';
import { directoryFor, startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

const MASTERS = 3;
const SLOTS = 16384;

/** @type {Promise<number> | undefined} */
let server;
/** @type {Promise<number[]> | undefined} */
let cluster;

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

/** @returns {Promise<{ ports: number[], nodes: string[] }>} masters that serve all slots, and nothing else */
export async function redisCluster() {
  cluster ??= (async () => {
    const ports = [];
    while (ports.length < MASTERS) {
      const bus = await freePort();
      ports.push(
        await start('--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '60000'),
      );
    }
    const nodes = ports.map((port) => new Redis(port, '127.0.0.1'));
    try {
      for (const [i, node] of nodes.entries()) {
        const [from, to] = [i, i + 1].map((n) => Math.floor((n * SLOTS) / MASTERS));
        await node.call('CLUSTER', 'ADDSLOTSRANGE', from, to - 1);
        await node.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
        const bus = String(await node.call('CONFIG', 'GET', 'cluster-port')).split(',')[1];
        if (i > 0) await nodes[0].call('CLUSTER', 'MEET', '127.0.0.1', ports[i], bus);
      }
      // Each tells when it has heard of all.
      for (const node of nodes) {
        while (!/cluster_state:ok[^]*cluster_known_nodes:3/.test(String(await node.call('CLUSTER', 'INFO')))) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    } finally {
      for (const node of nodes) node.disconnect();
    }
    return ports;
  })();
  const ports = await cluster;
  return { ports, nodes: ports.map((port) => `redis://127.0.0.1:${port}`) };
}
