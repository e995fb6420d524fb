// Several server processes on one Redis: who is connected to one of them notices nothing of the others. Here all servers
// live in this process, each with its own connections to a real Redis; test/faults kills real processes.
import assert from 'node:assert/strict';
import { command, moveSlot, startLocalCluster } from '../../examples/chat/local-cluster.js';
import { login, RawClient } from './support/raw-client.js';
import { say, startRedis } from './support/redis.js';
import { cleanUp, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const GROUP = 'g:team';
const id = (who, n) => `${who}-message-${String(n).padStart(4, '0')}`;

/** @param {{ url: string }} redis @param {object} [options] */
const serve = (redis, options = {}) => startServer({ data: undefined, redis: redis.url, ...options });

describe('flow: several servers on one Redis', () => {
  afterEach(cleanUp);

  it('pushes what another server accepted: both ways, each message once, in order', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const alice = await login(a, 'alice');
    const bob = await login(b, 'bob');
    let pushed = 0;
    for (let n = 1; n <= 20; n++) {
      const sent = await alice.say(DM, id('alice', n), { n }, { n });
      const [came] = await bob.hear(DM, 2 * n - 1);
      assert.deepEqual([came.seq, came.mid, came.from, came.body], [sent.seq, sent.mid, 'alice', { n }]);
      await bob.say(DM, id('bob', n), { n }, { n });
      const [back] = await alice.hear(DM, 2 * n);
      assert.deepEqual([back.seq, back.from, back.id], [2 * n, 'bob', id('bob', n)]);
      pushed += Number(came.pushed) + Number(back.pushed);
    }
    // The first message began the conversation, and may be told of by a head, as what a comparison of positions finds first.
    assert.ok(pushed >= 30, `${pushed} of 40`);
    assert.deepEqual(alice.untaken('msg').concat(bob.untaken('msg')), []);
  });

  it('keeps the order where both write at once', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const alice = await login(a, 'alice');
    const laptop = await login(a, 'bob', { device: 'bob-2' });
    const bob = await login(b, 'bob');
    const COUNT = 200;
    for (let n = 1; n <= COUNT; n++) {
      alice.send({ t: 'send', conv: DM, id: id('alice', n), n, body: n });
      bob.send({ t: 'send', conv: DM, id: id('bob', n), n, body: n });
      if (n % 50 === 0) {
        await alice.take('ack', { n });
        await bob.take('ack', { n });
      }
    }
    const seen = await laptop.hear(DM, 1, 2 * COUNT);
    assert.deepEqual(
      seen.map(({ seq }) => seq),
      Array.from({ length: 2 * COUNT }, (_, i) => i + 1),
    );
    for (const who of ['alice', 'bob']) {
      const ids = seen.filter(({ from }) => from === who).map((message) => message.id);
      assert.deepEqual(
        ids,
        Array.from({ length: COUNT }, (_, i) => id(who, i + 1)),
      );
    }
  });

  it('tells a group, its members, their receipts and signals', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const alice = await login(a, 'alice');
    const bob = await login(b, 'bob');
    const carol = await login(b, 'carol');
    assert.equal((await alice.ask({ t: 'create', conv: GROUP, members: ['bob'] })).t, 'ok');
    assert.equal((await bob.hear(GROUP, 1))[0].type, 'system.members');
    await alice.say(GROUP, id('alice', 1), 'hi', { n: 1 });
    assert.equal((await bob.hear(GROUP, 2))[0].from, 'alice');
    assert.equal((await alice.ask({ t: 'add', conv: GROUP, members: ['carol'] })).t, 'ok');
    assert.equal((await carol.hear(GROUP, 3))[0].type, 'system.members');
    await bob.say(GROUP, id('bob', 1), 'welcome', { n: 1 });
    assert.equal((await alice.hear(GROUP, 4))[0].from, 'bob');
    assert.equal((await carol.hear(GROUP, 4))[0].from, 'bob');
    bob.send({ t: 'got', conv: GROUP, seq: 4 }, { t: 'read', conv: GROUP, seq: 4 });
    const receipt = await alice.take('receipt', { user: 'bob', read: 4 });
    assert.deepEqual([receipt.conv, receipt.got], [GROUP, 4]);
    alice.send({ t: 'signal', conv: GROUP, body: { typing: true } });
    assert.deepEqual((await carol.take('signal')).body, { typing: true });
    assert.equal((await bob.take('signal')).from, 'alice');
    assert.equal((await alice.ask({ t: 'remove', conv: GROUP, members: ['carol'] })).t, 'ok');
    assert.equal((await carol.hear(GROUP, 5))[0].type, 'system.members');
    await alice.say(GROUP, id('alice', 2), 'without carol', { n: 2 });
    assert.equal((await bob.hear(GROUP, 6))[0].body, 'without carol');
    await carol.settled();
    assert.deepEqual(carol.untaken('msg'), []);
    // What the application publishes at one server is pushed at the other, too.
    await b.publish({ conv: GROUP, from: 'bob', id: 'published-1', body: 'from the application' });
    assert.deepEqual(
      (await alice.hear(GROUP, 7)).map(({ id, from }) => [id, from]),
      [['published-1', 'bob']],
    );
  });

  it('tells of what is too large for a bell', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const alice = await login(a, 'alice');
    const bob = await login(b, 'bob');
    const large = 'x'.repeat(10_000);
    await alice.say(DM, id('alice', 1), large, { n: 1 });
    await alice.say(DM, id('alice', 2), 'small', { n: 2 });
    const seen = await bob.hear(DM, 1, 2);
    assert.deepEqual(
      seen.map(({ body }) => body),
      [large, 'small'],
    );
  });

  it('has one connection per device: a newer one elsewhere closes the old one, and fences what it left', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const old = await login(a, 'alice');
    const other = await login(a, 'alice', { device: 'alice-2' });
    await old.say(DM, id('alice', 1), 1, { n: 1 });
    const newer = await login(b, 'alice', { pe: 2 });
    assert.equal(await old.closed, 4409);
    assert.equal((await newer.say(DM, id('alice', 2), 2, { n: 2 })).seq, 2);
    const stale = await RawClient.open(a);
    stale.send({ t: 'hello', v: 1, device: 'alice-1', pe: 1, token: 'alice' });
    assert.equal((await stale.take('error')).code, 'stale_device');
    assert.equal(await stale.closed, 4409);
    // To and fro under the same incarnation: the last one stays.
    const back = await login(a, 'alice', { pe: 2 });
    assert.equal(await newer.closed, 4409);
    await back.settled();
    await other.settled();
  });

  it('a bell connection that is killed, and bells that are lost, lose no message', async () => {
    const redis = await startRedis();
    const a = await serve(redis);
    const b = await serve(redis);
    const alice = await login(a, 'alice');
    const bob = await login(b, 'bob');
    await alice.say(DM, id('alice', 1), 1, { n: 1 });
    await bob.hear(DM, 1);
    let killed = 0;
    for (let n = 2; n <= 40; n++) {
      if (n % 10 === 0) killed += Number((await say(redis.port, 'CLIENT KILL TYPE pubsub')).slice(1));
      if (n % 15 === 0) assert.equal(await say(redis.port, 'SCRIPT FLUSH'), '+OK');
      assert.equal((await alice.say(DM, id('alice', n), n, { n })).t, 'ack');
    }
    assert.ok(killed >= 2);
    const seen = await bob.hear(DM, 2, 40);
    assert.deepEqual(
      seen.map(({ body }) => body),
      Array.from({ length: 39 }, (_, i) => i + 2),
    );
    // Only who has subscribed again hears of this one.
    await alice.say(DM, id('alice', 41), 41, { n: 41 });
    assert.equal((await bob.hear(DM, 41, 41))[0].body, 41);
    assert.match(await b.metrics(), /everyonce_resubscriptions_total [1-9]/);
    assert.match(await b.metrics(), /everyonce_bells_heard_total [1-9]/);
    assert.match(await a.metrics(), /everyonce_bells_rung_total [1-9]/);
  });
});

