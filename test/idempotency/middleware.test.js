// idempotencyMiddleware under Express and node:http, over the claims of PostgreSQL.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { createServer } from 'node:http';
import express from 'express';
import pg from 'pg';
import { idempotencyMiddleware } from '../../lib/idempotency/index.js';
import { postgresDatabase } from '../support/postgres.js';
import { START_MS, gate } from './support/databases.js';

describe('idempotencyMiddleware', () => {
  let pool;
  let server;
  let port;
  let runs;
  let behave;
  before(async function () {
    this.timeout(START_MS);
    pool = new pg.Pool({ ...(await postgresDatabase()), max: 10 });
    const app = express();
    const store = { postgres: pool };
    app.use(express.json(), express.text());
    app.post('/strict', idempotencyMiddleware({ store, required: true, name: 'strict' }), (_, response) =>
      response.send('ok'),
    );
    app.post('/small', idempotencyMiddleware({ store, maxBodyBytes: 10, name: 'small' }), (q, s) => behave(q, s));
    app.post('/short', idempotencyMiddleware({ store, maxRunMs: 30, name: 'short' }), (q, s) => behave(q, s));
    app.use(idempotencyMiddleware({ store }));
    app.all('/orders', async (request, response) => {
      runs++;
      await behave(request, response);
    });
    app.use((error, _request, response, _next) => response.status(500).json({ error: error.message }));
    server = createServer(app).listen(0, '127.0.0.1');
    await event(server, 'listening');
    port = server.address().port;
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await pool.end();
  });
  beforeEach(() => {
    runs = 0;
    behave = (request, response) =>
      response.status(201).set('X-Order', String(runs)).json({ run: runs, got: request.body });
  });

  const ask = async (key, { path = '/orders', method = 'POST', body = { item: 'tea' }, headers = {} } = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...(key && { 'Idempotency-Key': key }), ...headers },
      body: method === 'GET' ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, text, headers: response.headers, json: () => JSON.parse(text) };
  };

  it('answers a repeat with the first status, headers and body, and runs once', async () => {
    const first = await ask('key-1');
    const second = await ask('"key-1"');
    for (const { status, text, headers } of [first, second]) {
      assert.equal(status, 201);
      assert.equal(text, '{"run":1,"got":{"item":"tea"}}');
      assert.equal(headers.get('x-order'), '1');
      assert.match(headers.get('content-type'), /application\/json/);
    }
    assert.equal(first.headers.get('idempotency-replayed'), null);
    assert.equal(second.headers.get('idempotency-replayed'), 'true');
    assert.equal(runs, 1);
  });

  it('lets requests without a key and other methods through', async () => {
    await ask(undefined);
    await ask(undefined);
    await ask('key-get', { method: 'GET' });
    await ask('key-get', { method: 'GET' });
    assert.equal(runs, 4);
  });

  it('refuses a missing key where one is required, and a malformed one, with 400', async () => {
    for (const [key, path] of [
      [undefined, '/strict'],
      ['a, b', '/orders'],
      ['x'.repeat(256), '/orders'],
      ['"', '/orders'],
      ['"a b"', '/orders'],
    ]) {
      const { status, headers, json } = await ask(key, { path });
      assert.equal(status, 400, key);
      assert.match(headers.get('content-type'), /^application\/problem\+json/);
      assert.equal(json().code, 'INVALID_ARGUMENT');
    }
    assert.equal((await ask('fine', { path: '/strict' })).text, 'ok');
    assert.equal(runs, 0);
  });

  it('says 409 while the first one runs, and 422 to another payload', async () => {
    const [started, go] = [gate(), gate()];
    behave = async (_, response) => {
      started.open();
      await go.opened;
      response.send('slow');
    };
    const first = ask('key-slow');
    await started.opened;
    const busy = await ask('key-slow');
    assert.deepEqual([busy.status, busy.json().code], [409, 'BUSY']);
    assert.ok(Number(busy.headers.get('retry-after')) >= 1);
    const other = await ask('key-slow', { body: { item: 'coffee' } });
    assert.deepEqual([other.status, other.json().code], [422, 'MISMATCH']);
    go.open();
    assert.equal((await first).text, 'slow');
    assert.equal((await ask('key-slow')).text, 'slow');
    assert.equal((await ask('key-slow', { body: { item: 'coffee' } })).status, 422);
    assert.equal(runs, 1);
  });

  it('keeps what one user did from another with the same key', async () => {
    const alice = await ask('key-user', { headers: { Authorization: 'Bearer alice' } });
    const bob = await ask('key-user', { headers: { Authorization: 'Bearer bob' } });
    assert.deepEqual([alice.json().run, bob.json().run], [1, 2]);
  });

  it('frees the key after an answer that says that it was not done', async () => {
    behave = (_, response) => {
      if (runs === 1) throw new Error('database away');
      response.status(runs === 2 ? 429 : 200).send(`run ${runs}`);
    };
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await ask('key-error'));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [500, 429, 200, 200],
    );
    assert.equal(runs, 3);
  });

  it('keeps an answer that is a refusal of the application', async () => {
    behave = (_, response) => response.status(400).json({ run: runs });
    await ask('key-400');
    assert.deepEqual([(await ask('key-400')).text, runs], ['{"run":1}', 1]);
  });

  it('keeps writeHead, several writes, bytes, and headers that come more than once', async () => {
    behave = (_, response) => {
      response.writeHead(202, 'Taken', { 'X-A': 'a', 'Set-Cookie': ['a=1', 'b=2'] });
      response.write(Buffer.from([0, 255, 128]));
      response.write('é', 'latin1');
      response.end('end', () => {});
    };
    const [first, second] = [await ask('key-raw'), await ask('key-raw')];
    for (const one of [first, second]) {
      assert.equal(one.status, 202);
      assert.deepEqual(one.headers.getSetCookie(), ['a=1', 'b=2']);
      assert.equal(one.text, first.text);
      assert.match(one.text, /end$/);
    }
    assert.equal(runs, 1);
  });

  it('sends what was answered, though an error comes after it', async () => {
    behave = (_, response) => {
      response.status(201).send('made');
      throw new Error('late');
    };
    const [first, second] = [await ask('key-late'), await ask('key-late')];
    assert.deepEqual([first.status, first.text, second.status, second.text], [201, 'made', 201, 'made']);
  });

  it('sends an answer that is too long to be kept, and never runs again', async () => {
    behave = (_, response) => {
      runs++;
      response.write('0123456789');
      response.write('0123456789');
      response.end('!');
    };
    assert.equal((await ask('key-long', { path: '/small' })).text, '01234567890123456789!');
    const again = await ask('key-long', { path: '/small' });
    assert.deepEqual([again.status, again.json().code, runs], [500, 'FAILED', 1]);
  });

  it('does not wait for ever for a route that does not answer; what it says later goes nowhere', async () => {
    let late;
    behave = (_, response) => (late = response);
    const { status, json } = await ask('key-never', { path: '/short' });
    assert.deepEqual([status, json().code], [503, 'TIMEOUT']);
    late.status(200).send('late');
  });

  it('under node:http alone: what is thrown goes to next, and the key is free', async () => {
    const middleware = idempotencyMiddleware({ store: { postgres: pool }, name: 'bare' });
    let calls = 0;
    const bare = createServer((request, response) => {
      middleware(request, response, (error) => {
        if (error) return response.writeHead(500).end(error.message);
        if (++calls === 1) throw new Error('thrown');
        response.end(`call ${calls}`);
      });
    }).listen(0, '127.0.0.1');
    await event(bare, 'listening');
    const once = async () => {
      const options = { method: 'POST', headers: { 'Idempotency-Key': 'thrown' } };
      return (await fetch(`http://127.0.0.1:${bare.address().port}/`, options)).text();
    };
    assert.deepEqual([await once(), await once(), await once()], ['thrown', 'call 2', 'call 2']);
    bare.close();
    bare.closeAllConnections();
  });

  it('refuses what it can not take, and says so where the body is not parsed yet', async () => {
    assert.throws(() => idempotencyMiddleware({}), { code: 'INVALID_ARGUMENT', option: 'store' });
    assert.throws(() => idempotencyMiddleware({ store: { postgres: pool }, methods: 'POST' }), { option: 'methods' });
    assert.throws(() => idempotencyMiddleware({ store: { postgres: pool }, leaseMs: 0 }), { option: 'leaseMs' });
    const middleware = idempotencyMiddleware({ store: { postgres: pool } });
    const bare = createServer((request, response) => {
      middleware(request, response, (error) => response.end(error ? error.code : 'fine'));
    }).listen(0, '127.0.0.1');
    await event(bare, 'listening');
    const url = `http://127.0.0.1:${bare.address().port}/`;
    const headers = { 'Idempotency-Key': 'bare' };
    assert.equal(await (await fetch(url, { method: 'POST', headers, body: 'x' })).text(), 'BAD_OPTION');
    assert.equal(await (await fetch(url, { method: 'POST', headers })).text(), 'fine');
    assert.equal((await fetch(url, { method: 'POST', headers })).headers.get('idempotency-replayed'), 'true');
    bare.close();
    bare.closeAllConnections();
    await middleware.close();
  });
});
