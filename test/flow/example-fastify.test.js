// examples/fastify, as its README says.
import assert from 'node:assert/strict';
import { startExample } from './support/example.js';
import { RawClient } from './support/raw-client.js';
import { cleanUp } from './support/servers.js';

describe('flow: examples/fastify', () => {
  let example;
  afterEach(cleanUp);
  beforeEach(async () => {
    example = await startExample('fastify');
  });

  const login = async (user) => (await example.post('/login', { user }))[1].token;
  const connect = async (token) => {
    const client = await RawClient.open({ port: example.port });
    client.send({ t: 'hello', v: 1, device: 'phone', pe: 1, token });
    return client;
  };

  it('knows users by the same token at its routes and at the socket, and stores what a route publishes once', async () => {
    const [alice, bob] = [await login('alice'), await login('bob')];
    const page = await connect(bob);
    assert.equal((await page.take('welcome')).user, 'bob');
    const headers = { authorization: `Bearer ${alice}`, 'idempotency-key': 'first note' };
    assert.deepEqual((await example.post('/notes/bob', { text: 'hi' }, headers)).slice(0, 2), [201, { seq: 1 }]);
    assert.deepEqual((await example.post('/notes/bob', { text: 'hi' }, headers)).slice(0, 2), [200, { seq: 1 }]);
    assert.equal((await example.post('/notes/bob', { text: 'other' }, headers))[0], 400);
    const { from, body } = await page.take('msg');
    assert.deepEqual([from, body], ['alice', { text: 'hi' }]);
    await page.settled();
    assert.deepEqual(page.untaken('msg'), []);
  });

  it('lets nobody else in, and goes down in order', async () => {
    const alice = await login('alice');
    assert.equal((await example.post('/notes/bob', {}, { 'idempotency-key': 'a' }))[0], 401);
    assert.equal((await example.post('/notes/bob', {}, { authorization: `Bearer ${alice}` }))[0], 400, 'no key');
    assert.equal(await (await connect('alice')).closed, 4401);
    const middle = alice.length - 20; // of the signature
    const forged = alice.slice(0, middle) + (alice[middle] === 'A' ? 'B' : 'A') + alice.slice(middle + 1);
    assert.equal(await (await connect(forged)).closed, 4401);
    assert.equal((await fetch(`http://127.0.0.1:${example.port}/nothing`)).status, 404, 'is still Fastify’s');
    assert.equal((await fetch(`http://127.0.0.1:${example.port}/everyonce/healthz`)).status, 200);
    example.child.kill('SIGTERM');
    assert.deepEqual(await example.exited, [0, null]);
  });
});
