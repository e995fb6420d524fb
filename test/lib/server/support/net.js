// Real sockets for tests: http servers on a free port, raw upgrades, `ws` clients that remember.

import { createServer } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { WebSocket } from 'ws';

/** An http server on a free port of this machine, with 404 as its own answer. */
export async function listening(onRequest = (_, response) => response.writeHead(404).end('not mine')) {
  const server = createServer(onRequest);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.port = server.address().port;
  return server;
}

/** @param {import('node:http').Server} server */
export async function closeServer(server) {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/**
 * An upgrade by hand.
 *
 * @param {number} port
 * @param {{ path?: string, headers?: Record<string, string> }} [request] a header of '' is left out
 * @returns {Promise<{ status: number, head: string, socket: import('node:net').Socket }>}
 */
export async function upgrade(port, { path = '/everyonce', headers = {} } = {}) {
  const socket = connect(port, '127.0.0.1');
  const all = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
    'Sec-WebSocket-Protocol': 'everyonce.v1',
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}`); // prettier-ignore
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  let head = '';
  while (!head.includes('\r\n\r\n')) {
    const [chunk] = await once(socket, 'data');
    head += chunk.toString('latin1');
  }
  return { status: Number(head.slice(9, 12)), head, socket };
}

/**
 * A `ws` client: `messages` and `closed` ({ code }, a promise) beside the socket.
 *
 * @param {number} port
 * @param {import('ws').ClientOptions} [options]
 */
export async function wsClient(port, options = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/everyonce`, 'everyonce.v1', options);
  const messages = [];
  ws.on('message', (data) => messages.push(String(data)));
  ws.on('error', () => {});
  const closed = new Promise((resolve) => ws.on('close', (code) => resolve(code)));
  await once(ws, 'open');
  return { ws, messages, closed };
}
