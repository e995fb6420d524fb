/** Each rule of docs/protocol.md and of the Client's API by itself, against the naive server. */
import assert from 'node:assert/strict';
import { Client, JournalOutbox, MemoryOutbox } from '../../../lib/client/index.js';
import { makeWorld } from './fake/world.js';

const DM = 'dm:alice:bob';

/** How a promise ended, once it did. */
const outcomeOf = (promise) => {
  const result = { settled: false };
  promise.then(
    (value) => Object.assign(result, { settled: true, value }),
    (error) => Object.assign(result, { settled: true, code: error.code, error }),
  );
  return result;
};

/** Packets of one type that reached the server. */
const received = (network, t) => network.received.filter((packet) => packet.t === t);

describe('client: options', () => {
  it('names the option that is wrong', () => {
    const WebSocket = class {};
    assert.throws(() => new Client({ url: 'ws://a' }), { code: 'NO_WEBSOCKET' });
    for (const [option, value] of [
      ['url', 'ftp://a'],
      ['url', undefined],
      ['token', 7],
      ['device', 'a b'],
      ['device', 'server'],
      ['outbox', {}],
      ['ackTimeout', 0],
      ['retries', -1],
      ['reconnect', { min: 5, max: 1 }],
      ['backlog', 'later'],
      ['onIncomplete', 'forget'],
      ['maxAttempts', 0],
      ['maxQueued', 0.5],
    ]) {
      // prettier-ignore
      assert.throws(() => new Client({ url: 'ws://a', WebSocket, [option]: value }), { code: 'INVALID_ARGUMENT', option }, option);
    }
  });

  it('refuses what no server could take, naming the field', async () => {
    const client = makeWorld().makeClient('alice');
    await assert.rejects(client.send('dm:bob:alice', 1), { code: 'INVALID_ARGUMENT', field: 'conv' });
    await assert.rejects(client.send(DM, undefined), { code: 'INVALID_ARGUMENT', field: 'body' });
    await assert.rejects(client.send(DM, 1n), { code: 'INVALID_ARGUMENT', field: 'body' });
    await assert.rejects(client.send(DM, 1, { id: 'short' }), { code: 'INVALID_ARGUMENT', field: 'id' });
    await assert.rejects(client.send(DM, 1, { type: 'system.members' }), { code: 'INVALID_ARGUMENT', field: 'type' });
    await assert.rejects(client.createConversation('dm:a:b', []), { code: 'INVALID_ARGUMENT', field: 'conv' });
    await assert.rejects(client.sendPackage(DM, []), { code: 'INVALID_ARGUMENT', field: 'bodies' });
    await assert.rejects(client.sendPackage(DM, [1, undefined]), { code: 'INVALID_ARGUMENT', field: 'body' });
    assert.deepEqual(client.outbox(), []);
  });
});

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