describe('flow: several servers on a Redis Cluster', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('pushes both ways over three masters, and through the move of a slot', async () => {
    const cluster = await startLocalCluster();
    onCleanUp(cluster.stop);
    const redis = { url: { nodes: cluster.urls } };
    const a = await serve(redis);
    const b = await serve(redis);
    const users = ['ann', 'ben', 'cat', 'dan', 'eve', 'fay'];
    const alice = await login(a, 'alice');
    const others = await Promise.all(users.map((user) => login(b, user)));
    for (const [i, other] of others.entries()) {
      const conv = directOf('alice', users[i]);
      await alice.say(conv, id('alice', i), 'hi', { n: 1 });
      await other.hear(conv, 1);
      await other.say(conv, id(users[i], i), 'hi', { n: 1 });
      assert.equal((await alice.hear(conv, 2))[0].from, users[i]);
    }
    // The partition of one conversation goes from its master to the next while it is written to.
    const conv = directOf('alice', 'ann');
    const { slot, from, to } = await placeOf(cluster, conv);
    const writing = (async () => {
      for (let n = 2; n <= 100; n++) {
        let answer = await alice.say(conv, id('alice', n + 100), n, { n });
        while (answer.code === 'unavailable') answer = await alice.say(conv, id('alice', n + 100), n, { n });
        assert.equal(answer.t, 'ack');
      }
    })();
    await moveSlot(slot, from, to);
    await writing;
    const seen = await others[0].hear(conv, 3, 101);
    assert.deepEqual(
      seen.map(({ body }) => body),
      Array.from({ length: 99 }, (_, i) => i + 2),
    );
    await alice.say(conv, id('alice', 999), 'after', { n: 101 });
    assert.equal((await others[0].hear(conv, 102, 102))[0].body, 'after');
  });
});

const directOf = (one, other) => `dm:${[one, other].sort().join(':')}`;

/** The slot of a conversation's keys, the master that serves it, and another one. */
async function placeOf({ nodes }, conv) {
  for (const from of nodes) {
    const key = await command(from.port, `KEYS *:c:${conv}`);
    if (key === '') continue;
    const slot = Number(await command(from.port, `CLUSTER KEYSLOT ${key}`));
    return { slot, from, to: nodes.find((node) => node !== from) };
  }
  throw new Error(`no node has ${conv}`);
}
