// Message tokens on a real server: over WebSockets, over HTTP, over restarts. What is signed is checked against Node's own
// HMAC, so that the server's is nobody's word for itself.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { Client } from '../../lib/client-node.js';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const KEY = 'the-service-key';
const TOKEN_KEY = 'thirty-two bytes that nobody knows';

/** What Node says that a token of this user must be signed with. */
const signatureOf = (token, user) => {
  const payload = Buffer.from(token.slice(4), 'base64url').subarray(0, 17);
  const signed = Buffer.concat([Buffer.from(`everyonce message token 1\n${user}`), payload]);
  return createHmac('sha256', TOKEN_KEY).update(signed).digest().subarray(0, 16);
};

describe('flow: tokens', () => {
  let server;
  afterEach(cleanUp);
  const start = async ({ dedup, ...options } = {}) => {
    server = await startServer({ memory: true, serviceKey: KEY, dedup: { tokens: 'required', ...dedup }, ...options });
  };
  const issue = async (client, count = 1) => (await client.ask({ t: 'tokens', count })).tokens;
  const say = async (client, id, more) => {
    const { t, code, dup, seq } = await client.say(more?.conv ?? DM, id, more?.body ?? 1, more);
    return t === 'ack' ? [t, seq, dup ?? false] : [t, code];
  };
  const post = async (path, { token = KEY, key, body } = {}) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/everyonce/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...(key ? { 'idempotency-key': key } : {}) }, // prettier-ignore
      body: JSON.stringify(body ?? {}),
    });
    const answer = await response.json();
    return [response.status, answer.error?.code ?? answer];
  };

  it('are signed, for one user, and run out when they say', async () => {
    await start({ dedup: { tokenKey: TOKEN_KEY, tokenTtlMs: 60_000 } });
    const before = Date.now();
    const tokens = [...(await server.issueTokens('alice', 2500)), ...(await server.issueTokens('bob', 1))];
    assert.equal(new Set(tokens).size, 2501);
    for (const [token, user] of [
      [tokens[0], 'alice'],
      [tokens[2499], 'alice'],
      [tokens[2500], 'bob'],
    ]) {
      assert.match(token, /^eo1-[A-Za-z0-9_-]{44}$/);
      const raw = Buffer.from(token.slice(4), 'base64url');
      assert.deepEqual(raw.subarray(17), signatureOf(token, user));
      const expiresMs = raw.readUIntBE(0, 6);
      assert.ok(expiresMs >= before + 60_000 && expiresMs <= Date.now() + 60_000, String(expiresMs));
    }
    for (const count of [0, 1.5, '3', 100_001, undefined]) {
      await assert.rejects(server.issueTokens('alice', count), { code: 'INVALID_ARGUMENT', field: 'count' });
    }
    await assert.rejects(server.issueTokens('system', 1), { code: 'INVALID_ARGUMENT', field: 'user' });
  });

  it('let one message pass each, which may come again, and none else', async () => {
    await start();
    const [alice, laptop, bob] = await Promise.all([login(server, 'alice'), login(server, 'alice', { device: 'laptop' }), login(server, 'bob')]); // prettier-ignore
    assert.equal(alice.welcome.tokens, 'required');
    const [first, second, third] = await issue(alice, 3);
    assert.deepEqual(await say(alice, first, { n: 1 }), ['ack', 1, false]);
    assert.deepEqual(await say(alice, first, { n: 1 }), ['ack', 1, true]);
    assert.deepEqual(await say(laptop, first, { n: 1 }), ['nack', 'token_invalid'], 'another device');
    assert.deepEqual(await say(laptop, first, { n: 1 }), ['nack', 'token_invalid'], 'the same answer again');
    assert.deepEqual(await say(alice, first, { conv: 'dm:alice:carl', n: 1 }), ['nack', 'token_invalid']);
    assert.deepEqual(await say(bob, second, { n: 1 }), ['nack', 'token_invalid'], "another user's");
    assert.deepEqual(
      await say(laptop, second, { n: 2 }),
      ['ack', 2, false],
      'its number was used, and the next goes on',
    );
    assert.deepEqual(await say(alice, 'an-id-of-my-own', { n: 2 }), ['nack', 'token_invalid']);
    assert.deepEqual(await say(alice, third, { n: 3 }), ['ack', 3, false]);
    assert.equal((await server.publish({ conv: DM, from: 'bob', id: 'by-the-app', body: 1 })).seq, 4, 'needs none');
    assert.equal((await server.history(DM)).items.length, 4);
  });

  it('are refused with any bit of any character changed', async () => {
    await start({ limits: { rate: 0 } });
    const alice = await login(server, 'alice');
    const [token] = await issue(alice);
    let n = 0;
    for (let at = 0; at < token.length; at++) {
      const character = String.fromCharCode(token.charCodeAt(at) ^ 1);
      const forged = token.slice(0, at) + character + token.slice(at + 1);
      // Where it is no character of an id at all, another one.
      const id = /^[A-Za-z0-9_-]+$/.test(forged) ? forged : token.slice(0, at) + (token[at] === 'x' ? 'y' : 'x') + token.slice(at + 1); // prettier-ignore
      assert.deepEqual(await say(alice, id, { n: ++n }), ['nack', 'token_invalid'], `${at}: ${id}`);
    }
    assert.deepEqual(await say(alice, token, { n: n + 1 }), ['ack', 1, false]);
  });

  it('outlive a restart, and so does what became of them', async () => {
    const data = join(makeDirectory(), 'data');
    const [used, unused] = await (async () => {
      await start({ memory: undefined, data });
      const alice = await login(server, 'alice');
      const tokens = await issue(alice, 2);
      assert.deepEqual(await say(alice, tokens[0], { n: 1 }), ['ack', 1, false]);
      await server.close();
      return tokens;
    })();
    await start({ memory: undefined, data });
    const [alice, laptop] = [await login(server, 'alice'), await login(server, 'alice', { device: 'laptop' })];
    assert.deepEqual(await say(laptop, used, { n: 1 }), ['nack', 'token_invalid']);
    assert.deepEqual(await say(alice, used, { n: 1 }), ['ack', 1, true]);
    assert.deepEqual(await say(alice, unused, { n: 2 }), ['ack', 2, false]);
  });

  it("where they are only accepted, other ids pass, and a token's shape must be good", async () => {
    await start({ dedup: { tokens: 'accepted' } });
    const [alice, bob] = [await login(server, 'alice'), await login(server, 'bob')];
    assert.equal(alice.welcome.tokens, 'accepted');
    const [token] = await issue(alice);
    assert.deepEqual(await say(alice, 'an-id-of-my-own', { n: 1 }), ['ack', 1, false]);
    assert.deepEqual(await say(bob, token, { n: 1 }), ['nack', 'token_invalid']);
    assert.deepEqual(await say(alice, token, { n: 2 }), ['ack', 2, false]);
  });

  it('over HTTP: given out, needed, used once', async () => {
    await start();
    const [status, { tokens }] = await post('tokens?count=3', { token: 'alice' });
    assert.deepEqual([status, tokens.length], [200, 3]);
    const body = { conv: DM, body: 'paid' };
    const [published, first] = await post('publish', { token: 'alice', key: tokens[0], body });
    assert.deepEqual([published, first.seq, first.dup], [200, 1, false]);
    assert.deepEqual(await post('publish', { token: 'alice', key: tokens[0], body }), [200, { ...first, dup: true }]);
    assert.deepEqual(await post('publish', { token: 'alice', key: tokens[0], body: { ...body, conv: 'dm:alice:carl' } }), [403, 'token_invalid']); // prettier-ignore
    assert.deepEqual(await post('publish', { token: 'bob', key: tokens[1], body }), [403, 'token_invalid']);
    assert.deepEqual(await post('publish', { token: 'alice', key: 'order-4711', body }), [403, 'token_invalid']);
    // The service key takes tokens for whom it names, and needs them as everybody does.
    const [, { tokens: forBob }] = await post('tokens?count=1&user=bob');
    assert.equal((await post('publish', { key: forBob[0], body: { ...body, from: 'bob' } }))[0], 200);
    assert.deepEqual(await post('publish', { key: 'order-4711', body: { ...body, from: 'bob' } }), [
      403,
      'token_invalid',
    ]);
    for (const query of ['', '?count=0', '?count=1001', '?count=x', '?count=1&user=a%20b']) {
      assert.deepEqual(await post(`tokens${query}`, { token: 'alice' }), [400, 'bad_request'], query);
    }
    assert.deepEqual(await post('tokens?count=1&user=bob', { token: 'alice' }), [403, 'forbidden']);
    assert.deepEqual(await post('tokens?count=1'), [400, 'bad_request']);
  });

  it('are fetched and used by the client by itself', async () => {
    await start();
    const client = new Client({ url: `ws://127.0.0.1:${server.port}`, token: 'alice' });
    onCleanUp(() => client.close());
    const early = client.send(DM, 'early', { id: 'the-early-one' });
    await client.connect();
    const { id, token, seq } = await early;
    assert.deepEqual([id, seq], ['the-early-one', 1]);
    const told = [];
    client.on('outbox', (entry) => told.push(entry));
    const sends = await Promise.all(Array.from({ length: 200 }, (_, i) => client.send(DM, i)));
    const parts = await client.sendPackage(DM, ['a', 'b']);
    const { items } = await server.history(DM, { after: 0 });
    const more = await server.history(DM, { after: items.at(-1).seq });
    const ids = [...items, ...more.items].map((message) => message.id);
    assert.deepEqual(ids, [token, ...[...sends, ...parts].map((sent) => sent.token ?? sent.id)]);
    assert.ok(ids.every((each) => /^eo1-/.test(each)));
    const { state, seq: at, mid } = told.find((entry) => entry.id === sends[0].id && entry.state === 'acked');
    assert.deepEqual([state, at, mid], ['acked', 2, sends[0].mid]);
  });

  it('are nothing to a server without them', async () => {
    await start({ dedup: { tokens: 'off' } });
    const alice = await login(server, 'alice');
    assert.equal('tokens' in alice.welcome, false);
    assert.equal((await alice.ask({ t: 'tokens', count: 1 })).code, 'unsupported');
    assert.deepEqual(await post('tokens?count=1', { token: 'alice' }), [501, 'unsupported']);
    await assert.rejects(server.issueTokens('alice', 1), { code: 'UNSUPPORTED', option: 'dedup.tokens' });
  });
});
