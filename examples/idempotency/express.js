// A shop's route that may be asked twice: the client sends an Idempotency-Key, and asks again when no answer came.
//
// DATABASE_URL (postgres://postgres@127.0.0.1/postgres), PORT (8081) and HOST (127.0.0.1) may be set.
import express from 'express';
import pg from 'pg';
import { idempotencyMiddleware, sqlOnce } from '../../lib/idempotency/index.js'; // in your project: 'everyonce/idempotency'

const { DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres', PORT = '8081', HOST = '127.0.0.1' } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', (error) => console.error(`database: ${error.message}`));
await pool.query(
  'CREATE TABLE IF NOT EXISTS orders (id bigserial PRIMARY KEY, customer text NOT NULL, item text NOT NULL)',
);
await sqlOnce.migrate(pool);

const app = express();
app.use(express.json());

// A real application's session. The scope below makes it part of the key: nobody is shown another one's answer.
app.use((request, response, next) => {
  request.user = /^Bearer ([a-z0-9]{1,32})$/.exec(request.headers.authorization ?? '')?.[1];
  if (request.user) next();
  else response.status(401).json({ error: 'log in first' });
});

const idempotent = idempotencyMiddleware({
  store: { postgres: pool },
  required: true,
  scope: (request) => request.user,
});

app.post('/orders', idempotent, async (request, response) => {
  const { user, body } = request;
  if (typeof body?.item !== 'string') return response.status(400).json({ error: 'item is missing' });
  // The middleware keeps the answer; that the order is made once even when this process dies before it could, is
  // because the key and the order are one transaction.
  const { result } = await sqlOnce(pool, { key: `order ${user} ${request.idempotency.key}` }, async (tx) => {
    const { rows } = await tx.query('INSERT INTO orders (customer, item) VALUES ($1, $2) RETURNING id', [
      user,
      body.item,
    ]);
    return { order: rows[0].id, item: body.item };
  });
  response.status(201).json(result);
});

app.get('/orders', async (request, response) => {
  const { rows } = await pool.query('SELECT id, item FROM orders WHERE customer = $1 ORDER BY id', [request.user]);
  response.json(rows);
});

const server = app.listen(Number(PORT), HOST, () => {
  console.log(`shop listening on http://${HOST}:${server.address().port}`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await idempotent.close();
    server.closeAllConnections();
    await pool.end();
  });
}
