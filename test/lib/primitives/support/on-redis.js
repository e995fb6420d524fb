// Redis as a primitive's store in tests: one server, and a Cluster; and time that passes when a test says so.
import { Redis } from 'ioredis';
import { redisCluster, redisServer } from '../../../support/redis.js';

/** What has passed is taken off all that is stored, since the clock of Redis itself can't be set. */
const PASS = `
  local ms = tonumber(ARGV[1])
  for _, key in ipairs(redis.call('KEYS', 'eo:{k*}:c:*')) do
    local left, lease = redis.call('PTTL', key), redis.call('HGET', key, 'lu')
    if lease then redis.call('HSET', key, 'lu', string.format('%.0f', tonumber(lease) - ms)) end
    if left <= ms then redis.call('DEL', key) else redis.call('PEXPIRE', key, left - ms) end
  end
  local all = redis.call('HGETALL', 'eo:{workers}:snowflakes')
  for i = 1, #all, 2 do
    local front, lease, used, reserved, back = string.match(all[i + 1], '^(%S+ %d+ %d+) (%d+) (%d+) (%d+) (%d+)$')
    if lease then
      local function less(at) return string.format('%.0f', math.max(0, at - ms)) end
      local parts = {front, less(lease), less(used), less(reserved), back}
      redis.call('HSET', 'eo:{workers}:snowflakes', all[i], table.concat(parts, ' '))
    end
  end`;

/** @typedef {{ store: any, ports: number[], advance: (ms: number) => Promise<void>, close: () => void }} Place */

/** @param {any} store @param {number[]} ports @returns {Place} */
function place(store, ports) {
  const nodes = ports.map((port) => new Redis(port, '127.0.0.1'));
  return {
    store,
    ports,
    async advance(ms) {
      // Both scripts run wherever the keys are.
      for (const node of nodes) await node.eval(PASS, 0, ms).catch(onlyForeign);
    },
    close: () => nodes.forEach((node) => node.disconnect()),
  };
}

/** A node that does not serve the workers' slot. @param {any} error */
function onlyForeign(error) {
  if (!/non local key/.test(error.message)) throw error;
}

/** @type {Record<string, () => Promise<Place>>} */
export const PLACES = {
  async Redis() {
    const { port } = await redisServer();
    return place({ redis: `redis://127.0.0.1:${port}` }, [port]);
  },
  async 'a Redis Cluster'() {
    const { ports, nodes } = await redisCluster();
    return place({ redis: { nodes: nodes.slice(0, 2), cluster: true } }, ports);
  },
};
