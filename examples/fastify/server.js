// everyonce in a Fastify application whose users bring a JWT.
//
// PORT (8080), HOST (127.0.0.1), DATA (./data/fastify) and SECRET (at least 32 bytes) may be set.
import { createHash, randomBytes } from 'node:crypto';
import Fastify from 'fastify';
import { SignJWT, jwtVerify } from 'jose';
import { createServer } from '../../lib/index.js';

const { PORT = '8080', HOST = '127.0.0.1', DATA = './data/fastify' } = process.env;
const SECRET = process.env.SECRET ?? randomBytes(32).toString('base64url');
const key = new TextEncoder().encode(SECRET);

// The same secret here and at the routes; a connection is closed with 4401 when its token expires.
const chat = createServer({ data: DATA, jwtSecret: SECRET });
chat.on('error', (error) => console.error(`everyonce: ${error.message}`));

const app = Fastify();

app.post('/login', async (request, reply) => {
  const { user } = request.body;
  if (typeof user !== 'string' || !/^[a-z0-9]{1,32}$/.test(user)) return reply.code(400).send({ error: 'user?' });
  const jwt = new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime('1h');
  return { token: await jwt.sign(key) };
});

app.post('/notes/:to', async (request, reply) => {
  const [from, again] = [await userOf(request), request.headers['idempotency-key']];
  if (!from || !again) return reply.code(from ? 400 : 401).send({ error: from ? 'Idempotency-Key?' : 'log in' });
  const [a, b] = [from, request.params.to].sort();
  // However often the same request comes, one message is stored, and every answer is the first one's.
  const id = createHash('sha256').update(again).digest('base64url');
  const { seq, dup } = await chat.publish({ conv: `dm:${a}:${b}`, from, id, body: request.body });
  return reply.code(dup ? 200 : 201).send({ seq });
});

app.setErrorHandler((error, request, reply) => {
  reply.code(error.statusCode ?? (error.retryable ? 503 : 400)).send({ error: error.message });
});

/** @param {import('fastify').FastifyRequest} request */
async function userOf({ headers: { authorization = '' } }) {
  const verified = await jwtVerify(authorization.replace(/^Bearer /, ''), key).catch(() => null);
  return verified?.payload.sub;
}

await app.ready();
chat.attach(app.server); // WebSockets at /everyonce; all other paths stay Fastify's
await app.listen({ port: Number(PORT), host: HOST });
console.log(`listening on http://${HOST}:${app.server.address().port}`);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await chat.close();
    await app.close();
  });
}
