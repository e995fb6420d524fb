// A Cluster of two masters, one with a replica, each master behind a door (stoppingProxy) that clients are told the address of.
// Nothing is promoted by itself.
import { Redis } from 'ioredis';
import { freePort } from '../../support/free-port.js';
import { stoppingProxy } from './migrating.js';
import { startRedis } from './redis.js';
import { onCleanUp } from './servers.js';

/** @typedef {Awaited<ReturnType<typeof startNode>>} Node */

/** @param {string[]} flags @param {{ bytes?: number, before?: string }} [door] */
async function startNode(flags, { bytes = Infinity, before } = {}) {
  const bus = await freePort();
  let port = 0;
  const door = await stoppingProxy(() => port, bytes, before);
  const announced = Number(new URL(door.url).port);
  const redis = await startRedis(
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    `${bus}`,
    '--cluster-node-timeout',
    '60000',
    '--cluster-announce-port',
    `${announced}`,
    '--repl-diskless-sync-delay',
    '0',
    ...flags,
  );
  port = redis.port;
  const link = new Redis(port, '127.0.0.1', { retryStrategy: () => 20 });
  link.on('error', () => {}); // it is killed on purpose
  onCleanUp(() => link.disconnect());
  return { ...redis, bus, announced, door, link };
}

/** @param {() => Promise<boolean>} question */
export async function until(question) {
  while (!(await question())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * @param {object} [options]
 * @param {string[]} [options.flags] of every redis-server
 * @param {{ bytes?: number, before?: string }} [options.one] where the door of this master stops
 * @param {{ bytes?: number, before?: string }} [options.other]
 * @returns {Promise<{ one: Node, other: Node, replica: Node, nodes: string[], cut: () => Promise<void>,
 *   promote: () => Promise<void>, goAround: () => Promise<void> }>} `one` has the replica, `other` the slot of the migration's
 *   mark. `cut`: nothing comes to the replica any more; `promote`: it takes over, whatever it has; `goAround`: clients are
 *   told of the masters themselves, since a server that starts in this process waits while no door here can open
 */
export async function failingCluster({ flags = [], one: doorOfOne, other: doorOfOther } = {}) {
  const login = ['--masteruser', 'replica', '--masterauth', 'secret'];
  const [one, other, replica] = [
    await startNode(flags, doorOfOne),
    await startNode(flags, doorOfOther),
    await startNode([...flags, ...login]),
  ];
  await one.link.call('ACL', 'SETUSER', 'replica', 'on', '>secret', '+psync', '+replconf', '+ping');
  const mark = Number(await one.link.call('CLUSTER', 'KEYSLOT', 'eo:{migration}:state'));
  const halves = mark < 8192 ? [8192, 16383, 0, 8191] : [0, 8191, 8192, 16383];
  await one.link.call('CLUSTER', 'ADDSLOTSRANGE', halves[0], halves[1]);
  await other.link.call('CLUSTER', 'ADDSLOTSRANGE', halves[2], halves[3]);
  for (const [i, node] of [one, other, replica].entries()) {
    await node.link.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
    if (node !== one) await one.link.call('CLUSTER', 'MEET', '127.0.0.1', node.port, node.bus);
  }
  const id = String(await one.link.call('CLUSTER', 'MYID'));
  await until(async () => String(await replica.link.call('CLUSTER', 'NODES')).includes(id));
  await replica.link.call('CLUSTER', 'REPLICATE', id);
  const isWhole = (told) => /cluster_state:ok[^]*cluster_known_nodes:3\b/.test(String(told));
  for (const { link } of [one, other, replica]) await until(async () => isWhole(await link.call('CLUSTER', 'INFO')));
  await until(async () => /state=online/.test(await one.link.info('replication')));
  const goAround = async () => {
    const alive = [one, other, replica].filter(({ link }) => link.status === 'ready');
    for (const { link } of alive) await link.config('SET', 'cluster-announce-port', '0');
    const told = async ({ link }) => JSON.stringify(await link.call('CLUSTER', 'SLOTS'));
    const isKnown = async (node) => {
      const text = await told(node);
      return !alive.some(({ announced }) => text.includes(`${announced}`));
    };
    for (const node of alive) await until(() => isKnown(node));
  };
  return {
    one,
    other,
    replica,
    goAround,
    nodes: [one, other, replica].map(({ url }) => url),
    cut: async () => void (await one.link.call('ACL', 'DELUSER', 'replica')),
    promote: async () => {
      await replica.link.call('CLUSTER', 'FAILOVER', 'TAKEOVER');
      await until(async () => /role:master/.test(await replica.link.info('replication')));
    },
  };
}
