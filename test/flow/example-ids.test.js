// The example's id service, over real HTTP.
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { IdService } from '../../examples/chat/ids.js';
import { createServer } from '../../lib/server/server.js';

describe("the example's ids", () => {
  /** @type {string} */
  let base;
  /** @type {() => Promise<void>} */
  let close;
  before(async () => {
    const chat = createServer({ memory: true, insecure: true });
    const ids = new IdService(chat);
    const http = createHttpServer(
      (request, response) => ids.answer(request, response) || response.writeHead(204).end(),
    );
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    base = `http://127.0.0.1:${/** @type {any} */ (http.address()).port}`;
    close = async () => {
      http.closeAllConnections();
      http.close();
      await ids.close();
      await chat.close();
    };
  });
  after(() => close());
  const get = async (/** @type {string} */ path, method = 'GET') => {
    const response = await fetch(base + path, { method });
    return { status: response.status, body: response.status === 204 ? null : await response.json() };
  };

  it('GET /ids/segment/:tag counts for each tag, many at once', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => get('/ids/segment/orders')));
    assert.deepEqual(
      all.map(({ body }) => Number(body.id)).sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    assert.deepEqual((await get('/ids/segment/others')).body, { id: '1' });
  });

  it('GET /ids/snowflake rises', async () => {
    const [one, two] = [await get('/ids/snowflake'), await get('/ids/snowflake')];
    assert.ok(BigInt(two.body.id) > BigInt(one.body.id));
  });

  it('refuses what is none of it, and leaves the rest to others', async () => {
    for (const path of ['/ids/', '/ids/segment/', '/ids/segment/a%20b', `/ids/segment/${'x'.repeat(65)}`]) {
      assert.equal((await get(path)).status, 404, path);
    }
    assert.equal((await get('/ids/snowflake', 'POST')).status, 405);
    assert.equal((await get('/idsx')).status, 204);
  });
});
