/**
 * What two bad readers cost the others: a group on one server, one sender at a fixed rate, all members connected; first
 * all of them read and ack, then one of them acks nothing and another does not even read its socket.
 */
import { readFileSync } from 'node:fs';
import { openSocket, textFrame } from './raw-socket.js';
import { targets, withTarget } from './targets.js';

const path = '/everyonce';
const conv = 'g:everybody';
const membersPerPacket = 200;
/** What is under way when the sender ends. */
const restMs = 5000;

/**
 * @typedef {{ members: number, rate: number, seconds: number, bytes: number, window: number, dir: string }} SlowReaderOptions
 * @typedef {object} SlowReaderRun
 * @property {boolean} withSlow
 * @property {number} deliveries to those who read and ack
 * @property {number} missing of those that they should have had
 * @property {number} p50Ms from the send to the arrival
 * @property {number} p99Ms
 * @property {number} maxMs
 * @property {number} slowGot messages that the one who acks nothing was sent
 * @property {number} residentMiB of the server at the end, above what it had when all were connected
 */

/** @param {number} pid @returns {number} */
function residentMiB(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024;
}

/** @param {number} port @param {string} user @param {(text: string) => void} onText after the welcome */
async function join(port, user, onText) {
  let welcomed = () => {};
  const ready = new Promise((resolve) => (welcomed = () => resolve(undefined)));
  let isIn = false;
  const socket = await openSocket({ port, path }, (text) => {
    if (isIn) return onText(text);
    isIn = text.includes('"t":"welcome"');
    if (isIn) welcomed();
  });
  socket.write(textFrame(JSON.stringify({ t: 'hello', v: 1, device: 'd', pe: 1, token: user })));
  await ready;
  return socket;
}

/** @param {SlowReaderOptions} options @param {boolean} withSlow @returns {Promise<SlowReaderRun>} */
export function measureSlowReader({ members, rate, seconds, bytes, window, dir }, withSlow) {
  const { name, args, counts } = targets.memory;
  const target = { name, counts, args: (/** @type {string} */ data) => [...args(data), '--window', String(window)] };
  return withTarget(target, { dir }, async ({ port, pid }) => {
    /** @type {number[]} */
    const times = [];
    let slowGot = 0;
    let answered = (/** @type {string} */ _text) => {};
    const sender = await join(port, 'user0', (text) => answered(text));
    const ask = (/** @type {object} */ packet) =>
      new Promise((resolve) => {
        answered = (text) => text.includes('"t":"ok"') && resolve(undefined);
        sender.write(textFrame(JSON.stringify({ rid: 1, conv, ...packet })));
      });
    const users = Array.from({ length: members }, (_, i) => `user${i}`);
    await ask({ t: 'create', members: users.slice(0, membersPerPacket) });
    for (let i = membersPerPacket; i < members; i += membersPerPacket)
      await ask({ t: 'add', members: users.slice(i, i + membersPerPacket) });
    const head = Math.ceil(members / membersPerPacket);
    const sockets = [];
    for (const [index, user] of users.entries()) {
      if (index === 0) continue;
      const isSlow = withSlow && index === 1;
      const socket = await join(port, user, (text) => {
        const now = performance.now();
        for (const [, seq, sentAt] of text.matchAll(/"t":"msg".*?"seq":(\d+).*?"body":"(\d+\.\d+) /g)) {
          if (isSlow) slowGot += 1;
          else socket.write(textFrame(`{"t":"got","conv":"${conv}","seq":${seq}}`));
          if (index > 2) times.push(now - Number(sentAt));
        }
      });
      // All is acked, so that everybody is live.
      socket.write(textFrame(`{"t":"got","conv":"${conv}","seq":${head}}`));
      if (withSlow && index === 2) socket.pause();
      sockets.push(socket);
    }
    const before = residentMiB(pid);
    const total = rate * seconds;
    const started = performance.now();
    for (let n = 1; n <= total; n++) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + (n * 1000) / rate - performance.now())));
      const body = `${performance.now().toFixed(3)} `.padEnd(bytes, 'x');
      sender.write(textFrame(JSON.stringify({ t: 'send', conv, id: `message-${n}`, n, body })));
    }
    const wanted = total * (members - 3);
    for (const end = performance.now() + restMs; times.length < wanted && performance.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 50));
    const grown = residentMiB(pid) - before;
    for (const socket of [sender, ...sockets]) socket.destroy();
    times.sort((a, b) => a - b);
    const at = (/** @type {number} */ share) =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? NaN;
    const [p50Ms, p99Ms, maxMs] = [at(0.5), at(0.99), at(1)];
    const missing = wanted - times.length;
    return { withSlow, deliveries: times.length, missing, p50Ms, p99Ms, maxMs, slowGot, residentMiB: grown };
  });
}
