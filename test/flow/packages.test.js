// Packages over a real server: protocol.md, Sending. By hand, and by the client.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { Client } from '../../lib/client/index.js';
import { FileOutbox } from '../../lib/client/file-outbox.js';
import { join } from 'node:path';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const part = (n, i, total, more = {}) => ({
  t: 'send',
  conv: DM,
  n,
  id: `part-${n}-of-package-${i}`,
  pkg: { id: `package-${n}`, i, total },
  body: { n, i },
  ...more,
});
const isAnswer = ({ t }) => t === 'ack' || t === 'nack';

describe('flow: packages', () => {
  afterEach(cleanUp);

  it('land together, in order of i, from parts in any order over two connections', async () => {
    const server = await startServer();
    const alice = await login(server, 'alice');
    const bob = await login(server, 'bob');
    alice.send(part(1, 2, 3), part(1, 0, 3));
    await alice.settled();
    await alice.close();
    const again = await login(server, 'alice', { pe: 2 });
    assert.equal(again.welcome.convs.length, 0, 'nothing is stored of it yet');
    again.send(part(1, 1, 3));
    for (const seq of [1, 2, 3]) {
      const ack = await again.take('ack');
      assert.deepEqual([ack.id, ack.n, ack.seq, ack.safe], [part(1, seq - 1, 3).id, 1, seq, 'disk']);
      const message = await bob.take('msg');
      assert.deepEqual([message.seq, message.body, message.mid], [seq, { n: 1, i: seq - 1 }, ack.mid]);
    }
    again.send(part(1, 1, 3));
    const dup = await again.take('ack');
    assert.deepEqual([dup.seq, dup.dup], [2, true]);
    const { found } = await again.ask({ t: 'status', conv: DM, ids: [part(1, 2, 3).id, 'was-never-sent'] });
    assert.deepEqual(
      found.map(({ n, seq }) => [n, seq]),
      [[1, 3]],
    );
  });

  it('are refused as a whole, at once and for ever', async () => {
    const server = await startServer();
    const alice = await login(server, 'alice');
    alice.send(part(1, 0, 3), part(1, 1, 3), part(1, 1, 4));
    for (let i = 0; i < 3; i++) assert.equal((await alice.take(isAnswer)).code, 'bad_request');
    alice.send(part(1, 2, 3));
    assert.equal((await alice.take(isAnswer)).code, 'bad_request');
    assert.equal((await alice.say(DM, 'message-0002', 1, { n: 2 })).seq, 1, 'its n is used, and blocks nothing');
  });

  it('ask the authorize hook about each part', async () => {
    let asked = 0;
    const server = await startServer({ authorize: (action) => action !== 'send' || ++asked !== 2 });
    const alice = await login(server, 'alice');
    alice.send(part(1, 0, 2), part(1, 1, 2));
    for (let i = 0; i < 2; i++) assert.equal((await alice.take(isAnswer)).code, 'forbidden');
    assert.equal((await alice.say(DM, 'message-0002', 1, { n: 2 })).seq, 1);
  });

  it('come from the client by sendPackage, also when it is offline and restarted meanwhile', async () => {
    const server = await startServer();
    const bob = await login(server, 'bob');
    const dir = join(makeDirectory(), 'outbox');
    const options = { url: `ws://127.0.0.1:${server.port}`, token: 'alice', WebSocket };
    const first = new Client({ ...options, outbox: new FileOutbox({ dir }) });
    const lost = first.sendPackage(DM, ['a', 'b', 'c'], { type: 'note' });
    await assert.rejects(Promise.all([lost, untilQueued(first).then(() => first.close())]), { code: 'CLOSED' });
    const alice = new Client({ ...options, outbox: new FileOutbox({ dir }) });
    onCleanUp(() => alice.close());
    await alice.connect();
    const sent = await alice.sendPackage(DM, [1, 2]);
    assert.deepEqual(
      sent.map(({ seq }) => seq),
      [4, 5],
    );
    const large = await alice.sendPackage(
      DM,
      Array.from({ length: 256 }, (_, i) => ({ i })),
    );
    assert.equal(large[255].seq, 261);
    const bodies = [];
    for (let seq = 1; seq <= 5; seq++) bodies.push((await bob.take('msg', { seq })).body);
    assert.deepEqual(bodies, ['a', 'b', 'c', 1, 2]);
    assert.equal((await alice.send(DM, 'after')).seq, 262);
  });

  it('wait for no longer than limits.packageTimeout', async () => {
    const server = await startServer({ limits: { packageTimeout: 100 } });
    const alice = await login(server, 'alice');
    alice.send(part(1, 0, 2));
    const nack = await alice.take('nack');
    assert.deepEqual([nack.id, nack.code, nack.retry], [part(1, 0, 2).id, 'package_incomplete', 0]);
    alice.send(part(1, 0, 2), part(1, 1, 2));
    assert.equal((await alice.take('ack')).seq, 1);
  });
});

/** Resolves when the first entry is in the client's outbox. */
function untilQueued(client) {
  return new Promise((resolve) => client.on('outbox', resolve));
}