describe('client: recovery of a producer', () => {
  it('a wiped server gets what it lost of the last messages, once, and the rest goes on', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    for (let i = 0; i < 5; i++) alice.send(DM, i);
    await clock.advance(100);
    server.wipe();
    const next = outcomeOf(alice.send(DM, 5));
    await clock.advance(30_000);
    assert.ok(next.value);
    assert.deepEqual(
      server.conversation(DM).messages.map(({ body }) => body),
      [0, 1, 2, 3, 4, 5],
    );
    assert.deepEqual(alice.of('error'), []);
  });

  it('a copied outbox takes a new device, and doubles nothing', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const outbox = new MemoryOutbox();
    const alice = makeClient('alice', { outbox, device: 'phone' });
    await online(alice);
    alice.send(DM, 'first');
    await clock.advance(100);
    await alice.close();
    // A backup of the outbox that knows nothing of the first message numbers its own as 1 again.
    const restored = makeClient('alice', { device: 'phone' });
    const sends = ['second', 'third'].map((body) => outcomeOf(restored.send(DM, body)));
    await online(restored);
    await clock.advance(10_000);
    assert.deepEqual(
      sends.map(({ value }) => value?.seq),
      [2, 3],
    );
    assert.deepEqual(
      server.conversation(DM).messages.map(({ body }) => body),
      ['first', 'second', 'third'],
    );
    assert.equal(restored.of('device').length, 1);
    assert.notEqual(restored.device, 'phone');
  });

  it('an older copy that is told stale_device asks what arrived before it sends the rest as a new device', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { device: 'phone' });
    const early = outcomeOf(alice.send(DM, 'arrived', { id: 'arrived-already' }));
    const late = outcomeOf(alice.send(DM, 'absent'));
    server.devices.set('alice/phone', 7);
    const log = server.conversation(DM);
    server.store(DM, { from: 'alice', device: 'phone', id: 'arrived-already', type: 'text', body: 'arrived', n: 1 });
    await online(alice);
    await clock.advance(5_000);
    assert.deepEqual([early.value?.seq, early.value?.dup, late.value?.seq], [1, true, 2]);
    assert.deepEqual(
      log.messages.map(({ body }) => body),
      ['arrived', 'absent'],
    );
    assert.equal(log.messages[1].n, 1);
  });

  /** The server forgets all numbers of its producers above `last`, without a new epoch. */
  function forget(log, last) {
    for (const producer of log.producers.values()) {
      producer.last = Math.min(producer.last, last);
      for (const n of producer.answers.keys()) if (n > last) producer.answers.delete(n);
    }
    log.messages = log.messages.filter(({ n }) => n <= last);
  }

  it('what the server acked and then does not know is offered again, before what is new', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    for (const body of ['a', 'b', 'c']) alice.send(DM, body);
    await clock.advance(100);
    forget(server.conversation(DM), 1);
    const next = outcomeOf(alice.send(DM, 'd'));
    await clock.advance(1_000);
    assert.deepEqual(server.conversation(DM).messages.map(({ body, n }) => [body, n]), [['a', 1], ['b', 2], ['c', 3], ['d', 4]]); // prettier-ignore
    assert.equal(next.value.seq, 4);
    assert.deepEqual(alice.outbox(), []);
  });

  it('what a server has lost that does not know the device any more is offered again, not given up', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    for (const body of ['a', 'b']) alice.send(DM, body);
    await clock.advance(100);
    forget(server.conversation(DM), 0);
    alice.send(DM, 'c');
    await clock.advance(1_000);
    assert.deepEqual(server.conversation(DM).messages.map(({ body, n }) => [body, n]), [['a', 1], ['b', 2], ['c', 3]]); // prettier-ignore
    assert.deepEqual(received(network, 'skip'), []);
    assert.deepEqual(alice.outbox(), []);
  });

  it('what was acked above the newest message of a welcome is lost, and offered again', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    // What came before is still being handled: the position that is brought stands below what was lost, and is good.
    const [alice, bob] = [makeClient('alice', { handler: () => new Promise(() => {}) }), makeClient('bob')];
    await online(alice, bob);
    bob.send(DM, 'first');
    await clock.advance(1_000);
    for (const body of ['a', 'b']) alice.send(DM, body);
    await clock.advance(1_000);
    // The same epoch: nobody has added anything since.
    forget(server.conversation(DM), 1);
    network.cutAll();
    await clock.advance(10_000);
    assert.deepEqual(server.conversation(DM).messages.map(({ body }) => body), ['first', 'a', 'b']); // prettier-ignore
    assert.deepEqual(alice.outbox(), []);
  });

  it('a tail that is lost of a conversation whose place was never told is offered again, too', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { listen: false });
    await online(alice);
    for (const body of ['a', 'b']) alice.send(DM, body);
    await clock.advance(1_000);
    forget(server.conversation(DM), 1);
    const { epoch } = server.conversation(DM);
    for (const connection of server.connections) {
      connection.send({ t: 'epoch', conv: DM, epoch, keep: 1 });
      connection.flush();
    }
    await clock.advance(1_000);
    assert.deepEqual(server.conversation(DM).messages.map(({ body }) => body), ['a', 'b']); // prettier-ignore
  });

  it('an answer to what became of a message that was acked, lost and offered again meanwhile is for nobody', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { handler: () => {} });
    await online(alice);
    alice.send(DM, 'a');
    await clock.advance(1_000);
    const [connection] = server.connections;
    const { epoch } = server.conversation(DM);
    network.faults.drop = 1;
    const sent = outcomeOf(alice.send(DM, 'b', { id: 'the-second' }));
    await clock.advance(50);
    /** @param {Record<string, unknown>} packet the one that reaches the client; what that says to it is lost */
    const tell = async (packet) => {
      network.faults.drop = 0;
      connection.send({ conv: DM, ...packet });
      connection.flush();
      network.faults.drop = 1;
      await clock.advance(20);
    };
    await tell({ t: 'nack', id: 'the-second', n: 2, code: 'unknown_producer' });
    const place = { id: 'the-second', n: 2, seq: 2, epoch, mid: '77', at: 1 };
    await tell({ t: 'ack', ...place, safe: 'memory' });
    assert.equal(sent.value?.seq, 2);
    await tell({ t: 'epoch', epoch: epoch + 1, keep: 1 });
    for (let rid = 1; rid < 9; rid++) await tell({ t: 'status', rid, found: [place], unknown: [] });
    network.faults.drop = 0;
    await clock.advance(120_000);
    assert.deepEqual(alice.outbox(), []);
    assert.deepEqual(server.conversation(DM).messages.map(({ body }) => body), ['a', 'b']); // prettier-ignore
  });

  it('a number that was settled without a message is skipped where the server waits for it', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    server.authorize = ({ body }) => (body === 'bad' ? 'forbidden' : undefined);
    for (const body of ['a', 'bad']) alice.send(DM, body).catch(() => {});
    await clock.advance(100);
    forget(server.conversation(DM), 1);
    const next = outcomeOf(alice.send(DM, 'c'));
    await clock.advance(1_000);
    assert.equal(next.value?.seq, 2);
    assert.deepEqual(
      received(network, 'skip').map(({ from, to }) => [from, to]),
      [[2, 2]],
    );
  });
});

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

