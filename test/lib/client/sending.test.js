/** Sending, each rule by itself: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { JournalOutbox } from '../../../lib/client/index.js';
import { DM, outcomeOf, received } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

describe('client: sending', () => {
  it('takes messages before connect, and sends them once it is there', async () => {
    const { clock, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    const sent = outcomeOf(alice.send(DM, { text: 'early' }));
    await clock.advance(60_000);
    assert.deepEqual(
      alice.outbox().map(({ state, attempts, body }) => [state, attempts, body]),
      [['queued', 0, { text: 'early' }]],
    );
    assert.equal(sent.settled, false, 'offline nothing is counted');
    await online(alice);
    assert.equal(sent.value.seq, 1);
  });

  it('never has more than a span of 64 unanswered', async () => {
    const { clock, network, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    server.silent.add('send');
    for (let i = 0; i < 200; i++) alice.send(DM, i).catch(() => {});
    await clock.advance(300);
    assert.equal(received(network, 'send').length, 64);
    assert.ok(received(network, 'send').every(({ n }, i) => n === i + 1));
  });

  it('sends again in order, gives the connection up, and after three of them says UNCONFIRMED', async () => {
    const { clock, network, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    server.silent.add('send');
    const sends = [1, 2].map((body) => outcomeOf(alice.send(DM, body)));
    await clock.advance(4_000);
    assert.deepEqual(received(network, 'send').map(({ n }) => n).slice(0, 6), [1, 2, 1, 2, 1, 2]); // prettier-ignore
    assert.equal(network.dials, 1);
    await clock.advance(60_000);
    assert.ok(network.dials >= 3, `${network.dials} connections`);
    for (const sent of sends) assert.equal(sent.code, 'UNCONFIRMED');
    assert.deepEqual(
      alice.outbox().map(({ state }) => state),
      ['unconfirmed', 'unconfirmed'],
    );
    const { dials } = network;
    await clock.advance(60_000);
    assert.equal(network.dials, dials, 'no more connections are given up for it');
    server.silent.clear();
    network.cutAll();
    await clock.advance(20_000);
    assert.deepEqual(alice.outbox(), [], 'offered first at the next connection');
    assert.equal(server.conversation(DM).head, 2);
  });

  it('counts its tries on where the socket was too full to send again at once', async () => {
    const { clock, network, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { ackTimeout: 1000, retries: 2 });
    await online(alice);
    server.silent.add('send');
    alice.send(DM, 1).catch(() => {});
    await clock.advance(100);
    const [socket] = network.sockets;
    // Each repeat finds no room at first, and some a moment later.
    let looks = 0;
    Object.defineProperty(socket, 'bufferedAmount', { get: () => (looks++ % 2 === 0 ? 2 ** 30 : 0) });
    // 1 s, 2 s and 4 s, each at most a quarter longer, and the moments without room.
    await clock.advance(10_000);
    assert.ok(received(network, 'send').length >= 3, 'it was sent again when there was room');
    assert.ok(looks >= 4, 'there was no room at times');
    assert.equal(network.dials, 2, 'the connection was given up after the tries, not asked for ever');
  });

  it('retry offers an unconfirmed message now', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { retries: 0 });
    await online(alice);
    server.silent.add('send');
    const first = outcomeOf(alice.send(DM, 1));
    await clock.advance(3_000);
    assert.equal(first.code, 'UNCONFIRMED');
    server.silent.clear();
    const again = outcomeOf(alice.retry(alice.outbox()[0].id));
    await clock.advance(50);
    assert.equal(again.value.seq, 1);
    await assert.rejects(alice.retry('nothing-like-it'), { code: 'NOT_FOUND' });
  });

  it('discard skips the number of what did not arrive, and refuses what did', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    server.silent.add('send');
    const lost = outcomeOf(alice.send(DM, 'lost', { id: 'lost-message' }));
    const next = outcomeOf(alice.send(DM, 'next'));
    await clock.advance(100);
    const discarded = outcomeOf(alice.discard('lost-message'));
    await clock.advance(100);
    server.silent.clear();
    await clock.advance(5_000);
    assert.equal(lost.code, 'DISCARDED');
    assert.ok(discarded.settled && !discarded.code);
    assert.equal(next.value.seq, 1);
    assert.deepEqual(
      server.conversation(DM).messages.map(({ n, body }) => [n, body]),
      [[2, 'next']],
    );

    server.silent.add('ack');
    const arrived = outcomeOf(alice.send(DM, 'arrived', { id: 'arrived-message' }));
    const send = server.connections.values().next().value.send;
    for (const connection of server.connections) connection.send = (p) => p.t !== 'ack' && send.call(connection, p);
    await clock.advance(100);
    const refused = outcomeOf(alice.discard('arrived-message'));
    await clock.advance(1_000);
    assert.equal(refused.code, 'ALREADY_ACCEPTED');
    assert.equal(arrived.value.dup, true);
  });

  it('a final nack rejects with its code and blocks nothing', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    server.authorize = ({ body }) => (body === 'bad' ? 'forbidden' : undefined);
    const [bad, good] = ['bad', 'good'].map((body) => outcomeOf(alice.send(DM, body)));
    const stranger = outcomeOf(alice.send('g:unknown', 1));
    await clock.advance(100);
    assert.deepEqual([bad.code, good.value?.seq, stranger.code], ['forbidden', 1, 'unknown_conv']);
    assert.equal(bad.error.conv, DM);
    assert.deepEqual(alice.outbox(), []);
  });

  it('tells a refusal when it is durable: after a crash before that, it has told nothing', async () => {
    const { clock, makeClient, online } = makeWorld();
    const records = [];
    let release = () => {};
    const isRefusal = ({ k }) => k === 'done';
    const outbox = new JournalOutbox({
      open: async () => ({ records: [] }),
      write: async (batch) => {
        if (batch.some(isRefusal)) await new Promise((resolve) => (release = resolve));
        records.push(...batch);
      },
      replace: async () => {},
      close: async () => {},
    });
    const alice = makeClient('alice', { outbox });
    await online(alice);
    const sent = outcomeOf(alice.send('g:none', 1));
    await clock.advance(1_000);
    assert.equal(sent.code, undefined, 'nothing is told yet');
    assert.deepEqual(alice.outbox(), [], 'and nothing is sent again');
    release();
    await clock.advance(10);
    assert.equal(sent.code, 'unknown_conv');
    assert.ok(records.some(isRefusal));
  });

  it('a refusal that the server forgets counts only once nothing is under way that it might take', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    server.groups.set('g:all', ['bob']);
    const alice = makeClient('alice', { ackTimeout: 100 });
    await online(alice);
    // The first transmission meets a stranger, the second, on its way already, a member.
    network.faults.latencyMs = 0;
    const held = [];
    const [connection] = server.connections;
    const { receive } = connection;
    connection.receive = (packet) => (packet.t === 'send' ? held.push(packet) : receive.call(connection, packet));
    const sent = outcomeOf(alice.send('g:all', 1));
    for (let waited = 0; held.length < 2 && waited < 2_000; waited += 10) await clock.advance(10);
    assert.equal(held.length, 2, 'it was sent again');
    receive.call(connection, held[0]);
    connection.flush();
    server.groups.set('g:all', ['alice', 'bob']);
    for (const packet of held.slice(1)) receive.call(connection, packet);
    connection.receive = receive;
    connection.flush();
    await clock.advance(1_000);
    assert.equal(sent.code, undefined);
    assert.equal(sent.value?.seq, 1);
  });

  it('too large: at once where the limit is known, with a skip where it was queued before', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    const big = outcomeOf(alice.send(DM, 'x'.repeat(20_000)));
    const small = outcomeOf(alice.send(DM, 'small'));
    await online(alice);
    await clock.advance(200);
    assert.equal(big.code, 'too_large');
    assert.equal(small.value.seq, 1);
    assert.deepEqual(
      received(network, 'skip').map(({ from, to }) => [from, to]),
      [[1, 1]],
    );
    await assert.rejects(alice.send(DM, 'é'.repeat(9_000)), { code: 'too_large' });
    const after = outcomeOf(alice.send(DM, 'after'));
    await clock.advance(200);
    assert.equal(after.value.seq, 2);
    assert.deepEqual(
      server.conversation(DM).messages.map(({ n }) => n),
      [2, 3],
    );
  });

  it('the same id is the same message', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    const sends = [1, 2].map(() => outcomeOf(alice.send(DM, 'once', { id: 'the-same-id' })));
    await clock.advance(100);
    const third = outcomeOf(alice.send(DM, 'once', { id: 'the-same-id' }));
    await clock.advance(100);
    assert.deepEqual(
      [...sends, third].map(({ value }) => value.seq),
      [1, 1, 1],
    );
    assert.equal(third.value.dup, true);
    assert.equal(server.conversation(DM).head, 1);
  });

  it('OUTBOX_FULL past maxQueued', async () => {
    const { makeClient } = makeWorld();
    const alice = makeClient('alice', { maxQueued: 2 });
    for (const body of [1, 2]) alice.send(DM, body).catch(() => {});
    await assert.rejects(alice.send(DM, 3), { code: 'OUTBOX_FULL' });
    await alice.close();
  });

  it('keeps below limits.rate', async () => {
    const { clock, network, server, makeClient, online } = makeWorld();
    server.limits.rate = 10;
    const alice = makeClient('alice');
    await online(alice);
    const start = clock.now();
    for (let i = 0; i < 200; i++) alice.send(DM, i).catch(() => {});
    await clock.advance(10_000 - (clock.now() - start));
    const within = received(network, 'send').length;
    assert.ok(within <= 100 && within > 60, `${within} packets in 10 s`);
    await clock.advance(30_000);
    assert.equal(server.conversation(DM).head, 200);
  });
});
