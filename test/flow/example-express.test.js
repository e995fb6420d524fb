// examples/express, as its README says.
import assert from 'node:assert/strict';
import { startExample } from './support/example.js';
import { RawClient } from './support/raw-client.js';
import { cleanUp } from './support/servers.js';

describe('flow: examples/express', () => {
  let example;
  afterEach(cleanUp);
  beforeEach(async () => {
    example = await startExample('express');
  });

  const login = async (user) => {
    const [, , response] = await example.post('/login', { user });
    return response.headers.get('set-cookie').split(';')[0];
  };
  const connect = async (headers) => {
    const client = await RawClient.open({ port: example.port, headers });
    client.send({ t: 'hello', v: 1, device: 'phone', pe: 1 });
    return client;
  };

  it('lets pages of its own in by their cookie, and stores what a route publishes once', async () => {
    const [alice, bob] = [await login('alice'), await login('bob')];
    const origin = `http://127.0.0.1:${example.port}`;
    const page = await connect({ origin, cookie: `theme=dark; ${bob}` });
    assert.equal((await page.take('welcome')).user, 'bob');
    const note = (key, body) => example.post('/notes/bob', body, { cookie: alice, 'idempotency-key': key });
    assert.deepEqual((await note('first note', { text: 'hi' })).slice(0, 2), [201, { seq: 1 }]);
    assert.deepEqual((await note('first note', { text: 'hi' })).slice(0, 2), [200, { seq: 1 }]);
    assert.equal((await note('first note', { text: 'other' }))[0], 400);
    const { from, body } = await page.take('msg');
    assert.deepEqual([from, body], ['alice', { text: 'hi' }]);
    await page.settled();
    assert.deepEqual(page.untaken('msg'), []);
  });

  it('lets nobody else in, and goes down in order', async () => {
    const alice = await login('alice');
    assert.equal((await example.post('/notes/bob', {}))[0], 401);
    assert.equal((await example.post('/notes/bob', {}, { cookie: alice }))[0], 400, 'no key');
    const origin = `http://127.0.0.1:${example.port}`;
    assert.equal(await (await connect({ origin, cookie: 'session=guessed' })).closed, 4401);
    assert.equal(await (await connect({ cookie: alice })).closed, 4401, 'a cookie without an origin');
    await assert.rejects(connect({ origin: 'https://elsewhere.example', cookie: alice }), /403/);
    assert.equal((await fetch(`${origin}/everyonce/healthz`)).status, 200);
    example.child.kill('SIGTERM');
    assert.deepEqual(await example.exited, [0, null]);
  });
});