describe('client: connection', () => {
  it('gives up a connection that was silent for 30 s, after asking at 15 s', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    await clock.advance(100_000);
    assert.equal(network.dials, 1, 'a server that answers is kept');
    server.silent.add('ping');
    network.received.length = 0;
    await clock.advance(16_000);
    assert.equal(received(network, 'ping').length, 1);
    assert.equal(network.dials, 1);
    await clock.advance(16_000);
    assert.equal(network.dials, 2);
  });

  it('backs off with jitter between min and max', async () => {
    const { clock, network, makeClient } = makeWorld();
    const alice = makeClient('alice', { reconnect: { min: 100, max: 1_000 } });
    network.faults.refuse = true;
    alice.connect().catch(() => {});
    await clock.advance(20_000);
    const waits = alice.events.filter(({ more }) => more?.retryInMs).map(({ more }) => more.retryInMs);
    assert.ok(waits.length > 20 && waits.length < 80, `${waits.length}`);
    assert.ok(waits.every((ms) => ms >= 100 && ms <= 1_000));
    assert.ok(new Set(waits).size > 10);
    network.faults.refuse = false;
    await clock.advance(2_000);
    assert.equal(alice.state, 'online');
  });

  it('asks for a new token once, then stops', async () => {
    const { clock, server, makeClient } = makeWorld();
    let asked = 0;
    const alice = makeClient('alice', { token: undefined, getToken: async () => (asked++, 'alice') });
    server.refuseTokens = true;
    const connected = outcomeOf(alice.connect());
    await clock.advance(60_000);
    assert.deepEqual([connected.code, asked, alice.state], ['UNAUTHENTICATED', 2, 'closed']);
    assert.deepEqual(
      alice.of('error').map(({ code }) => code),
      ['UNAUTHENTICATED'],
    );
    server.refuseTokens = false;
    const again = outcomeOf(alice.connect());
    await clock.advance(1_000);
    assert.ok(again.settled && !again.code);
  });

  it('does not fight over a device: 4409 ends it until connect() is called', async () => {
    const { clock, network, makeClient, online } = makeWorld();
    const [first, second] = [makeClient('alice', { device: 'phone' }), makeClient('alice', { device: 'phone' })];
    await online(first);
    await online(second);
    await clock.advance(60_000);
    assert.deepEqual([first.state, second.state, network.dials], ['replaced', 'online', 2]);
    assert.deepEqual(
      first.of('error').map(({ code }) => code),
      ['REPLACED'],
    );
  });

  it('takes a 4409 that its own late hello may have caused for no replacement, and only that', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const client = makeClient('alice', { device: 'phone' });
    // The first hello gets no answer; the connection is given up, and the second is welcomed.
    network.faults.drop = 1;
    const connecting = client.connect();
    await clock.advance(8_000);
    network.faults.drop = 0;
    await clock.advance(10_000);
    await connecting;
    assert.equal(client.state, 'online');
    // Now the store comes to the first: for the server that is the later connection.
    for (const connection of [...server.connections]) connection.end(4409);
    await clock.advance(30_000);
    assert.deepEqual([client.state, client.of('error')], ['online', []]);
    await clock.advance(60_000);
    await online(makeClient('alice', { device: 'phone' }));
    await clock.advance(30_000);
    assert.equal(client.state, 'replaced');
  });

  it('honours bye: stays until the server leaves, comes back when told', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    for (const connection of [...server.connections]) {
      connection.send({ t: 'bye', code: 'drain', after: 5_000 });
      connection.end(1012);
    }
    const sent = outcomeOf(alice.send(DM, 1));
    await clock.advance(4_900);
    assert.equal(network.dials, 1);
    await clock.advance(6_000);
    assert.equal(network.dials, 2);
    assert.equal(sent.value.seq, 1);
  });

  it('never sends one user’s messages as another’s', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { token: undefined, getToken: () => name });
    let name = 'alice';
    await online(alice);
    name = 'bob';
    for (const connection of [...server.connections]) connection.end(1012);
    alice.send(DM, 'from alice').catch(() => {});
    await clock.advance(20_000);
    assert.deepEqual(
      alice.of('error').map(({ code }) => code),
      ['OUTBOX_USER'],
    );
    assert.equal(server.conversations.size, 0);
  });

  it('rejects what is unanswered when it is closed, and connects no more', async () => {
    const { clock, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    const sent = outcomeOf(alice.send(DM, 1));
    const asked = outcomeOf(alice.history(DM));
    await alice.close();
    await clock.advance(100_000);
    assert.deepEqual([sent.code, asked.code, network.dials], ['CLOSED', 'CLOSED', 1]);
    await assert.rejects(alice.connect(), { code: 'CLOSED' });
    await assert.rejects(alice.send(DM, 1), { code: 'CLOSED' });
  });

  it('survives whatever a server may send', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    const hostile = [{ t: 'ack' }, { t: 'msg', conv: DM }, { t: 'page', rid: 1, items: 'x' }, { t: '__proto__' }, { t: 'head', conv: DM, epoch: 1, head: 1e300, got: 0 }, { t: 'nack', conv: '__proto__', id: 'constructor', code: 'gap' }, { t: 'ok', rid: '__proto__' }, { t: 'epoch', conv: DM, epoch: 1, keep: 9 }, { t: 'error', code: 'toString' }, 7, null, [[]]]; // prettier-ignore
    for (const packet of hostile) {
      for (const connection of server.connections) {
        connection.send(packet);
        connection.flush();
      }
    }
    await clock.advance(30_000);
    const sent = outcomeOf(alice.send(DM, 1));
    await clock.advance(1_000);
    assert.equal(sent.value.seq, 1);
  });
});

