// examples/http, as its README says.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { RawClient } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';

const EXAMPLE = fileURLToPath(new URL('../../examples/http/server.js', import.meta.url));

describe('flow: examples/http', () => {
  let port;
  let child;
  let exited;
  afterEach(cleanUp);
  beforeEach(async () => {
    const env = { ...process.env, PORT: '0', DATA: join(makeDirectory(), 'data') };
    child = spawn(process.execPath, [EXAMPLE], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    exited = once(child, 'exit');
    onCleanUp(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    port = Number(/:(\d+)$/.exec(line)[1]);
  });

  const ask = async (method, path, body, token) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    return [answer.status, await answer.json()];
  };

  it('tells a customer of an order once, live and in what is read back', async () => {
    const [, { token }] = await ask('POST', '/login', { user: 'alice' });
    const alice = await RawClient.open({ port });
    alice.send({ t: 'hello', v: 1, device: 'phone', pe: 1, token });
    assert.equal((await alice.take('welcome')).user, 'alice');
    const order = { order: '4711', item: 'tea' };
    assert.deepEqual(await ask('POST', '/orders', order, token), [201, { order: '4711', seq: 1 }]);
    assert.deepEqual(await ask('POST', '/orders', order, token), [200, { order: '4711', seq: 1 }]);
    const { from, type, body } = await alice.take('msg');
    assert.deepEqual({ from, type, body }, { from: 'shop', type: 'order', body: { ...order, state: 'taken' } });
    await alice.settled();
    assert.deepEqual(alice.untaken('msg'), []);
    const [, { messages }] = await ask('GET', '/messages', undefined, token);
    assert.deepEqual(messages, [{ seq: 1, from: 'shop', body: { ...order, state: 'taken' } }]);
  });

  it('lets nobody in who is not logged in, and goes down in order', async () => {
    assert.equal((await ask('POST', '/orders', { order: '1' }))[0], 401);
    assert.equal((await ask('GET', '/nothing'))[0], 404);
    assert.equal((await ask('GET', '/everyonce/healthz'))[0], 200);
    const stranger = await RawClient.open({ port });
    stranger.send({ t: 'hello', v: 1, device: 'phone', pe: 1, token: 'alice' });
    assert.equal(await stranger.closed, 4401);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });
});
