// A master of a local Cluster dies and is replaced, or stands still.
import { command, until, whole } from '../../examples/chat/local-cluster.js';
import { pick } from '../../lib/torture/random.js';

/** @typedef {import('../../examples/chat/local-cluster.js').ClusterNode} ClusterNode */
/** @typedef {import('../../examples/chat/local-cluster.js').LocalCluster} LocalCluster */

/** @param {ClusterNode} node */
const isMaster = async ({ port }) => /role:master/.test(await command(port, 'INFO replication'));

/** @param {ClusterNode[]} nodes all alive @returns {Promise<ClusterNode[]>} those that are masters now */
export async function mastersOf(nodes) {
  const masters = [];
  for (const node of nodes) if (await isMaster(node)) masters.push(node);
  return masters;
}

/**
 * A master dies, its replica takes over, and what was the master comes back as the replica of that.
 *
 * @param {LocalCluster} cluster
 * @param {() => number} random
 */
export async function failOver(cluster, random) {
  const masters = await mastersOf(cluster.nodes);
  const dead = masters[pick(random, masters.length)];
  const rest = cluster.nodes.filter((node) => node !== dead);
  await dead.kill();
  await until(async () => (await mastersOf(rest)).length === masters.length);
  await dead.start();
  await until(async () => /master_link_status:up/.test(await command(dead.port, 'INFO replication')));
  await whole(cluster.nodes);
}

/**
 * A master stands still (SIGSTOP) for so long, and goes on. Above the time-out of the Cluster its replica takes over; it does not
 * know that when it wakes up, finds commands that were sent to it, and hears of it a moment later.
 *
 * @param {LocalCluster} cluster
 * @param {() => number} random
 * @param {number} ms
 * @returns {Promise<boolean>} whether it was replaced
 */
export async function standStill(cluster, random, ms) {
  const masters = await mastersOf(cluster.nodes);
  const still = masters[pick(random, masters.length)];
  process.kill(still.pid, 'SIGSTOP');
  try {
    await new Promise((resolve) => setTimeout(resolve, ms));
  } finally {
    process.kill(still.pid, 'SIGCONT');
  }
  await whole(cluster.nodes);
  await until(async () => (await mastersOf(cluster.nodes)).length === masters.length);
  await replicated(cluster.nodes);
  return !(await isMaster(still));
}

/** Waits until every replica has what its master had at the time of the call. @param {ClusterNode[]} nodes */
export async function replicated(nodes) {
  for (const { port } of nodes) {
    const told = await command(port, 'INFO replication');
    if (/role:slave/.test(told)) {
      await until(async () => /master_link_status:up/.test(await command(port, 'INFO replication')));
      continue;
    }
    const wanted = Number(/master_repl_offset:(\d+)/.exec(told)?.[1]);
    await until(async () => {
      const replicas = [...(await command(port, 'INFO replication')).matchAll(/slave\d+:.*offset=(\d+)/g)];
      return replicas.every(([, offset]) => Number(offset) >= wanted);
    });
  }
}
