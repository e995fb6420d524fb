// npm run bench -- redis: what a message costs the process that stores it in Redis, and Redis itself: the native log as a
// server's engine thread drives it, beside ioredis that calls the same script, on one Redis and on Clusters.
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { parseArgs, promisify } from 'node:util';
import { Cluster, Redis } from 'ioredis';
import { luaScripts } from '../scripts/embed-lua.mjs';
import { build, isBuilt, outputOf } from '../scripts/lib/native.mjs';
import { stopDaemons } from '../test/support/daemon.js';
import { redisCluster, redisServer } from '../test/support/redis.js';
import { describeMachine } from './machine.js';

const PARTITIONS = 1024;
const body = JSON.stringify({ text: 'x'.repeat(100) });

/**
 * Of publish.lua, for one message without n; see its header. Keys of one partition, as the native side would name them but for
 * the hash that says which.
 *
 * @param {string} run
 * @param {number} i
 * @param {number} conversations
 */
function argumentsOf(run, i, conversations) {
  const conv = `dm:alice:bob${i % conversations}`;
  const partition = `eo:{p${(i % conversations) % PARTITIONS}}:`;
  const names = [
    'k',
    'g',
    'f',
    `c:${conv}`,
    `l:${conv}`,
    `m:${conv}`,
    `p:${conv}`,
    `o:${conv}:alice`,
    `b:${conv}:alice:server`,
  ];
  const id = `${run}-${i}`;
  const keys = [...names, `w:alice:${id}`].map((name) => partition + name);
  const mid = String(382_830_472_415_150_080n + BigInt(i));
  const send = ['d', 'alice', 'server', '0', '0', '0', id, 'text', body, mid, '113-1-1', '', '', '0', ''];
  return { keys, argv: [String(Date.now()), '1838429283604656', '86400000', '0', ...send] };
}

/** @param {import('ioredis').Redis} node @returns {Promise<number>} µs of processor time that the server has used */
async function serverCpu(node) {
  const info = await node.info('cpu');
  const seconds = ['used_cpu_sys', 'used_cpu_user'].map((name) => Number(new RegExp(`${name}:(.*)`).exec(info)?.[1]));
  return 1e6 * (seconds[0] + seconds[1]);
}

/**
 * @typedef {object} Cost µs per message
 * @property {number} client processor time of the process that stores
 * @property {number} server processor time of all Redis servers
 * @property {number} wall
 */

/**
 * @param {string[]} nodes
 * @param {() => Promise<{ client: number, wall: number }>} run
 * @param {number} messages
 * @returns {Promise<Cost>}
 */
async function measure(nodes, run, messages) {
  const clients = nodes.map((url) => new Redis(url));
  const cpu = async () => (await Promise.all(clients.map(serverCpu))).reduce((sum, one) => sum + one, 0);
  try {
    const before = await cpu();
    const cost = await run();
    return { ...cost, server: ((await cpu()) - before) / messages };
  } finally {
    for (const client of clients) client.disconnect();
  }
}

/** @param {string[]} nodes @param {boolean} isCluster @param {{ messages: number, conversations: number, group: number }} load */
async function native(nodes, isCluster, { messages, conversations, group }) {
  const program = outputOf('everyonce_bench', 'Release');
  const args = [messages, group, conversations, isCluster ? 1 : 0, ...nodes].map(String);
  const { stdout } = await promisify(execFile)(program, args);
  const { cpuUs, wallUs } = JSON.parse(stdout);
  return { client: cpuUs / messages, wall: wallUs / messages };
}

