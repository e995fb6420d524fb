// What an outsider, or a user who means harm, may try, one promise of SECURITY.md at a time.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { SignJWT } from 'jose';
import { RawClient, login } from './support/raw-client.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

const SECRET = 'a secret of at least thirty-two bytes';
const DM = 'dm:alice:bob';
/** Connections that never speak; `npm run faults` has 10,000 (test/faults/silent.test.js). */
const SILENT = 200;

/** @param {string} user @param {string} [secret] @param {number} [seconds] */
const sign = (user, secret = SECRET, seconds = 3600) =>
  new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime(Math.floor(Date.now() / 1000) + seconds).sign(new TextEncoder().encode(secret)); // prettier-ignore

describe('flow: security', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  describe('a stranger', () => {
    /** @type {any} */
    let server;
    const call = async (path, { method = 'POST', body, key, user = 'mallory' } = {}) => {
      const headers = { Authorization: `Bearer ${user}`, ...(key ? { 'Idempotency-Key': key } : {}) };
      const response = await fetch(`http://127.0.0.1:${server.port}/everyonce/${path}`, {
        method,
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      return [response.status, await response.json()];
    };

    beforeEach(async () => {
      server = await startServer({ memory: true });
      const alice = await login(server, 'alice');
      await alice.ask({ t: 'create', conv: 'g:theirs', members: ['bob'] });
      for (const conv of [DM, 'g:theirs']) await alice.say(conv, `secret-of-${conv.length}`, 'a secret', { n: 1 });
    });

    // The same call about what exists and what does not must give the same answer, or it tells which is which.
    for (const [what, path, method, body] of [
      ['publish to a group', 'publish', 'POST', (conv) => ({ conv, body: 1 })],
      ['add members', (conv) => `conversations/${encodeURIComponent(conv)}/members`, 'POST', () => ({ members: ['mallory'] })], // prettier-ignore
      ['remove members', (conv) => `conversations/${encodeURIComponent(conv)}/members`, 'DELETE', () => ({ members: ['bob'] })], // prettier-ignore
    ]) {
      it(`over HTTP can't ${what}, nor tell whether it exists`, async () => {
        const about = async (conv) => {
          const where = typeof path === 'string' ? path : path(conv);
          const [status, answer] = await call(where, { method, body: body(conv), key: 'key-00000001' });
          return [status, JSON.parse(JSON.stringify(answer).replaceAll(conv, 'CONV'))];
        };
        const theirs = await about('g:theirs');
        assert.deepEqual(theirs, await about('g:nothere'));
        assert.equal(theirs[0], 404);
        const bob = await login(server, 'bob');
        const page = await bob.ask({ t: 'history', conv: 'g:theirs', after: 0, limit: 50 });
        assert.deepEqual(page.items.map(({ type }) => type), ['system.members', 'text']); // prettier-ignore
      });
    }

    it("over HTTP can't write between two others, nor speak for another, nor take tokens as another", async () => {
      for (const from of [undefined, 'alice']) {
        const [status] = await call('publish', { body: { conv: DM, from, body: 1 }, key: 'key-00000002' });
        assert.ok(status === 403 || status === 404, `from ${from}: ${status}`);
      }
      const [status] = await call('tokens?count=1&user=alice', {});
      assert.notEqual(status, 500);
      assert.equal((await call('publish', { user: '', body: { conv: DM, body: 1 }, key: 'key-00000003' }))[0], 401);
    });

    it('by packets gets not one byte of what others say', async () => {
      const mallory = await login(server, 'mallory');
      const convs = [DM, 'g:theirs'];
      for (const conv of convs) {
        mallory.send({ t: 'got', conv, epoch: 1, seq: 1 }, { t: 'read', conv, seq: 1 }, { t: 'signal', conv, body: 1 });
        mallory.send({ t: 'resume', rid: 1, at: { [conv]: [1, 1] } });
        for (const packet of [
          { t: 'pull', limit: 9, order: 'oldest' },
          { t: 'pull', limit: 9, order: 'newest', hold: true },
          { t: 'history', limit: 9 },
          { t: 'status', ids: ['secret-of-12'], device: 'alice-1' },
          { t: 'skip', from: 1, to: 5 },
          { t: 'leave' },
        ])
          // prettier-ignore
          await mallory.ask({ ...packet, conv });
        await mallory.say(conv, `mallory-${conv.length}`, 1, { n: 1 });
      }
      for (const packet of [{ t: 'pull', limit: 200, order: 'oldest' }, { t: 'counts' }]) await mallory.ask(packet);
      await mallory.settled();
      const heard = mallory.frames.join();
      assert.ok(!heard.includes('a secret') && !heard.includes('secret-of'), heard);
    });
  });

  it('names that confuse keys of objects or of the store are names like others', async () => {
    const server = await startServer({ memory: true });
    const names = [
      '__proto__',
      'constructor',
      'toString',
      'a',
      'a-b',
      'a.b',
      'A',
      '0',
      'hasOwnProperty',
      'x'.repeat(64),
    ];
    for (const name of names) {
      const other = names[(names.indexOf(name) + 1) % names.length];
      const conv = `dm:${[name, other].sort((a, b) => (a < b ? -1 : 1)).join(':')}`;
      const client = await login(server, name, { device: name.replaceAll('.', '_') });
      assert.equal(client.welcome.user, name);
      assert.deepEqual(client.welcome.convs.map(({ conv: one }) => one), names.indexOf(name) === 0 ? [] : [`dm:${[name, names[names.indexOf(name) - 1]].sort((a, b) => (a < b ? -1 : 1)).join(':')}`]); // prettier-ignore
      assert.equal((await client.say(conv, `from-${name}`.padEnd(8, '-').slice(0, 64).replaceAll('.', '_'), name, { n: 1 })).seq, 1); // prettier-ignore
      const group = `g:${name}`.slice(0, 90);
      assert.equal((await client.ask({ t: 'create', conv: group, members: [] })).t, 'ok', group);
      const at = JSON.parse(`{"g:__proto__":[1,1],${JSON.stringify(conv)}:[0,0]}`);
      assert.equal((await client.ask({ t: 'resume', at })).convs.length, 2);
      await client.close();
    }
    assert.equal(/** @type {any} */ ({}).seq, undefined);
    const client = await login(server, 'plain');
    for (const conv of [
      'dm:a:b:c',
      'dm:a',
      'dm:b:a',
      'dm:a:a',
      'dm::a',
      'g:',
      'g:a:b',
      'g:a\u0000b',
      'g:é',
      'dm:a\u0000:b',
    ])
      assert.equal((await client.ask({ t: 'history', conv, limit: 1 })).code, 'bad_request', JSON.stringify(conv));
  });

  it('no token, no key and no password is in a log, an event, a metric or an answer', async () => {
    const said = [];
    const note = (...about) => said.push(JSON.stringify(about, (_key, value) => (value instanceof Error ? [value.message, value.stack, value.cause] : value))); // prettier-ignore
    const logger = Object.fromEntries(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, note]),
    );
    const serviceKey = 'service-key-of-the-application-0001';
    const server = await startServer({ memory: true, jwtSecret: SECRET, logger, serviceKey });
    server.on('error', note);
    const tokens = {
      good: await sign('alice'),
      expired: await sign('alice', SECRET, -60),
      forged: await sign('alice', 'another secret of thirty-two bytes'),
      broken: 'not-a-token-but-very-secret',
    };
    for (const token of Object.values(tokens)) {
      const byHello = await RawClient.open(server);
      byHello.send({ t: 'hello', v: 1, device: 'd', pe: 1, token });
      const byHeader = await RawClient.open({
        ...server,
        port: server.port,
        headers: { Authorization: `Bearer ${token}` },
      });
      byHeader.send({ t: 'hello', v: 1, device: 'e', pe: 1 });
      for (const client of [byHello, byHeader]) {
        await Promise.race([client.take('welcome').catch(() => {}), client.closed]);
        said.push(...client.frames);
      }
      const url = `http://127.0.0.1:${server.port}/everyonce/publish`;
      const headers = { Authorization: `Bearer ${token}`, 'Idempotency-Key': 'key-00000001' };
      const response = await fetch(url, { method: 'POST', headers, body: '{"conv":"dm:alice:bob","body":1}' });
      said.push(await response.text());
    }
    said.push(await server.metrics(), JSON.stringify(server.stats()));
    const heard = said.join('\n');
    for (const [name, token] of Object.entries(tokens)) {
      for (const part of token.split('.').slice(-1)) assert.ok(!heard.includes(part), `${name} is told`);
    }
    for (const secret of [SECRET, serviceKey]) assert.ok(!heard.includes(secret));
    assert.ok(said.length > 8);
  });

  it(`${SILENT} connections that never speak are let go with 4408, and others notice nothing`, async () => {
    const server = await startServer({ memory: true, limits: { addressConnects: 0, addressRate: 0 } });
    const silent = await Promise.all(Array.from({ length: SILENT }, () => RawClient.open(server)));
    const bob = await login(server, 'bob');
    const alice = await login(server, 'alice');
    await alice.say(DM, 'message-1', 1, { n: 1 });
    await bob.take('msg');
    const codes = new Set(await Promise.all(silent.map(({ closed }) => closed)));
    assert.deepEqual([...codes], [4408]);
    await alice.say(DM, 'message-2', 2, { n: 2 });
    await bob.take('msg', { seq: 2 });
  });

  it('a small frame costs a bounded answer: no more than a page, however much is there', async () => {
    const server = await startServer({ memory: true, limits: { rate: 0 } });
    const alice = await login(server, 'alice');
    const body = 'x'.repeat(16_000);
    for (let n = 1; n <= 120; n++) await alice.say(DM, `message-${n}`, body, { n });
    const bob = await login(server, 'bob', { live: false });
    const page = 1_048_576 + 65_536;
    for (const packet of [
      { t: 'pull', conv: DM, limit: 200, order: 'oldest' },
      { t: 'pull', limit: 200, order: 'newest', hold: true },
      { t: 'history', conv: DM, limit: 200 },
      { t: 'counts' },
      { t: 'status', conv: DM, ids: Array.from({ length: 100 }, (_, i) => `message-${i + 1}`) },
      { t: 'resume', at: { [DM]: [1, 1] } },
      { t: 'tokens', count: 100 },
    ]) {
      bob.frames.length = 0;
      await bob.ask(packet);
      const bytes = bob.frames.reduce((sum, frame) => sum + frame.length, 0);
      assert.ok(bytes < page, `${packet.t}: ${bytes} bytes`);
    }
  });

  it('who asks for much and reads nothing is cut off, and costs no more than limits.buffered says', async () => {
    const buffered = 262_144;
    const server = await startServer({ memory: true, limits: { rate: 0, buffered } });
    const alice = await login(server, 'alice');
    for (let n = 1; n <= 60; n++) await alice.say(DM, `message-${n}`, 'x'.repeat(16_000), { n });
    // By hand, so that nothing reads: a pull asks for a megabyte in 70 bytes.
    const socket = connect(server.port, '127.0.0.1');
    onCleanUp(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(`GET /everyonce HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: everyonce.v1\r\n\r\n`); // prettier-ignore
    await once(socket, 'readable');
    const frame = (packet) => {
      const text = Buffer.from(JSON.stringify(packet));
      const head = text.length < 126 ? [0x81, 0x80 | text.length] : [0x81, 0xfe, text.length >> 8, text.length & 255];
      return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), text]);
    };
    const gone = new Promise((resolve) => server.on('disconnect', ({ user }) => user === 'bob' && resolve(true)));
    socket.write(frame({ t: 'hello', v: 1, device: 'd', pe: 1, token: 'bob', live: false }));
    for (let rid = 1; rid <= 200; rid++) socket.write(frame({ t: 'pull', rid, conv: DM, limit: 200, order: 'oldest' }));
    // 200 megabytes are asked for: it is cut before.
    assert.equal(await gone, true);
    assert.equal((await alice.say(DM, 'message-61', 1, { n: 61 })).seq, 61);
  });
});
