// The load generator, in a process of its own: pairs of connections; one of each pair keeps so many sends unanswered, the
// other one takes the messages and acks them. Started by main-path.js, which says when to measure.
import { openSocket, frameOf, masked, textFrame } from './raw-socket.js';
import { processCpu } from './process-cpu.js';

/** Connections that are opened at the same time. */
const opening = 16;

/** @typedef {{ port: number, pid: number, pairs: number, bytes: number, unanswered: number, gotEvery: number }} Load */

class Pair {
  #load;
  #results;
  #conv;
  #users;
  /** @type {import('node:net').Socket | undefined} */
  #sender;
  /** @type {import('node:net').Socket | undefined} */
  #receiver;
  #n = 0;
  #sentAt;
  /** The n that is answered next; acks of one connection come in order. */
  #answered = 0;
  #ungot = 0;
  #parts;

  /** @param {number} index @param {Load} load @param {Results} results */
  constructor(index, load, results) {
    this.#load = load;
    this.#results = results;
    const number = String(index).padStart(4, '0');
    this.#users = [`a${number}`, `b${number}`];
    this.#conv = `dm:${this.#users.join(':')}`;
    this.#sentAt = new Float64Array(load.unanswered);
    const body = JSON.stringify('x'.repeat(load.bytes - 2));
    this.#parts = [`{"t":"send","conv":"${this.#conv}","id":"m`, '","n":', `,"body":${body}}`].map(masked);
  }

  async open() {
    this.#receiver = await this.#enter(this.#users[1], (text) => this.#received(text));
    this.#sender = await this.#enter(this.#users[0], (text) => this.#acked(text));
  }

  start() {
    for (let i = 0; i < this.#load.unanswered; i++) this.#send();
  }

  /** @param {string} user @param {(text: string) => void} onText */
  async #enter(user, onText) {
    let welcomed = () => {};
    const welcome = new Promise((resolve) => (welcomed = () => resolve(undefined)));
    let isIn = false;
    const socket = await openSocket({ port: this.#load.port, path: '/everyonce' }, (text) => {
      this.#results.frames += 1;
      if (isIn) return onText(text);
      isIn = text.includes('"t":"welcome"');
      if (!isIn) throw new Error(`instead of a welcome: ${text}`);
      welcomed();
    });
    socket.write(textFrame(JSON.stringify({ t: 'hello', v: 1, device: 'bench', pe: 1, token: user })));
    await welcome;
    return socket;
  }

  #send() {
    const n = (this.#n += 1);
    const [first, second, last] = this.#parts;
    const digits = masked(String(n));
    const id = masked(String(n).padStart(10, '0'));
    this.#sentAt[n % this.#sentAt.length] = performance.now();
    this.#sender?.write(frameOf(first, id, second, digits, last));
  }

  /** @param {string} text */
  #acked(text) {
    for (let at = text.indexOf('{"t":"ack"'); at >= 0; at = text.indexOf('{"t":"ack"', at + 1)) {
      this.#answered += 1;
      this.#results.add(performance.now() - this.#sentAt[this.#answered % this.#sentAt.length]);
      this.#send();
    }
    if (text.includes('"t":"nack"') || text.includes('"t":"error"')) throw new Error(`refused: ${text}`);
  }

  /** @param {string} text */
  #received(text) {
    for (let at = text.indexOf('{"t":"msg"'); at >= 0; at = text.indexOf('{"t":"msg"', at + 1)) {
      this.#ungot += 1;
      this.#results.received += 1;
    }
    if (this.#ungot < this.#load.gotEvery) return;
    this.#ungot = 0;
    const at = text.lastIndexOf('"seq":') + 6;
    const seq = text.slice(at, text.indexOf(',', at));
    this.#receiver?.write(textFrame(`{"t":"got","conv":"${this.#conv}","seq":${seq}}`));
  }
}

class Results {
  received = 0;
  /** That the server wrote, to either side of a pair. */
  frames = 0;
  /** ms from send to ack. @type {number[]} */
  #latencies = [];
  #isMeasuring = false;
  #receivedBefore = 0;
  #framesBefore = 0;
  #startedAt = 0;
  #serverCpu = 0;
  #ownCpu = process.cpuUsage();

  /** @param {number} latencyMs */
  add(latencyMs) {
    if (this.#isMeasuring) this.#latencies.push(latencyMs);
  }

  /** @param {number} pid of the server */
  begin(pid) {
    this.#latencies = [];
    this.#receivedBefore = this.received;
    this.#framesBefore = this.frames;
    this.#isMeasuring = true;
    this.#startedAt = performance.now();
    this.#ownCpu = process.cpuUsage();
    this.#serverCpu = processCpu(pid);
  }

  /** @param {number} pid */
  end(pid) {
    const serverCpu = processCpu(pid) - this.#serverCpu;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const own = process.cpuUsage(this.#ownCpu);
    this.#isMeasuring = false;
    const sorted = Float64Array.from(this.#latencies).sort();
    const messages = sorted.length;
    const at = (/** @type {number} */ part) => sorted[Math.min(messages - 1, Math.floor(messages * part))] ?? NaN;
    return {
      messages,
      received: this.received - this.#receivedBefore,
      framesPerMessage: (this.frames - this.#framesBefore) / messages,
      messagesPerSecond: messages / seconds,
      serverCpuMicros: serverCpu / messages,
      generatorCpuMicros: (own.user + own.system) / messages,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
    };
  }
}

/** @type {Load} */
const load = JSON.parse(process.argv[2]);
const results = new Results();
const pairs = Array.from({ length: load.pairs }, (_, index) => new Pair(index, load, results));
for (let from = 0; from < pairs.length; from += opening) {
  await Promise.all(pairs.slice(from, from + opening).map((pair) => pair.open()));
}
process.on('message', (question) => {
  if (question === 'start') for (const pair of pairs) pair.start();
  else if (question === 'begin') results.begin(load.pid);
  else if (question === 'end') process.send?.(results.end(load.pid));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
