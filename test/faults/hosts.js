/**
 * Hosts of a small network, each a network namespace of its own: what runs there is a process of this machine that reaches the
 * others by their addresses alone, and no more when the network between them is cut. Nothing of it is seen outside, and all of it
 * goes with the process that made it, which has a namespace of its own, too (`unshare --net node …`).
 *
 * Each host has two links: one to all others, which can be cut, and one to this process alone, which is not.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

const network = '10.77.0';
const control = '10.78';
/** Of the network as it is whole, and of what was cut out of it. */
const bridges = ['whole', 'apart'];

/** Why there can be no hosts here; undefined: there can. @returns {string | undefined} */
export function noHosts() {
  if (process.getuid?.() !== 0) return 'network namespaces can be made by root alone';
  const script = 'ip link add whole type bridge && ip link add one type veth peer name two && nsenter --version';
  const tried = spawnSync('unshare', ['--net', 'sh', '-c', script], { encoding: 'utf8' });
  if (tried.status === 0) return undefined;
  return `no network namespaces here: ${(tried.error?.message ?? tried.stderr).trim()}`;
}

/** @param {string} command @param {string[]} args */
function run(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

const ip = (/** @type {string} */ line) => run('ip', line.split(' '));

export class Host {
  /** In the network of all hosts. */
  address;
  /** Where this process reaches it. */
  controlAddress;
  link;
  #inside;

  /** @param {number} number 1 to 250 @param {number} pid of a process in its namespace */
  constructor(number, pid) {
    this.address = `${network}.${10 + number}`;
    this.controlAddress = `${control}.${number}.2`;
    this.link = `host${number}`;
    this.#inside = ['--target', String(pid), '--net'];
    ip(`link add ${this.link} type veth peer name eth0 netns ${pid}`);
    ip(`link set ${this.link} master whole up`);
    ip(`link add control${number} type veth peer name eth1 netns ${pid}`);
    ip(`addr add ${control}.${number}.1/30 dev control${number}`);
    ip(`link set control${number} up`);
    for (const line of [
      'link set lo up',
      `addr add ${this.address}/24 dev eth0`,
      'link set eth0 up',
      `addr add ${this.controlAddress}/30 dev eth1`,
      'link set eth1 up',
    ])
      this.run('ip', line.split(' '));
  }

  /** The command that runs another there. @param {string} command @param {string[]} args @returns {[string, string[]]} */
  command(command, args) {
    return ['nsenter', [...this.#inside, command, ...args]];
  }

  /** Runs it to its end. @param {string} command @param {string[]} args */
  run(command, args) {
    run(...this.command(command, args));
  }
}

export class Hosts {
  /** @type {Host[]} */
  all = [];
  /** @type {import('node:child_process').ChildProcess[]} */
  #holders = [];

  constructor() {
    ip('link set lo up');
    for (const name of bridges) {
      ip(`link add ${name} type bridge`);
      ip(`link set ${name} up`);
    }
  }

  /** @returns {Promise<Host>} */
  async add() {
    // It keeps the namespace as long as its input is open, so no longer than this process lives.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo there; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#holders.push(holder);
    await once(holder.stdout, 'data');
    const host = new Host(this.#holders.length, Number(holder.pid));
    this.all.push(host);
    return host;
  }

  /** These hosts see each other, and none of the rest. Whoever sends to the others hears nothing back. @param {Host[]} hosts */
  cutOff(hosts) {
    for (const { link } of hosts) ip(`link set ${link} master apart`);
  }

  /** These two alone don't see each other. @param {Host} one @param {Host} other */
  cutBetween(one, other) {
    one.run('ip', ['route', 'add', 'blackhole', `${other.address}/32`]);
    other.run('ip', ['route', 'add', 'blackhole', `${one.address}/32`]);
  }

  /** All see all. */
  heal() {
    for (const host of this.all) {
      ip(`link set ${host.link} master whole`);
      host.run('ip', ['route', 'flush', 'type', 'blackhole']);
    }
  }

  close() {
    for (const holder of this.#holders) holder.stdin?.end();
  }
}
