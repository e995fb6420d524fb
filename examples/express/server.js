// everyonce in an Express application that logs people in with a session cookie.
//
// PORT (8080), HOST (127.0.0.1) and DATA (./data/express) may be set.
import { createHash, randomUUID } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import express from 'express';
import { createServer } from '../../lib/index.js';

const { PORT = '8080', HOST = '127.0.0.1', DATA = './data/express' } = process.env;

/** Who is logged in, by session. An application has these in its session store. @type {Map<string, string>} */
const sessions = new Map();

/** @param {import('node:http').IncomingMessage} request */
const userOf = ({ headers: { cookie = '' } }) => sessions.get(/(?:^|; )session=([^;]+)/.exec(cookie)?.[1] ?? '');

const chat = createServer({
  data: DATA,
  // The browser sends the cookie along when it connects. Pages of other origins are refused before this is asked.
  authenticate: ({ request }) => {
    const user = userOf(request);
    return user ? { user } : null;
  },
});
chat.on('error', (error) => console.error(`everyonce: ${error.message}`));

const app = express();
app.use(express.json());

app.post('/login', (request, response) => {
  const { user } = request.body;
  if (typeof user !== 'string' || !/^[a-z0-9]{1,32}$/.test(user)) return response.status(400).json({ error: 'user?' });
  const session = randomUUID();
  sessions.set(session, user);
  response.cookie('session', session, { httpOnly: true, sameSite: 'lax' }).json({ user });
});

app.post('/notes/:to', async (request, response) => {
  const from = userOf(request);
  const key = request.get('Idempotency-Key');
  if (!from || !key) return response.status(from ? 400 : 401).json({ error: from ? 'Idempotency-Key?' : 'log in' });
  const [a, b] = [from, request.params.to].sort();
  // However often the same request comes, one message is stored, and every answer is the first one's.
  const id = createHash('sha256').update(key).digest('base64url');
  const { seq, dup } = await chat.publish({ conv: `dm:${a}:${b}`, from, id, body: request.body });
  response.status(dup ? 200 : 201).json({ seq });
});

app.use((error, request, response, next) => {
  if (response.headersSent) return next(error);
  response.status(error.retryable ? 503 : 400).json({ error: error.message });
});

const http = createHttpServer(app);
chat.attach(http); // WebSockets at /everyonce; all other paths stay Express's
http.listen(Number(PORT), HOST, () => console.log(`listening on http://${HOST}:${http.address().port}`));

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    http.close();
    await chat.close();
    http.closeAllConnections();
  });
}
