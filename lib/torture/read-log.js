/**
 * Reads back what the server holds: as a device that nobody has seen before, straight over a WebSocket, so that nothing
 * of the client stands between the log and the judge.
 */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { hashBody } from '../checker/history.js';

const pageLimit = 200;
const timeoutMs = 30_000;
/** Pages of the largest run, many times over: a pull that never ends is a fault of its own. */
const maxPages = 10_000;

/**
 * @param {string} url
 * @param {string} user
 * @returns {Promise<import('../checker/history.js').HistoryEvent[]>} all messages of all its conversations, as `log` events
 */
export function readLog(url, user) {
  return asNewDevice(url, user, async (device, _welcome, ask) => {
    /** @type {import('../checker/history.js').HistoryEvent[]} */
    const events = [];
    /** @type {string | undefined} */
    let next;
    for (let pages = 0; pages < maxPages; pages++) {
      const page = await ask({ t: 'pull', limit: pageLimit, order: 'oldest', next });
      if (page.t !== 'page') throw new Error(`pull was answered ${JSON.stringify(page)}`);
      for (const item of page.items) events.push(logEvent(item, user, device));
      if (page.next === undefined) return events;
      next = page.next;
    }
    throw new Error(`more than ${maxPages} pages`);
  });
}

/**
 * @param {string} url
 * @param {string} user
 * @returns {Promise<Record<string, number>>} the newest seq of each of its conversations
 */
export function readHeads(url, user) {
  return asNewDevice(url, user, async (_device, { convs }) => {
    return Object.fromEntries(convs.map((/** @type {any} */ { conv, head }) => [conv, head]));
  });
}

/**
 * @param {string} url
 * @param {string} token
 * @param {string[]} convs
 * @returns {Promise<import('../checker/history.js').HistoryEvent[]>} what this user reads back of them: `log` events, and
 *   `gone` for what retention has removed meanwhile
 */
export function readConversations(url, token, convs) {
  return asNewDevice(url, token, async (device, { user }, ask) => {
    /** @type {import('../checker/history.js').HistoryEvent[]} */
    const events = [];
    for (const conv of convs) {
      for (let after = 0, more = true; more;) {
        const page = await ask({ t: 'history', conv, after, limit: pageLimit });
        if (page.t !== 'page') throw new Error(`${conv} can't be read back: ${page.code} ${page.message}`);
        for (const item of page.items) {
          after = item.t === 'hole' ? item.to : item.seq;
          if (item.t === 'hole' || item.type === 'system.gone')
            events.push({ op: 'gone', user, device, conv, epoch: item.epoch, seq: item.from ?? item.seq, to: after });
          else events.push(logEvent(item, user, device));
        }
        more = page.more && page.items.length > 0;
      }
    }
    return events;
  });
}

/**
 * @param {string} url
 * @param {string} token
 * @param {string[]} convs of which that user is a member
 * @returns {Promise<Record<string, number>>} the newest seq of each
 */
export function readNewest(url, token, convs) {
  return asNewDevice(url, token, async (_device, _welcome, ask) => {
    /** @type {Record<string, number>} */
    const heads = {};
    for (const conv of convs) {
      const page = await ask({ t: 'history', conv, limit: 1 });
      const newest = page.items?.at(-1);
      heads[conv] = newest?.to ?? newest?.seq ?? 0;
    }
    return heads;
  });
}

/**
 * @template T
 * @param {string} url
 * @param {string} token
 * @param {(device: string, welcome: any, ask: (question: object) => Promise<any>) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function asNewDevice(url, token, use) {
  const device = randomUUID();
  const socket = new WebSocket(url, 'everyonce.v1');
  let rid = 0;
  try {
    const next = packets(socket);
    await next((packet) => packet.t === 'open');
    socket.send(JSON.stringify({ t: 'hello', v: 1, device, pe: 1, token, at: {}, live: false }));
    const welcome = await next((packet) => packet.t === 'welcome');
    return await use(device, welcome, async (question) => {
      for (const deadline = performance.now() + timeoutMs; ;) {
        const asked = (rid += 1);
        socket.send(JSON.stringify({ ...question, rid: asked }));
        const answer = await next((packet) => packet.rid === asked);
        // A store that is away for a moment: it says when to come again.
        if (answer.code !== 'unavailable' || performance.now() > deadline) return answer;
        await new Promise((resolve) => setTimeout(resolve, answer.retry ?? 1000));
      }
    });
  } finally {
    socket.terminate();
  }
}

/** @param {any} item @param {string} user @param {string} device @returns {import('../checker/history.js').HistoryEvent} */
function logEvent(item, user, device) {
  if (item.t !== 'msg') throw new Error(`nothing was removed, yet the log has ${JSON.stringify(item)}`);
  const { conv, epoch, seq, mid, from, device: fromDevice, id, type, body } = item;
  return { op: 'log', user, device, conv, epoch, seq, mid, from, fromDevice, id, type, hash: hashBody(body) };
}

/** @param {WebSocket} socket @returns {(wanted: (packet: any) => boolean) => Promise<any>} waits for a packet, leaving out others */
function packets(socket) {
  /** @type {any[]} */
  const waiting = [];
  let wake = () => {};
  const arrived = (/** @type {any} */ packet) => (waiting.push(packet), wake());
  socket.on('open', () => arrived({ t: 'open' }));
  socket.on('message', (data) => [JSON.parse(String(data))].flat().forEach(arrived));
  socket.on('close', (code) => arrived(new Error(`closed with ${code}`)));
  socket.on('error', (error) => arrived(error));
  return async (wanted) => {
    const timer = setTimeout(() => arrived(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      for (;;) {
        const packet = waiting.shift();
        if (packet instanceof Error) throw packet;
        if (packet && wanted(packet)) return packet;
        if (!packet) await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    } finally {
      clearTimeout(timer);
    }
  };
}