let runs = 0;
/** @param {string[]} nodes @param {boolean} isCluster @param {{ messages: number, conversations: number, group: number }} load */
async function ioredis(nodes, isCluster, { messages, conversations, group }) {
  const client = isCluster ? new Cluster(nodes) : new Redis(nodes[0]);
  const publish = luaScripts().find(({ name }) => name === 'publish');
  for (const url of nodes) {
    const node = new Redis(url);
    await node.script('LOAD', publish?.text ?? '');
    node.disconnect();
  }
  const run = `ioredis-${process.pid}-${++runs}`;
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < messages; i = next++) {
      const { keys, argv } = argumentsOf(run, i, conversations);
      const [[answer]] = /** @type {string[][]} */ (
        await client.evalsha(publish?.sha1 ?? '', keys.length, ...keys, ...argv)
      );
      if (answer !== 'OK') throw new Error(`refused: ${answer}`);
    }
  };
  const cpu = process.cpuUsage();
  const started = performance.now();
  // As many at once as the native side has.
  await Promise.all(Array.from({ length: 4 * group }, worker));
  const { user, system } = process.cpuUsage(cpu);
  client.disconnect();
  return { client: (user + system) / messages, wall: (1000 * (performance.now() - started)) / messages };
}

/** @param {Cost[]} costs @returns {Cost} of each figure the median */
function median(costs) {
  const of = (/** @type {keyof Cost} */ name) =>
    costs.map((cost) => cost[name]).sort((a, b) => a - b)[costs.length >> 1];
  return { client: of('client'), server: of('server'), wall: of('wall') };
}

/** @param {string[]} args */
export async function redis(args) {
  const { values: flags } = parseArgs({
    args,
    options: {
      messages: { type: 'string', default: '20000' },
      rounds: { type: 'string', default: '5' },
      group: { type: 'string', default: '64' },
      json: { type: 'boolean', default: false },
    },
  });
  const [messages, rounds, group] = [flags.messages, flags.rounds, flags.group].map(Number);
  const fits = (/** @type {number} */ value, /** @type {number} */ most) =>
    Number.isInteger(value) && value >= 1 && value <= most;
  if (!fits(messages, 10_000_000) || !fits(rounds, 1000) || !fits(group, 10_000)) {
    console.error('bench: --messages is from 1 to 10000000, --rounds from 1 to 1000, --group from 1 to 10000');
    process.exit(2);
  }
  if (!isBuilt('everyonce_bench', 'Release')) await build('everyonce_bench', 'Release');
  const places = [
    { name: 'one Redis', nodes: [await redisServer()].map(({ host, port }) => `redis://${host}:${port}`) },
  ];
  for (const masters of [1, 2, 3]) {
    places.push({
      name: `Cluster, ${masters} master${masters > 1 ? 's' : ''}`,
      nodes: (await redisCluster(masters)).nodes,
    });
  }
  const contests = places.flatMap(({ name, nodes }, i) => {
    const isCluster = i > 0;
    /** @param {typeof native} way @param {number} conversations */
    const entry = (way, conversations) => ({
      place: name,
      nodes,
      conversations,
      way: way === native ? 'everyonce' : 'ioredis',
      run: () => way(nodes, isCluster, { messages, conversations, group }),
      costs: /** @type {Cost[]} */ ([]),
    });
    return isCluster
      ? [entry(native, 1000)]
      : [entry(native, 1000), entry(ioredis, 1000), entry(native, 1), entry(ioredis, 1)];
  });
  for (let round = 0; round < rounds; round++) {
    for (const { nodes, run, costs } of contests) costs.push(await measure(nodes, run, messages));
  }
  await stopDaemons();
  const results = contests.map(({ place, conversations, way, costs }) => ({
    place,
    conversations,
    way,
    ...median(costs),
  }));
  const machine = describeMachine(tmpdir());
  if (flags.json) {
    console.log(JSON.stringify({ machine, messages, rounds, group, results }));
    return;
  }
  const { cores, cpu, memoryGiB, kernel, node } = machine;
  console.log(`machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`);
  console.log(
    `${messages} messages, ${4 * group} under way; µs per message, median of ${rounds} rounds, contenders in turn`,
  );
  console.log(`${''.padEnd(20)}${'conversations'.padEnd(15)}${''.padEnd(12)}   client CPU  Redis CPU       wall`);
  for (const { place, conversations, way, client, server, wall } of results) {
    const figures = [client, server, wall].map((us) => us.toFixed(1).padStart(11)).join('');
    console.log(`${place.padEnd(20)}${String(conversations).padEnd(15)}${way.padEnd(12)}${figures}`);
  }
}
