// A server that begins with nothing where clients come back that have seen another history.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Client } from '../../lib/index.js';
import { createServer } from '../../lib/server/server.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';

/** @param {number} port @param {string} user */
async function connected(port, user) {
  const client = new Client({ url: `http://127.0.0.1:${port}`, token: user, reconnect: { min: 20, max: 50 } });
  onCleanUp(() => client.close());
  const received = [];
  client.on('message', ({ body }) => void received.push(body));
  await client.connect();
  return Object.assign(client, { received });
}

describe('flow: a wiped server', function () {
  this.timeout(30_000);
  afterEach(cleanUp);

  it('nothing of a new history is taken for handled because the old one had as many messages', async () => {
    const first = await startServer({ memory: true });
    const { port } = first;
    const alice = await connected(port, 'alice');
    const bob = await connected(port, 'bob');
    const three = new Promise((resolve) => alice.on('message', ({ body }) => body === 3 && resolve(true)));
    for (const n of [1, 2, 3]) await bob.send(DM, n);
    await three;
    await bob.close();
    await first.close();

    const second = createServer({ memory: true, insecure: true });
    onCleanUp(() => second.close());
    const back = once(second, 'connect');
    await second.listen(port);
    await back;
    const other = await connected(port, 'bob');
    const all = new Promise((resolve) => alice.on('message', ({ body }) => body === 7 && resolve(true)));
    for (const n of [4, 5, 6, 7]) await other.send(DM, n);
    await all;
    assert.deepEqual(alice.received, [1, 2, 3, 4, 5, 6, 7]);
  });
});
