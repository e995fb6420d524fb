// The example chat: a page, and everyonce behind it, in one process on the embedded store.
//
// PORT (8080), HOST (127.0.0.1) and DATA (./data/chat) may be set; REDIS (URLs of a Cluster's nodes, with commas between)
// keeps everything there instead, for any number of these processes. --cluster: see cluster.js. Whoever types a name IS that user: good enough to try
// things out on one machine, and nothing else. An application checks a session or a token in `authenticate`.
import { createServer as createHttpServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createServer } from '../../lib/index.js';
import { runCluster } from './cluster.js';
import { IdService } from './ids.js';
import { StaticFiles } from './static-files.js';

const NAME = /^[A-Za-z0-9_.@-]{1,64}$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/;

const { PORT = '8080', HOST = '127.0.0.1', DATA = './data/chat', REDIS } = process.env;
const port = Number(PORT);
if (!/^\d+$/.test(PORT) || port > 65_535) fail(`PORT must be a number from 0 to 65535, not "${PORT}".`);
if (process.argv.includes('--cluster')) await runCluster({ port, host: HOST });
const isLocal = LOOPBACK.test(HOST) || HOST === '::1';

/** A name is a user here. @param {{ request: import('node:http').IncomingMessage, token: string | null }} credentials */
function authenticate({ request, token }) {
  if (token === null || !NAME.test(token) || token === 'system') return null;
  // A page of another site whose name was pointed at this machine (DNS rebinding) is nobody.
  if (isLocal && !LOOPBACK.test(request.headers.host ?? '')) return null;
  return { user: token };
}

const files = new StaticFiles(fileURLToPath(new URL('public/', import.meta.url)));
const http = createHttpServer((request, response) => {
  if (!ids.answer(request, response)) files.answer(request, response);
});

/** @type {import('../../lib/index.js').Server} */
let chat;
try {
  chat = createServer({ ...(REDIS ? { redis: { nodes: REDIS.split(',') } } : { data: DATA }), authenticate });
} catch (error) {
  fail(
    REDIS
      ? error.message
      : `${error.message}\nAnother chat beside this one: DATA=./data/chat-2 PORT=${port + 1} npm start`,
  );
}
chat.on('error', (error) => console.error(`everyonce: ${error.message}`));
const ids = new IdService(chat);
chat.attach(http);

http.once('error', async (error) => {
  await chat.close();
  if (error.code !== 'EADDRINUSE') fail(`Can't listen on ${HOST}:${port}: ${error.message}`);
  fail(`Port ${port} is in use. Choose another: PORT=${port + 1} npm start`);
});
http.listen(port, HOST, () => {
  if (!isLocal) console.warn('Anybody who reaches this port can write under any name.');
  const host = isLocal ? 'localhost' : HOST.includes(':') ? `[${HOST}]` : HOST;
  console.log(`everyonce listening on http://${host}:${http.address().port}`);
});

for (const signal of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(signal, stop);

/** Says goodbye to everybody, finishes what is in flight, closes the store. */
async function stop() {
  http.close();
  await ids.close();
  await chat.close();
  http.closeAllConnections();
  process.exit(0);
}

/** @param {string} message */
function fail(message) {
  console.error(message);
  process.exit(1);
}
