import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { clientFiles } from '../../../lib/server/client-files.js';
import { HttpEndpoints } from '../../../lib/server/http.js';
import { mount } from '../../../lib/server/mount.js';
import { closeServer, listening, upgrade } from './support/net.js';

/** An edge that answers each upgrade with its name. */
const namedEdge = (name) => ({
  upgrade: (_request, socket) => socket.end(`HTTP/1.1 299 ${name}\r\nContent-Length: 0\r\n\r\n`),
});

describe('http', () => {
  let http;
  let unmount;
  let health = 'ok';
  const source = {
    health: async () => health,
    calls: {
      owns: (name) => name === 'publish',
      handle: async (name, request, response) => response.end(`call ${name} ${request.method}`),
    },
    metrics: async () => 'everyonce_connections 1\n',
    metricsType: () => 'text/plain; version=0.0.4',
  };
  const get = (path, options) => fetch(`http://127.0.0.1:${http.port}${path}`, options);

  const start = async (path = '/everyonce') => {
    health = 'ok';
    http = await listening((request, response) => response.end(`app ${request.url}`));
    unmount = mount(http, new HttpEndpoints(path, source), namedEdge('edge'));
  };
  beforeEach(() => start());
  afterEach(() => closeServer(http));

  it('leaves all other paths to the application', async () => {
    for (const path of ['/', '/everyoncex', '/everyonce.js', '/x/everyonce/healthz']) {
      assert.equal(await (await get(path)).text(), `app ${path}`);
    }
  });

  it('healthz: 200, and 503 with the reason', async () => {
    const up = await get('/everyonce/healthz?x=1');
    assert.deepEqual([up.status, await up.json()], [200, { status: 'ok' }]);
    for (health of ['closing', 'unavailable']) {
      const down = await get('/everyonce/healthz');
      assert.deepEqual([down.status, await down.json()], [503, { status: health }]);
    }
  });

  it('metrics, as Prometheus reads them', async () => {
    const response = await get('/everyonce/metrics');
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4');
    assert.match(await response.text(), /everyonce_connections 1/);
  });

  it('client.js leads to files that never change, and those to each other', async () => {
    const first = await get('/everyonce/client.js');
    assert.match(first.headers.get('content-type'), /^text\/javascript/);
    assert.equal(first.headers.get('cache-control'), 'no-cache');
    const [, path] = /'\.\/(client\/[\w-]+\/client\/index\.js)'/.exec(await first.text());
    const known = await get('/everyonce/client.js', { headers: { 'If-None-Match': first.headers.get('etag') } });
    assert.equal(known.status, 304);
    const protocol = path.replace('client/index.js', 'protocol/errors.js');
    const file = await get(`/everyonce/${protocol}`);
    assert.match(file.headers.get('cache-control'), /immutable/);
    assert.equal(await file.text(), readFileSync(new URL('../../../lib/protocol/errors.js', import.meta.url), 'utf8'));
  });

  it('gives out nothing but the client and the protocol', async () => {
    for (const path of clientFiles().keys())
      assert.match(path, /^client(\.js|\/[\w-]{16}\/(client|protocol)\/[\w-]+\.js)$/);
    assert.ok(![...clientFiles().keys()].some((path) => path.includes('file-outbox')));
    const version = [...clientFiles().keys()][1].split('/')[1];
    for (const path of ['server/server.js', '../package.json', 'client/file-outbox.js', '%2e%2e/index.js']) {
      assert.equal((await get(`/everyonce/client/${version}/${path}`)).status, 404, path);
    }
  });

  it('says what is not here', async () => {
    const missing = await get('/everyonce/nothing');
    assert.deepEqual([missing.status, (await missing.json()).error.code], [404, 'not_found']);
    assert.equal(await (await get('/everyonce/publish?x', { method: 'POST' })).text(), 'call publish POST');
    assert.equal((await get('/everyonce')).status, 426);
    const wrong = await get('/everyonce/healthz', { method: 'DELETE' });
    assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, HEAD']);
    assert.equal(await (await get('/everyonce/healthz', { method: 'HEAD' })).text(), '');
  });

  it('can live at the root', async () => {
    await closeServer(http);
    await start('');
    assert.equal((await get('/healthz')).status, 200);
    assert.equal((await upgrade(http.port, { path: '/' })).status, 299);
  });

  describe('upgrades', () => {
    const status = async (path) => {
      const answer = await upgrade(http.port, { path });
      answer.socket.destroy();
      return [answer.status, answer.head.split('\r\n')[0].slice(13)];
    };

    it('are ours at the path, 404 elsewhere where nobody else answers', async () => {
      assert.deepEqual(await status('/everyonce?token=x'), [299, 'edge']);
      assert.equal((await status('/everyonce/'))[0], 404);
      assert.equal((await status('/other'))[0], 404);
    });

    it('of other paths are left to other listeners', async () => {
      http.on('upgrade', ({ url }, socket) => {
        if (url === '/other') socket.end('HTTP/1.1 298 other\r\nContent-Length: 0\r\n\r\n');
      });
      assert.deepEqual(await status('/other'), [298, 'other']);
      assert.deepEqual(await status('/everyonce'), [299, 'edge']);
    });

    it('go to the right one of two servers', async () => {
      mount(http, new HttpEndpoints('/second', source), namedEdge('second'));
      assert.deepEqual(await status('/everyonce'), [299, 'edge']);
      assert.deepEqual(await status('/second'), [299, 'second']);
      assert.equal((await status('/third'))[0], 404);
      assert.equal((await get('/second/healthz')).status, 200);
      assert.equal((await get('/everyonce/healthz')).status, 200);
      assert.equal(await (await get('/')).text(), 'app /');
    });

    it('and requests are left alone once it is off again', async () => {
      unmount();
      assert.equal(await (await get('/everyonce/healthz')).text(), 'app /everyonce/healthz');
      assert.equal(http.listenerCount('upgrade'), 0);
    });
  });
});
