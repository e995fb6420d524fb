// Opening, saying hello, staying, being closed: protocol.md, Connection.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { SignJWT } from 'jose';
import { upgrade } from '../lib/server/support/net.js';
import { RawClient, login } from './support/raw-client.js';
import { cleanUp, startServer as startOnDisk } from './support/servers.js';

/** What is tested here has nothing to do with where messages are kept. */
const startServer = (options = {}) => startOnDisk({ memory: true, ...options });

const hello = (more = {}) => ({ t: 'hello', v: 1, device: 'phone', pe: 1, token: 'alice', ...more });

describe('flow: connection', () => {
  afterEach(cleanUp);

  it('hello is answered by welcome, with who, where and what is allowed', async () => {
    const server = await startServer({ node: 'n1', limits: { window: 7 } });
    const { welcome } = await login(server, 'alice', { device: 'phone' });
    const { now, ...rest } = welcome;
    assert.ok(Math.abs(now - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      t: 'welcome',
      v: 1,
      user: 'alice',
      device: 'phone',
      node: 'n1',
      limits: { frame: 65_536, body: 16_384, window: 7, page: 200, rate: 100 },
      convs: [],
    });
  });

  it('the token may come in the upgrade request', async () => {
    const server = await startServer();
    const client = await RawClient.open({ port: server.port, headers: { Authorization: 'Bearer bob' } });
    client.send(hello({ token: undefined }));
    assert.equal((await client.take('welcome')).user, 'bob');
  });

  it('the hook sees the request, and packets sent behind the hello wait for it', async () => {
    let release;
    const asked = new Promise((resolve) => (release = resolve));
    const server = await startServer({
      authenticate: async ({ request, token, device }) => {
        await asked;
        return { user: `${new URL(request.url, 'http://x').searchParams.get('user')}-${token}-${device}` };
      },
    });
    const client = await RawClient.open({ port: server.port, path: '/everyonce?user=carol' });
    client.send(hello({ token: 't', device: 'd' }), { t: 'create', rid: 1, conv: 'g:early', members: [] });
    client.send({ t: 'ping' });
    release();
    assert.equal((await client.take('welcome')).user, 'carol-t-d');
    assert.deepEqual(await client.take('ok'), { t: 'ok', rid: 1 });
    await client.take('pong');
  });

  describe('is closed with 4401', () => {
    const refusals = {
      'where the hook says null': () => null,
      'where the hook throws': () => assert.fail('no'),
      'where the hook gives no user, and the application hears of it': () => ({ user: 'not a user' }),
    };
    for (const [what, authenticate] of Object.entries(refusals)) {
      it(what, async () => {
        const server = await startServer({ authenticate });
        const errors = [];
        server.on('error', (error) => errors.push(error.code));
        const client = await RawClient.open(server);
        client.send(hello());
        assert.equal(await client.closed, 4401);
        assert.equal(errors.length, what.includes('hears') ? 1 : 0);
        assert.deepEqual(client.frames, []);
      });
    }

    it('by a JWT that is no good, or when a good one expires', async () => {
      const jwtSecret = 'a secret of no less than 32 bytes';
      const server = await startServer({ jwtSecret });
      const key = new TextEncoder().encode(jwtSecret);
      const exp = Math.ceil(Date.now() / 1000) + 1;
      const token = await new SignJWT({ sub: 'alice', exp }).setProtectedHeader({ alg: 'HS256' }).sign(key);
      const bad = await RawClient.open(server);
      bad.send(hello({ token: `${token}x` }));
      assert.equal(await bad.closed, 4401);
      const good = await login(server, 'alice', { token });
      assert.equal(good.welcome.user, 'alice');
      assert.equal(await good.closed, 4401);
      assert.ok(Date.now() >= exp * 1000);
    });
  });

  it('is closed with 4408 where no hello comes', async () => {
    const server = await startServer();
    const openedMs = performance.now();
    const client = await RawClient.open(server);
    assert.equal(await client.closed, 4408);
    assert.ok(performance.now() - openedMs >= 4900);
  });

  describe('is closed with 4400', () => {
    const wrong = {
      'for another first packet': (client) => client.send({ t: 'ping' }),
      'for another version': (client) => client.send(hello({ v: 2 })),
      'for a hello without a device': (client) => client.send(hello({ device: undefined })),
      'for a hello with a reserved device': (client) => client.send(hello({ device: 'server' })),
      'for a hello with pe 0': (client) => client.send(hello({ pe: 0 })),
      'for more than 200 positions': (client) => {
        client.send(hello({ at: Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`g:c${i}`, [1, 1]])) }));
      },
      'for a binary frame': (client) => client.ws.send(Buffer.from(JSON.stringify(hello()))),
    };
    for (const [what, act] of Object.entries(wrong)) {
      it(what, async () => {
        const server = await startServer();
        const client = await RawClient.open(server);
        act(client);
        assert.equal(await client.closed, 4400);
      });
    }
  });

  it('a second connection of the same device closes the first with 4409, another device none', async () => {
    const server = await startServer();
    const first = await login(server, 'alice', { device: 'phone' });
    const tablet = await login(server, 'alice', { device: 'tablet' });
    const second = await login(server, 'alice', { device: 'phone' });
    assert.equal(await first.closed, 4409);
    await second.settled();
    await tablet.settled();
  });

  it('an older copy of a device is told that it is stale, and the newer stays', async () => {
    const server = await startServer();
    const newer = await login(server, 'alice', { pe: 5 });
    const older = await RawClient.open(server);
    older.send(hello({ device: 'alice-1', pe: 4 }));
    const error = await older.take('error');
    assert.deepEqual([error.code, error.pe], ['stale_device', 5]);
    assert.equal(await older.closed, 4409);
    await newer.settled();
  });

  it('ping is answered by pong, an unknown packet by an error that ends nothing', async () => {
    const client = await login(await startServer(), 'alice');
    const error = await client.ask({ t: 'dance' });
    assert.deepEqual([error.t, error.code], ['error', 'unsupported']);
    await client.settled();
  });

  it('too many packets: refused with retry, then closed with 4429; nobody else notices', async () => {
    const server = await startServer({ limits: { rate: 1 } });
    const [loud, quiet] = [await login(server, 'alice'), await login(server, 'bob')];
    for (let i = 0; i < 60; i++) loud.send({ t: 'dance', rid: i });
    assert.equal(await loud.closed, 4429);
    const refused = await loud.take('error', { code: 'rate_limited' }).catch(() => loud.packets);
    assert.ok(refused.retry > 0, JSON.stringify(refused));
    await quiet.settled();
  });

  it('limits.connections: 1013 for one more, room again when one has gone', async () => {
    const server = await startServer({ limits: { connections: 1 } });
    const first = await login(server, 'alice');
    const second = await RawClient.open(server);
    assert.equal(await second.closed, 1013);
    const gone = once(server, 'disconnect');
    await first.close();
    await gone;
    await login(server, 'bob');
  });

  it("other sites' pages get 403", async () => {
    const server = await startServer({ origins: ['https://chat.example'] });
    for (const [origin, status] of [
      ['https://evil.example', 403],
      ['https://chat.example', 101],
    ]) {
      // prettier-ignore
      const answer = await upgrade(server.port, { headers: { Origin: origin } });
      assert.equal(answer.status, status);
      answer.socket.destroy();
    }
  });

  it('the application hears who comes and goes', async () => {
    const server = await startServer();
    const connected = once(server, 'connect');
    const client = await login(server, 'alice', { device: 'phone' });
    const [{ user, device }] = await connected;
    assert.deepEqual([user, device], ['alice', 'phone']);
    const gone = once(server, 'disconnect');
    await client.close();
    assert.equal((await gone)[0].user, 'alice');
    assert.equal(server.stats().connections, 0);
  });
});
