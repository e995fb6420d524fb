// Publishing and changing conversations over HTTP, on a real server, as programs in other languages do it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from '../../lib/server/server.js';
import { closeServer } from '../lib/server/support/net.js';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, spawnServer, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const KEY = 'the-service-key';

describe('flow: http calls', () => {
  let server;
  afterEach(cleanUp);

  const start = async (options = {}) => (server = await startServer({ memory: true, serviceKey: KEY, ...options }));

  /** Sends, and gives [status, answer]; an answer's error as its code. */
  const call = async (path, body, { method = 'POST', token = KEY, key, headers = {} } = {}) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/everyonce/${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...headers,
      },
      body: method === 'GET' || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    const answer = await response.json();
    assert.equal(response.headers.get('content-type'), 'application/json');
    return [response.status, answer.error ? answer.error.code : answer, response.headers, answer.error?.message];
  };
  const refused = async (...args) => (await call(...args)).slice(0, 2);
  const publish = (body, more) => call('publish', body, { key: 'order-0001', ...more });

  it('publishes once for each key, with the same answer, and delivers', async () => {
    await start();
    const bob = await login(server, 'bob');
    const message = { conv: DM, from: 'alice', type: 'note', body: { total: 9 } };
    const [status, first] = await publish(message);
    assert.deepEqual([status, Object.keys(first), first.seq, first.dup], [200, ['seq', 'epoch', 'mid', 'at', 'dup'], 1, false]); // prettier-ignore
    assert.deepEqual((await publish(message)).slice(0, 2), [200, { ...first, dup: true }]);
    const told = await bob.take('msg');
    assert.deepEqual([told.id, told.from, told.device, told.type, told.body], ['order-0001', 'alice', 'server', 'note', { total: 9 }]); // prettier-ignore
    assert.deepEqual(await refused('publish', { ...message, body: 8 }, { key: 'order-0001' }), [422, 'conflict']);
    await bob.settled();
    assert.deepEqual(bob.untaken('msg'), []);
    // A key is its user's own, and the conversation's.
    assert.equal((await publish({ ...message, from: 'bob' }))[1].seq, 2);
    assert.equal((await publish({ ...message, conv: 'dm:alice:carl' }))[1].dup, false);
  });

  it('hashes a key that is no id into one, always the same', async () => {
    await start();
    for (const key of ['k', 'order 4711 / line 2', '"8e03978e-40d5-43e8-bc93-6894a57f9324"', 'x'.repeat(255)]) {
      assert.equal((await publish({ conv: DM, from: 'alice', body: key }, { key }))[1].dup, false, key);
      assert.equal((await publish({ conv: DM, from: 'alice', body: key }, { key }))[1].dup, true, key);
    }
    const [first] = (await server.history(DM)).items;
    assert.equal(first.id, 'glTDKakoUPbVOd03b0gW7idkUX2l4CNVFK9DMWRIDXo', 'of "k": kept for ever');
    for (const key of [undefined, 'x'.repeat(256)]) {
      assert.deepEqual(await refused('publish', { conv: DM, from: 'alice', body: 1 }, { key }), [400, 'bad_request']);
    }
  });

  it('keeps a body byte for byte', async () => {
    await start();
    const bob = await login(server, 'bob');
    const body = '{"big":12345678901234567890.10, "lone":"\\ud800", "space" : [ 1,2 ] }';
    await publish(`{"body":"not this","conv":"${DM}","from":"alice","body": ${body} }`);
    await bob.take('msg');
    assert.ok(bob.frames.some((frame) => frame.includes(`"body":${body}`)));
  });

  it('stores one of several at the same time', async () => {
    await start();
    const message = { conv: DM, from: 'alice', body: 1 };
    const answers = await Promise.all([publish(message), publish(message), publish(message)]);
    const codes = answers.map(([status, answer]) => (status === 200 ? answer.dup : answer));
    assert.equal(codes.filter((code) => code === false).length, 1);
    for (const [status, answer, headers] of answers) {
      if (status !== 200) assert.deepEqual([status, answer, headers.get('retry-after')], [409, 'in_progress', '1']);
    }
    assert.equal((await publish(message))[1].dup, true, 'and then it is over');
    assert.equal((await server.history(DM)).items.length, 1);
  });

  it('lets a user speak for himself, and only the service key for others', async () => {
    await start();
    const own = { token: 'alice' };
    assert.equal((await publish({ conv: DM, body: 1 }, own))[1].seq, 1);
    assert.equal((await publish({ conv: DM, from: 'alice', body: 1 }, own))[1].dup, true);
    const wrong = [
      [403, 'forbidden', { conv: DM, from: 'bob', body: 1 }, own],
      [404, 'unknown_conv', { conv: 'dm:bob:carl', body: 1 }, own],
      [404, 'unknown_conv', { conv: 'g:none', body: 1 }, own],
      [401, 'unauthenticated', { conv: DM, body: 1 }, { token: null }],
      [401, 'unauthenticated', { conv: DM, body: 1 }, { token: 'not a user!' }],
      [401, 'unauthenticated', { conv: DM, from: 'alice', body: 1 }, { token: `${KEY}!` }],
      [400, 'bad_request', { conv: DM, body: 1 }, {}],
      [400, 'bad_request', { conv: DM, from: 'system', body: 1 }, {}],
      [403, 'forbidden', { conv: DM, body: 1 }, { ...own, headers: { origin: 'https://evil.example' } }],
    ];
    for (const [status, code, message, how] of wrong) {
      assert.deepEqual((await publish(message, how)).slice(0, 2), [status, code], JSON.stringify([message, how]));
    }
    assert.equal((await server.history(DM)).items.length, 1);
  });

  it("takes the application's own cookie, from its own pages only", async () => {
    const users = new Map([['session=one', 'alice']]);
    const authenticate = ({ request, token }) => {
      const user = token === null ? users.get(request.headers.cookie) : undefined;
      return user ? { user } : null;
    };
    await start({ authenticate });
    const origin = `http://127.0.0.1:${server.port}`;
    const ask = async (headers) => (await publish({ conv: DM, body: 1 }, { token: null, headers })).slice(0, 2);
    const [status, { seq, dup }] = await ask({ origin, cookie: 'session=one' });
    assert.deepEqual([status, seq, dup], [200, 1, false]);
    assert.deepEqual((await ask({ origin, cookie: 'session=one' }))[1].dup, true);
    assert.deepEqual(await ask({ origin, cookie: 'session=two' }), [401, 'unauthenticated']);
    assert.deepEqual(await ask({ origin: 'https://elsewhere.example', cookie: 'session=one' }), [403, 'forbidden']);
    assert.deepEqual(await ask({ cookie: 'session=one' }), [401, 'unauthenticated'], 'any page can send a cookie');
    assert.equal((await server.history(DM)).items[0].from, 'alice');
  });

  it('refuses what is malformed, by name', async () => {
    await start();
    const wrong = [
      [400, /JSON/, 'not json'],
      [400, /JSON/, Buffer.from('{"conv":"\xff"}', 'latin1')],
      [400, /object/, '[]'],
      [400, /conv/, { from: 'alice', body: 1 }],
      [400, /"conv"/, { conv: 'dm:bob:alice', from: 'alice', body: 1 }],
      [400, /body is missing/, { conv: DM, from: 'alice' }],
      [400, /type/, { conv: DM, from: 'alice', body: 1, type: 5 }],
      [400, /"type"/, { conv: DM, from: 'alice', body: 1, type: 'system.members' }],
      [400, /"body"/, `{"conv":"${DM}","from":"alice","body":${'['.repeat(65)}${']'.repeat(65)}}`],
      [413, /16384/, { conv: DM, from: 'alice', body: 'x'.repeat(16_383) }],
      [413, /65536/, { conv: DM, from: 'alice', body: 'x'.repeat(65_536) }],
    ];
    for (const [status, says, body] of wrong) {
      const answer = await publish(body);
      assert.equal(answer[0], status, String(body).slice(0, 80));
      assert.match(answer[3], says);
    }
    const typed = (headers) => publish('{}', { headers }).then(([status]) => status);
    assert.equal(await typed({ 'content-type': 'text/plain' }), 415);
    assert.equal(await typed({ 'content-encoding': 'gzip' }), 415);
    const [status, code, headers] = await call('publish', undefined, { method: 'GET' });
    assert.deepEqual([status, code, headers.get('allow')], [405, 'bad_request', 'POST']);
    assert.equal((await server.history(DM)).items.length, 0);
  });

  it('makes conversations and changes their members', async () => {
    await start();
    const ok = [200, { ok: true }];
    assert.deepEqual(await refused('conversations', { conv: 'g:team', members: ['alice', 'bob'], history: 'all' }), ok);
    assert.deepEqual(await refused('conversations', { conv: 'g:team', members: ['alice', 'bob'] }), ok, 'again');
    assert.deepEqual(await refused('conversations', { conv: 'g:team', members: ['carl'] }), [409, 'exists']);
    assert.deepEqual(await refused('conversations/g:team/members', { members: ['carl'] }), ok);
    const remove = { method: 'DELETE' };
    assert.deepEqual(await refused('conversations/g%3Ateam/members', { members: ['bob'] }, remove), ok);
    assert.equal((await publish({ conv: 'g:team', from: 'carl', body: 1 }))[0], 200);
    assert.equal((await publish({ conv: 'g:team', from: 'bob', body: 1 }))[0], 404);
    // A user makes his own, and changes no other's.
    const alice = { token: 'alice' };
    assert.deepEqual(await refused('conversations', { conv: 'g:hers', members: ['bob'] }, alice), ok);
    assert.deepEqual(await refused('conversations/g:hers/members', { members: ['carl'] }, alice), ok);
    assert.deepEqual(await refused('conversations/g:hers/members', { members: ['dora'] }, { token: 'bob' }), [403, 'forbidden']); // prettier-ignore
    assert.deepEqual(await refused('conversations/g:team/members', { members: ['dora'] }, { token: 'eve' }), [404, 'unknown_conv']); // prettier-ignore
    assert.deepEqual(await refused('conversations', { conv: 'g:x', creator: 'bob', members: [] }, alice), [403, 'forbidden']); // prettier-ignore
    const bad = [
      ['conversations', { members: [] }],
      ['conversations', { conv: DM, members: [] }],
      ['conversations', { conv: 'g:x', members: 'bob' }],
      ['conversations', { conv: 'g:x', members: ['a b'] }],
      ['conversations', { conv: 'g:x', members: [], history: 'some' }],
      ['conversations/g:team/members', {}],
      ['conversations/%ff/members', { members: ['bob'] }],
      ['conversations/team/members', { members: ['bob'] }],
    ];
    for (const [path, body] of bad) assert.deepEqual(await refused(path, body), [400, 'bad_request'], path);
  });

  it('holds users to the rate, and the service key not', async () => {
    await start({ limits: { rate: 1 } });
    const asked = (token) => publish({ conv: DM, from: 'alice', body: 1 }, { token });
    for (let i = 0; i < 10; i++) assert.equal((await asked('alice'))[0], 200);
    const [status, code, headers] = await asked('alice');
    assert.deepEqual([status, code, headers.get('retry-after')], [429, 'rate_limited', '1']);
    assert.equal((await asked(KEY))[0], 200);
    // Strangers are counted by their address: the hook is not theirs to keep busy.
    const statuses = [];
    for (let i = 0; i < 400; i++) statuses.push((await asked('no user!'))[0]);
    assert.deepEqual([statuses[0], statuses.at(-1)], [401, 429]);
  });

  it('cuts off a body that is too large though it did not say so, and gets its answer there', async () => {
    await start();
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => {});
    const head = `POST /everyonce/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${KEY}\r\n`;
    socket.write(`${head}Idempotency-Key: order-0001\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    for (let i = 0; i < 5; i++) socket.write(chunk);
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 413 /);
    // It never ends: the connection does.
    await once(socket, 'close');
  });

  it('answers 503 while it closes, beside an application that goes on', async () => {
    const http = createHttpServer((_, response) => response.end('app')).listen(0, '127.0.0.1');
    await once(http, 'listening');
    onCleanUp(() => closeServer(http));
    const { port } = http.address();
    const chat = createServer({ insecure: true, memory: true, serviceKey: KEY });
    chat.attach(http);
    server = { port };
    const bob = await login(server, 'bob');
    const closing = chat.close();
    await bob.take('bye');
    const [status, code, headers] = await publish({ conv: DM, from: 'alice', body: 1 });
    assert.deepEqual([status, code, headers.get('retry-after')], [503, 'unavailable', '1']);
    assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/everyonce/healthz`)).json(), { status: 'closing' });
    await closing;
  });

  it('serves programs in other languages: everyonce serve --service-key', async () => {
    const { listening } = spawnServer(
      '--port',
      '0',
      '--insecure',
      '--data',
      join(makeDirectory(), 'data'),
      '--service-key',
      KEY,
    );
    server = { port: await listening };
    assert.equal((await publish({ conv: DM, from: 'alice', body: 1 }))[1].seq, 1);
  });
});
