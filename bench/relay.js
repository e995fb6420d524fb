// What a chat server costs that keeps nothing: `ws`, JSON.parse, forward to the other one, ack to the sender. It speaks as
// much of the protocol as the generator needs, so that both servers get the same bytes. Started by targets.js.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
/** @type {Map<string, import('ws').WebSocket>} */
const sockets = new Map();
/** @type {Map<string, number>} */
const heads = new Map();
const epoch = Date.now() * 1024;
let mid = BigInt(Date.now()) << 22n;

server.on('connection', (socket) => {
  let user = '';
  let device = '';
  socket.on('message', (data) => {
    const packet = JSON.parse(String(data));
    if (packet.t === 'hello') {
      user = packet.token;
      device = packet.device;
      sockets.set(user, socket);
      socket.send(JSON.stringify({ t: 'welcome', v: 1, user, device, now: Date.now(), limits: {}, convs: [] }));
    } else if (packet.t === 'send') {
      const { conv, id, n, type = 'text', body } = packet;
      const [, a, b] = conv.split(':');
      const seq = (heads.get(conv) ?? 0) + 1;
      heads.set(conv, seq);
      const place = { epoch, seq, mid: String((mid += 1n)) };
      const at = Date.now();
      const message = { t: 'msg', conv, ...place, from: user, device, id, type, body, at };
      sockets.get(user === a ? b : a)?.send(JSON.stringify(message));
      socket.send(JSON.stringify({ t: 'ack', conv, id, n, ...place, at, safe: 'memory' }));
    }
  });
});
http.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (http.address());
  console.log(`relay listening on http://127.0.0.1:${port}`);
});
process.on('SIGTERM', () => process.exit(0));
