// A Redis Cluster of this machine's own, for trying things out: every node is a redis-server on a free port of loopback,
// in a temporary directory that goes with it.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SLOTS = 16_384;

/**
 * @typedef {object} ClusterNode
 * @property {number} port
 * @property {number} pid
 * @property {string} url
 * @property {boolean} master at the start
 * @property {() => Promise<void>} kill kill -9, and waits for its end
 * @property {() => Promise<void>} start again, on what it kept
 */

/**
 * @typedef {object} LocalCluster
 * @property {ClusterNode[]} nodes masters first
 * @property {string[]} urls of all nodes
 * @property {() => Promise<void>} stop ends all nodes, removes what they kept
 */

/**
 * @param {object} [options]
 * @param {number} [options.masters] 3
 * @param {number} [options.replicas] of each master; 0
 * @param {string[]} [options.flags] of every redis-server
 * @returns {Promise<LocalCluster>}
 * @throws {Error} with `code` `REDIS_SERVER_MISSING` where redis-server is not installed
 */
export async function startLocalCluster({ masters = 3, replicas = 0, flags = [] } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'everyonce-cluster-'));
  /** @type {(ClusterNode & { bus: number })[]} */
  const nodes = [];
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i < masters * (1 + replicas); i++) nodes.push(await startNode(directory, i, i < masters, flags));
    await assemble(nodes, masters);
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, urls: nodes.map((node) => node.url), stop };
}

/** @param {string} directory @param {number} index @param {boolean} master @param {string[]} flags */
async function startNode(directory, index, master, flags) {
  const [port, bus] = [await freePort(), await freePort()];
  const own = mkdtempSync(join(directory, `${index}-`));
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', own, '--save', '', '--appendonly', 'yes'];
  args.push(
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    `${bus}`,
    '--cluster-node-timeout',
    '2000',
    '--repl-diskless-sync-delay',
    '0',
    ...flags,
  );
  /** @type {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, null>} */
  let child;
  const node = {
    port,
    bus,
    pid: 0,
    url: `redis://127.0.0.1:${port}`,
    master,
    async start() {
      const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      child = started;
      const failed = new Promise((_, reject) => {
        started.once('error', (error) => reject(missing(error)));
        started.once('exit', (code) => reject(new Error(`redis-server on port ${port} ended (${code})`)));
      });
      failed.catch(() => {});
      await Promise.race([ready(started.stdout), failed]);
      started.stdout.resume();
      node.pid = Number(started.pid);
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
  await node.start();
  return node;
}

/** @param {import('node:stream').Readable} output */
async function ready(output) {
  for (let text = ''; !/Ready to accept connections/.test(text);) text += String((await once(output, 'data'))[0]);
}

/** @param {Error & { code?: string }} error */
function missing(error) {
  if (error.code !== 'ENOENT') return error;
  const told = new Error('redis-server is not installed: apt-get install redis-server (7.0 or later)');
  return Object.assign(told, { code: 'REDIS_SERVER_MISSING' });
}

/** Each master serves its share of the slots, each further node follows one of them. */
async function assemble(nodes, masters) {
  const [first] = nodes;
  for (const [i, { port, bus }] of nodes.entries()) {
    if (i < masters) {
      const from = Math.floor((SLOTS * i) / masters);
      const to = Math.floor((SLOTS * (i + 1)) / masters) - 1;
      await command(port, `CLUSTER ADDSLOTSRANGE ${from} ${to}`);
    }
    await command(port, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`);
    if (i > 0) await command(first.port, `CLUSTER MEET 127.0.0.1 ${port} ${bus}`);
  }
  const ids = await Promise.all(nodes.slice(0, masters).map(({ port }) => command(port, 'CLUSTER MYID')));
  for (const [i, { port }] of nodes.entries()) {
    if (i >= masters) await until(() => command(port, `CLUSTER REPLICATE ${ids[i % masters]}`).then(() => true, no));
  }
  await whole(nodes);
  for (const { port, master } of nodes) {
    if (!master) await until(async () => /master_link_status:up/.test(await command(port, 'INFO replication')));
  }
}

const no = () => false;

/** Waits until every node knows of somebody for every slot. @param {ClusterNode[]} nodes */
export async function whole(nodes) {
  for (const { port } of nodes) {
    await until(async () => /cluster_state:ok/.test(await command(port, 'CLUSTER INFO')));
  }
}

/**
 * Asks again until the answer is yes: nodes tell each other of everything a few times a second.
 *
 * @param {() => boolean | Promise<boolean>} question
 * @throws {Error} after 30 s
 */
export async function until(question) {
  for (let i = 0; i < 300; i++) {
    if (await question()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the Cluster did not come together in 30 s');
}

/**
 * Says one command in the inline form.
 *
 * @param {number} port
 * @param {string} line
 * @param {string} [host]
 * @returns {Promise<string>} the answer, without its marks
 * @throws {Error} with the words of an error reply
 */
export async function command(port, line, host = '127.0.0.1') {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    socket.write(`${line}\r\n`);
    let text = '';
    for await (const bytes of socket) {
      text += String(bytes);
      const answer = parse(text);
      if (answer !== undefined) return answer;
    }
    throw new Error(`no answer to ${line}`);
  } finally {
    socket.destroy();
  }
}

/**
 * @param {string} text of one reply, or the beginning of one
 * @returns {string | undefined} an array's texts one to a line, nil as an empty text; undefined: there is more to come
 */
function parse(text) {
  const lines = text.split('\r\n');
  const [first] = lines;
  if (lines.length < 2) return undefined;
  if (first.startsWith('-')) throw new Error(first.slice(1));
  const count = Number(first.slice(1));
  if (first.startsWith('*')) {
    if (lines.length < 2 * count + 2) return undefined;
    return lines.filter((_, i) => i > 0 && i % 2 === 0).join('\n');
  }
  if (!first.startsWith('$') || count < 0) return count < 0 ? '' : first.slice(1);
  return text.length >= first.length + 4 + count ? text.slice(first.length + 2, first.length + 2 + count) : undefined;
}

/**
 * Below the ports that Linux gives to connections (32768 and up), so that none takes it before it is used; at random, so that two
 * processes which look for one at the same time don't find the same.
 *
 * @returns {Promise<number>} on which nobody listens now
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer().listen(port, '127.0.0.1');
    const taken = await once(server, 'listening').then(
      () => false,
      (error) => error,
    );
    if (taken && taken.code !== 'EADDRINUSE') throw taken;
    if (taken) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/**
 * As a resharding does it: the keys go one by one, and only then the slot.
 *
 * @param {number} slot
 * @param {ClusterNode} from the master that serves it
 * @param {ClusterNode} to another master
 */
export async function moveSlot(slot, from, to) {
  const [fromId, toId] = [await command(from.port, 'CLUSTER MYID'), await command(to.port, 'CLUSTER MYID')];
  await command(to.port, `CLUSTER SETSLOT ${slot} IMPORTING ${fromId}`);
  await command(from.port, `CLUSTER SETSLOT ${slot} MIGRATING ${toId}`);
  for (;;) {
    const key = await command(from.port, `CLUSTER GETKEYSINSLOT ${slot} 1`);
    if (key === '') break;
    await command(from.port, `MIGRATE 127.0.0.1 ${to.port} ${key} 0 5000`);
  }
  await command(to.port, `CLUSTER SETSLOT ${slot} NODE ${toId}`);
  await command(from.port, `CLUSTER SETSLOT ${slot} NODE ${toId}`);
}
