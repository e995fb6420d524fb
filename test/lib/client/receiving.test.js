/** Receiving, each rule by itself: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { DM, received } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

describe('client: receiving', () => {
  it('acks after the handler has returned, not before', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    let finish = () => {};
    const bob = makeClient('bob', { handler: () => new Promise((resolve) => (finish = resolve)) });
    const alice = makeClient('alice');
    await online(alice, bob);
    alice.send(DM, 1);
    await clock.advance(1_000);
    assert.equal(bob.received.length, 1);
    assert.deepEqual(received(network, 'got'), []);
    finish();
    await clock.advance(100);
    assert.deepEqual(
      received(network, 'got').map(({ conv, seq }) => [conv, seq]),
      [[DM, 1]],
    );
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 1);
  });

  it('repeats the last ack while a handler takes long, and calls it only once', async () => {
    const { clock, network, makeClient, online } = makeWorld();
    let finish = () => {};
    const bob = makeClient('bob', {
      handler: (m) => (m.seq === 2 ? new Promise((resolve) => (finish = resolve)) : undefined),
    });
    const alice = makeClient('alice');
    await online(alice, bob);
    alice.send(DM, 1);
    alice.send(DM, 2);
    await clock.advance(60_000);
    assert.equal(bob.received.length, 2);
    assert.ok(received(network, 'got').length > 5);
    assert.ok(received(network, 'got').every(({ seq }) => seq === 1));
    finish();
    await clock.advance(100);
    assert.equal(received(network, 'got').at(-1).seq, 2);
    assert.equal(bob.received.length, 2);
  });

  it('calls a handler that throws again, then reports the message and goes on', async () => {
    const { clock, makeClient, online } = makeWorld();
    let calls = 0;
    const bob = makeClient('bob', {
      maxAttempts: 3,
      handler: (m) => {
        if (m.body === 'bad' && ++calls) throw new Error('no');
      },
    });
    const alice = makeClient('alice');
    await online(alice, bob);
    for (const body of ['bad', 'good']) alice.send(DM, body);
    await clock.advance(10_000);
    assert.equal(calls, 3);
    assert.deepEqual(
      bob.received.map(({ body }) => body),
      ['bad', 'bad', 'bad', 'good'],
    );
    const [error] = bob.of('error');
    assert.deepEqual([error.code, error.handled.body, error.cause.message], ['HANDLER_FAILED', 'bad', 'no']);
  });

  it('takes nothing without a handler, and all of it once there is one', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob', { listen: false })];
    await online(alice, bob);
    for (let i = 0; i < 100; i++) alice.send(DM, i);
    await clock.advance(120_000);
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 0);
    const got = [];
    bob.on('message', ({ body }) => void got.push(body));
    await clock.advance(5_000);
    assert.deepEqual(
      got,
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 100);
  });

  it('delivers own messages of other devices, and steps over those of this one', async () => {
    const { clock, makeClient, online } = makeWorld();
    const [phone, laptop] = [makeClient('alice'), makeClient('alice')];
    await online(phone, laptop);
    for (let i = 0; i < 6; i++) (i % 2 ? phone : laptop).send(DM, i);
    await clock.advance(2_000);
    assert.deepEqual(
      phone.received.map(({ body }) => body),
      [0, 2, 4],
    );
    assert.deepEqual(
      laptop.received.map(({ body }) => body),
      [1, 3, 5],
    );
    for (const client of [phone, laptop]) assert.equal(client.conversations()[0].got, 6);
  });

  it('pulls what was missed in pages, in order, without doubling what comes meanwhile', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    await bob.close();
    const again = makeClient('bob', { device: bob.device });
    for (let i = 0; i < 70; i++) alice.send(DM, i);
    await clock.advance(500);
    const connected = again.connect();
    for (let i = 70; i < 100; i++) {
      alice.send(DM, i);
      await clock.advance(7);
    }
    await connected;
    await clock.advance(3_000);
    assert.deepEqual(
      again.received.map(({ body }) => body),
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 100);
  });

  it('tells of holes and removed messages, and steps over them', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const bob = makeClient('bob', { device: 'bob1' });
    for (let i = 1; i <= 5; i++)
      server.store(DM, { from: 'alice', device: 'x', id: `message-${i}`, type: 'text', body: i, n: i });
    server.conversation(DM).messages[1].gone = true;
    server.conversation(DM).messages[3].hole = 'expired';
    await online(bob);
    await clock.advance(1_000);
    assert.deepEqual(
      bob.received.map(({ body }) => body),
      [1, 3, 5],
    );
    assert.deepEqual(bob.of('gap').map(({ from, to, reason }) => [from, to, reason]), [[2, 2, 'gone'], [4, 4, 'expired']]); // prettier-ignore
    assert.equal(server.conversation(DM).got('bob/bob1'), 5);
  });

  it('what was handled while the answer to a position was on its way is not confirmed by it', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    let release = () => {};
    const handler = ({ seq }) => (seq === 2 && !release.done ? new Promise((resolve) => (release = resolve)) : undefined); // prettier-ignore
    const [alice, bob] = [makeClient('alice', { handler }), makeClient('bob')];
    await online(alice, bob);
    for (const n of [1, 2, 3, 4, 5]) void bob.send(DM, n);
    await clock.advance(1_000);
    // One is handled, the second is in hand, the others wait behind it. The store loses the last two, and gets others.
    assert.deepEqual(alice.received.map(({ body }) => body), [1, 2]); // prettier-ignore
    await bob.close();
    network.faults.refuse = true;
    network.cutAll();
    server.truncate(DM, 3);
    const others = [6, 7, 8].map((body) => ({
      from: 'bob',
      device: 'another',
      id: `message-${body}`,
      type: 'text',
      body,
    }));
    for (const message of others) server.store(DM, message);
    network.received.length = 0;
    Object.assign(network.faults, { refuse: false, latencyMs: 50 });
    while (!network.received.some(({ t }) => t === 'hello')) await clock.advance(10);
    assert.equal(alice.state, 'connecting');
    release();
    await clock.advance(0);
    assert.deepEqual(alice.received.map(({ body }) => body), [1, 2, 3, 4, 5]); // prettier-ignore
    await clock.advance(20_000);
    assert.deepEqual(alice.received.map(({ body }) => body), [1, 2, 3, 4, 5, 6, 7, 8]); // prettier-ignore
  });

  it('asks again where a conversation stands, if the server could not tell', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const bob = makeClient('bob', { handler: () => {} });
    server.store(DM, { from: 'alice', device: 'phone', id: 'the-first', type: 'text', body: 'a', n: 1 });
    await online(bob);
    await clock.advance(1_000);
    const [connection] = server.connections;
    connection.on_resume = function unavailable({ rid }) {
      delete connection.on_resume;
      this.send({ t: 'error', code: 'unavailable', message: 'not now', rid });
    };
    // News of another history, and then not a word more.
    connection.send({ t: 'head', conv: DM, epoch: server.conversation(DM).epoch + 1, head: 2, got: 1 });
    connection.flush();
    await clock.advance(500);
    assert.equal(received(network, 'resume').length, 1);
    await clock.advance(10_000);
    assert.equal(received(network, 'resume').length, 2);
  });

  it('takes a history with a lower epoch for the later one where a hello is answered with it', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    for (let i = 0; i < 5; i++) alice.send(DM, i);
    await clock.advance(500);
    server.truncate(DM, 3);
    await clock.advance(500);
    alice.send(DM, 5);
    await clock.advance(500);
    server.truncate(DM, 4, -500);
    await clock.advance(5_000);
    alice.send(DM, 6);
    await clock.advance(5_000);
    const all = [0, 1, 2, 3, 4, 5, 6];
    assert.deepEqual(server.conversation(DM).messages.map(({ body }) => body), all); // prettier-ignore
    assert.deepEqual(bob.received.map(({ body }) => body), all); // prettier-ignore
    assert.deepEqual([alice.outbox(), alice.conversations()[0].got, bob.conversations()[0].got], [[], 7, 7]);
  });

  it('does not show a message twice that a server lost and got again', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    for (let i = 0; i < 10; i++) alice.send(DM, i);
    await clock.advance(500);
    server.truncate(DM, 6);
    await clock.advance(1_000);
    alice.send(DM, 10);
    await clock.advance(5_000);
    assert.deepEqual(
      server.conversation(DM).messages.map(({ body }) => body),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.deepEqual(
      bob.received.map(({ body }) => body),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.deepEqual(
      bob.of('epoch').map(({ keep, voided }) => [keep, voided]),
      [[6, 4]],
    );
    const { epoch } = server.conversation(DM);
    assert.deepEqual(
      bob.of('moved').map((message) => [message.body, message.seq, message.epoch]),
      [6, 7, 8, 9].map((body) => [body, body + 1, epoch]),
    );
  });

  it('offers again what it was acked beyond its own position, where a log lost it meanwhile', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    let finish = () => {};
    const alice = makeClient('alice', { handler: () => new Promise((resolve) => (finish = resolve)) });
    const bob = makeClient('bob');
    await online(alice, bob);
    bob.send(DM, 'held up');
    await clock.advance(100);
    // Its ack names seq 2, but what it has handled still ends before 1.
    assert.equal((await Promise.all([alice.send(DM, 'own'), clock.advance(100)]))[0].seq, 2);
    network.faults.refuse = true;
    network.cutAll();
    server.truncate(DM, 1);
    network.faults.refuse = false;
    await clock.advance(10_000);
    assert.deepEqual(
      server.conversation(DM).messages.map(({ body }) => body),
      ['held up', 'own'],
    );
    finish();
  });

  it('acks again what the server sends again', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    server.silent.add('got');
    alice.send(DM, 1);
    await clock.advance(1_000);
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 0);
    server.silent.clear();
    await clock.advance(15_000);
    assert.equal(server.conversation(DM).got(`bob/${bob.device}`), 1);
    assert.equal(bob.received.length, 1);
    assert.equal(network.dials, 2);
  });

  it('offline() pages by hand; leaving early leaves the last page unacked', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    for (let i = 1; i <= 50; i++)
      server.store(DM, { from: 'alice', device: 'x', id: `message-${i}`, type: 'text', body: i, n: i });
    const bob = makeClient('bob', { backlog: 'manual', device: 'bob1' });
    await online(bob);
    await clock.advance(5_000);
    assert.equal(bob.received.length, 0);
    const pages = [];
    const loop = async (leaveAfter) => {
      for await (const page of bob.offline({ conv: DM })) {
        pages.push([...page].map(({ body }) => body));
        if (pages.length === leaveAfter) break;
      }
    };
    const early = loop(2);
    await clock.advance(1_000);
    await early;
    assert.equal(server.conversation(DM).got('bob/bob1'), 20, 'the first page is acked, the second is not');
    const rest = loop();
    await clock.advance(1_000);
    await rest;
    assert.deepEqual(pages.map((page) => [page[0], page.at(-1)]), [[1, 20], [21, 40], [21, 40], [41, 50]]); // prettier-ignore
    assert.equal(server.conversation(DM).got('bob/bob1'), 50);
    server.store(DM, { from: 'alice', device: 'x', id: 'message-51', type: 'text', body: 51, n: 51 });
    await clock.advance(1_000);
    assert.deepEqual(
      bob.received.map(({ body }) => body),
      [51],
      'what is live flows to the handler',
    );
  });

  it('brings more positions than a hello holds by resume', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const convs = Array.from({ length: 450 }, (_, i) => `dm:bob:u${i}`);
    const bob = makeClient('bob');
    await online(bob);
    for (const [i, conv] of convs.entries())
      server.store(conv, { from: `u${i}`, device: 'x', id: 'message-1', type: 'text', body: i, n: 1 });
    await clock.advance(10_000);
    assert.equal(bob.received.length, 450);
    network.received.length = 0;
    for (const conv of convs) server.truncate(conv, 0);
    network.cutAll();
    await clock.advance(20_000);
    assert.equal(Object.keys(received(network, 'hello').at(-1).at).length, 200);
    assert.deepEqual(received(network, 'resume').map(({ at }) => Object.keys(at).length), [200, 50]); // prettier-ignore
  });
});
