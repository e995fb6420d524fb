// A master of a local Cluster dies and is replaced.
import { command, until, whole } from '../../examples/chat/local-cluster.js';
import { pick } from '../../lib/torture/random.js';

/**
 * A master dies, its replica takes over, and what was the master comes back as the replica of that.
 *
 * @param {import('../../examples/chat/local-cluster.js').LocalCluster} cluster
 * @param {() => number} random
 */
export async function failOver(cluster, random) {
  const isMaster = async (/** @type {{ port: number }} */ { port }) =>
    /role:master/.test(await command(port, 'INFO replication'));
  const masters = [];
  for (const node of cluster.nodes) if (await isMaster(node)) masters.push(node);
  const dead = masters[pick(random, masters.length)];
  const rest = cluster.nodes.filter((node) => node !== dead);
  await dead.kill();
  await until(async () => (await Promise.all(rest.map(isMaster))).filter(Boolean).length === masters.length);
  await dead.start();
  await until(async () => /master_link_status:up/.test(await command(dead.port, 'INFO replication')));
  await whole(cluster.nodes);
}