describe('client: conversations, marks, signals', () => {
  it('keeps heads and unread counts up to date', async () => {
    const { clock, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    for (let i = 0; i < 4; i++) alice.send(DM, i);
    await clock.advance(500);
    assert.deepEqual(
      bob.conversations().map(({ conv, head, got, unread }) => [conv, head, got, unread]),
      [[DM, 4, 4, 4]],
    );
    bob.read(DM, 3);
    await clock.advance(100);
    assert.equal(bob.conversations()[0].unread, 1);
    assert.deepEqual(alice.of('receipt').at(-1), {
      conv: DM,
      epoch: bob.conversations()[0].epoch,
      user: 'bob',
      got: 4,
      read: 3,
    });
    assert.equal(alice.conversations()[0].unread, 0);
    const [counts, history] = [outcomeOf(bob.counts()), outcomeOf(bob.history(DM, { limit: 2 }))];
    await clock.advance(100);
    assert.equal(counts.value.total, 1);
    assert.deepEqual([history.value.items.map(({ seq }) => seq), history.value.more], [[3, 4], true]);
  });

  it('creates groups, signals members, and says what the server refuses', async () => {
    const { clock, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    const created = outcomeOf(alice.createConversation('g:team', ['bob']));
    await clock.advance(200);
    assert.ok(created.settled && !created.code);
    assert.equal(bob.received[0].type, 'system.members');
    assert.equal(alice.signal('g:team', { typing: true }), true);
    const taken = outcomeOf(bob.createConversation('g:team', []));
    const refused = outcomeOf(bob.addMembers('g:team', ['carol']));
    await clock.advance(200);
    assert.deepEqual(bob.of('signal'), [{ conv: 'g:team', from: 'alice', body: { typing: true } }]);
    assert.deepEqual([taken.code, refused.code], ['exists', 'unsupported']);
  });
});
