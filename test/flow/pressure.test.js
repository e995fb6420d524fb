// More than the server takes at once: nothing is lost, swapped or answered twice, and memory stays where it was.
import assert from 'node:assert/strict';
import { login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

describe('flow: pressure', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('a flood from several sockets is answered in order, each send once', async () => {
    const server = await startServer({ limits: { rate: 0 } });
    const each = 3000;
    const senders = ['alice', 'bob', 'carol', 'dave'];
    const flood = async (user) => {
      const client = await login(server, user);
      const conv = `dm:${user}:zoe`;
      for (let i = 0; i < each; i++) client.send({ t: 'send', conv, id: `flood-${user}-${i}`, body: 'x'.repeat(500) });
      for (let i = 0; i < each; i++) {
        const answer = await client.take(({ t }) => t === 'ack' || t === 'nack');
        assert.deepEqual([answer.t, answer.id, answer.seq], ['ack', `flood-${user}-${i}`, i + 1]);
      }
      await client.settled();
      assert.deepEqual(client.packets, []);
    };
    await Promise.all(senders.map(flood));
    assert.equal(server.stats().acks, each * senders.length);
  });

  it('a receiver that does not read holds up nobody, and gets it all later', async () => {
    const server = await startServer({ limits: { rate: 0, buffered: 65_536, window: 65_536 } });
    const [alice, slow, quick] = [
      await login(server, 'alice'),
      await login(server, 'slow'),
      await login(server, 'quick'),
    ];
    await alice.ask({ t: 'create', conv: 'g:all', members: ['slow', 'quick'] });
    await slow.take('msg', { seq: 1 });
    await quick.take('msg', { seq: 1 });
    slow.ws.pause();
    const total = 1500;
    const body = 'x'.repeat(10_000);
    for (let n = 1; n <= total; n++) {
      alice.send({ t: 'send', conv: 'g:all', id: `message-${n}`, n, body });
      if (n % 32 === 0) await alice.take('ack', { id: `message-${n}` });
    }
    for (let n = 1; n <= total; n++) {
      assert.equal((await quick.take('msg')).seq, n + 1);
      if (n % 100 === 0) quick.send({ t: 'got', conv: 'g:all', seq: n + 1 });
    }
    slow.ws.resume();
    const seen = new Set([1]);
    let next;
    slow.send({ t: 'got', conv: 'g:all', seq: 1 });
    do {
      const page = await slow.ask({ t: 'pull', conv: 'g:all', limit: 200, order: 'oldest', next });
      for (const { seq } of page.items) seen.add(seq);
      next = page.next;
    } while (next !== undefined);
    for (const { seq } of slow.untaken('msg')) seen.add(seq);
    assert.equal(seen.size, total + 1);
  });
});
