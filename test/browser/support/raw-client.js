// The server's log by the protocol alone, with no client library in between.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';

/**
 * All messages of a conversation, as a device that has nothing of it gets them.
 * @param {import('./chat-server.js').ChatServer} server
 * @param {string} user
 * @param {string} conv
 * @returns {Promise<any[]>} ascending by seq
 */
export async function logOf(server, user, conv) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/everyonce`, 'everyonce.v1');
  /** @type {any[]} */
  const arrived = [];
  /** @type {(() => void)[]} */
  const waiting = [];
  socket.on('message', (data) => {
    const value = JSON.parse(String(data));
    arrived.push(...(Array.isArray(value) ? value : [value]));
    for (const wake of waiting.splice(0)) wake();
  });
  const ended = new Promise((_, reject) => {
    socket.once('close', (code) => reject(new Error(`closed with ${code}: ${JSON.stringify(arrived.at(-1))}`)));
    socket.once('error', reject);
  });
  ended.catch(() => {});
  const next = async (/** @type {(packet: any) => boolean} */ wanted) => {
    for (;;) {
      const found = arrived.find(wanted);
      if (found) return found;
      await Promise.race([new Promise((resolve) => waiting.push(() => resolve(undefined))), ended]);
    }
  };
  await Promise.race([new Promise((resolve) => socket.once('open', resolve)), ended]);
  const device = `auditor-${process.hrtime.bigint()}`;
  // A position that nobody knows is answered `reset`: the device then begins at 0, not at the user's read mark.
  socket.send(JSON.stringify({ t: 'hello', v: 1, device, pe: 1, token: user, at: { [conv]: [1, 1] }, live: false }));
  await next(({ t }) => t === 'welcome');
  const items = [];
  for (let rid = 1, token; ; rid++) {
    socket.send(
      JSON.stringify({ t: 'pull', rid, conv, limit: 100, order: 'oldest', ...(token ? { next: token } : {}) }),
    );
    const page = await next((packet) => packet.rid === rid);
    assert.equal(page.t, 'page', JSON.stringify(page));
    items.push(...page.items);
    token = page.next;
    if (!token) break;
  }
  socket.terminate();
  return items;
}

/** The texts of what people wrote. @param {any[]} items */
export const textsOf = (items) => items.filter(({ type }) => type === 'text').map(({ body }) => body.text);

/** Fails unless seqs are 1, 2, 3 … and nothing is there twice. @param {any[]} items */
export function assertDense(items) {
  assert.deepEqual(
    items.map(({ seq }) => seq),
    items.map((_, index) => index + 1),
    'seqs of the log',
  );
  const keys = items.map(({ from, device, id }) => `${from}/${device}/${id}`);
  assert.equal(new Set(keys).size, keys.length, 'a message is in the log twice');
}
