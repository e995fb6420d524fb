// HTTP beside a real server.
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { createServer } from '../../lib/server/server.js';
import { closeServer } from '../lib/server/support/net.js';
import { login } from './support/raw-client.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

describe('flow: http', () => {
  afterEach(cleanUp);

  it('counts in metrics what was done', async () => {
    const server = await startServer({ memory: true });
    const alice = await login(server, 'alice');
    await alice.say('dm:alice:bob', 'message-1', 1, { n: 1 });
    await alice.say('dm:alice:bob', 'message-1', 1, { n: 1 });
    const text = await (await fetch(`http://127.0.0.1:${server.port}/everyonce/metrics`)).text();
    assert.match(text, /^everyonce_duplicates_total 1$/m);
    assert.match(text, /^everyonce_connections 1$/m);
    assert.equal((await fetch(`http://127.0.0.1:${server.port}/everyonce/healthz`)).status, 200);
  });

  it('serves a client whose every import is there', async () => {
    const server = await startServer({ memory: true });
    const seen = new Set();
    const wanted = [`http://127.0.0.1:${server.port}/everyonce/client.js`];
    for (let url = wanted.pop(); url; url = wanted.pop()) {
      if (seen.has(url)) continue;
      seen.add(url);
      const response = await fetch(url);
      assert.equal(response.status, 200, url);
      const text = await response.text();
      for (const [, name] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
        assert.match(name, /^\.{1,2}\//, `${url} imports ${name}`);
        wanted.push(new URL(name, url).href);
      }
    }
    assert.ok([...seen].some((url) => url.endsWith('/protocol/errors.js')));
  });

  it('shares an http server with an application, and leaves it as it was', async () => {
    const http = createHttpServer((_, response) => response.end('app'));
    const chat = createServer({ insecure: true, memory: true });
    chat.attach(http, { path: '/chat' });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    onCleanUp(() => closeServer(http));
    const { port } = http.address();
    const alice = await login({ port, path: '/chat' }, 'alice');
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'app');
    const down = chat.close();
    assert.equal(await alice.closed, 1012);
    await down;
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/chat/healthz`)).text(), 'app');
  });
});
