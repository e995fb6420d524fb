// A Redis Cluster over three hosts (hosts.js), a master on each, with a replica on each of the others: whichever host is cut off,
// the other two have a master and a replica of every slot.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { command, until } from '../../examples/chat/local-cluster.js';

const slots = 16_384;
/** Of the masters; the replicas of the first have the next one, and so on. */
const firstPort = 7001;

/** @typedef {import('./hosts.js').Host} Host */
/** @typedef {{ host: Host, port: number, ask: (line: string) => Promise<string> }} Node */

/** @param {Node} node */
export const isMaster = async ({ ask }) => /role:master/.test(await ask('INFO replication'));

/** @param {Node} node @returns {Promise<number>} how much it has written */
export const offsetOf = async ({ ask }) => Number(/master_repl_offset:(\d+)/.exec(await ask('INFO replication'))?.[1]);

export class SpreadCluster {
  /** Those that began as masters. @type {Node[]} */
  masters = [];
  /** Of each, at the same place. @type {Node[][]} */
  replicas = [];
  #dir;
  /** @type {import('node:child_process').ChildProcess[]} */
  #children = [];
  #onExit = () => this.#children.forEach((child) => child.kill('SIGKILL'));

  /** @param {string} dir that it may keep things in */
  constructor(dir) {
    this.#dir = dir;
    process.on('exit', this.#onExit);
  }

  get urls() {
    return this.#nodes.map(({ host, port }) => `redis://${host.address}:${port}`);
  }

  get #nodes() {
    return [...this.masters, ...this.replicas.flat()];
  }

  /** @param {Host[]} hosts three */
  async start(hosts) {
    for (const host of hosts) this.masters.push(await this.#startNode(host, firstPort));
    for (const [i, master] of this.masters.entries()) {
      const others = hosts.filter((host) => host !== master.host);
      this.replicas.push(await Promise.all(others.map((host) => this.#startNode(host, firstPort + 1 + i))));
    }
    await this.#assemble();
    await this.isWhole();
  }

  /** @param {Host} host @param {number} port @returns {Promise<Node>} */
  async #startNode(host, port) {
    const dir = join(this.#dir, `${host.link}-${port}`);
    mkdirSync(dir);
    const network = ['--port', `${port}`, '--bind', '0.0.0.0', '--protected-mode', 'no'];
    const store = ['--dir', dir, '--save', '', '--appendonly', 'yes', '--repl-diskless-sync-delay', '0'];
    const cluster = [
      '--cluster-enabled',
      'yes',
      '--cluster-announce-ip',
      host.address,
      '--cluster-node-timeout',
      '2000',
    ];
    const child = spawn(...host.command('redis-server', [...network, ...store, ...cluster]), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    for (let text = ''; !text.includes('Ready to accept connections');) text += (await once(child.stdout, 'data'))[0];
    child.stdout.resume();
    return { host, port, ask: (line) => command(port, line, host.controlAddress) };
  }

  async #assemble() {
    const nodes = this.#nodes;
    for (const [i, { ask, host, port }] of nodes.entries()) {
      await ask(`CLUSTER SET-CONFIG-EPOCH ${i + 1}`);
      const [from, to] = [i, i + 1].map((n) => Math.floor((slots * n) / this.masters.length));
      if (i < this.masters.length) await ask(`CLUSTER ADDSLOTSRANGE ${from} ${to - 1}`);
      if (i > 0) await nodes[0].ask(`CLUSTER MEET ${host.address} ${port}`);
    }
    for (const [i, replicas] of this.replicas.entries()) {
      const id = await this.masters[i].ask('CLUSTER MYID');
      // Not before it has heard of its master.
      for (const { ask } of replicas) await until(() => isTaken(ask(`CLUSTER REPLICATE ${id}`)));
    }
  }

  /** Every node knows of somebody for every slot, and every replica follows its master. */
  async isWhole() {
    for (const { ask } of this.#nodes) {
      await until(async () => /cluster_state:ok/.test(await ask('CLUSTER INFO')));
      await until(async () => /role:master|master_link_status:up/.test(await ask('INFO replication')));
    }
  }

  /** What began as a master becomes one again, without a loss. @param {Node} node a replica now */
  async takeBack(node) {
    await until(() => isTaken(node.ask('CLUSTER FAILOVER')));
    await until(() => isMaster(node));
    await this.isWhole();
  }

  async stop() {
    const gone = this.#children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit'));
    this.#onExit();
    await Promise.all(gone);
    process.off('exit', this.#onExit);
  }
}

/** @param {Promise<unknown>} answer @returns {Promise<boolean>} false: it was refused */
const isTaken = (answer) =>
  answer.then(
    () => true,
    () => false,
  );
