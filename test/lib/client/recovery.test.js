/** A producer that the server knows less of, or more, than it does itself: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { MemoryOutbox } from '../../../lib/client/index.js';
import { DM, outcomeOf, received } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

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

  it('what is under way when a copy is found out is answered before the rest goes out as a new device’s', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { device: 'phone' });
    await online(alice);
    alice.send(DM, 'first');
    await clock.advance(1_000);
    // A twin of this outbox is online, too, and is quicker.
    const [connection] = server.connections;
    const { receive } = connection;
    receive.call(connection, { t: 'send', conv: DM, id: 'of-the-twin', n: 2, type: 'text', body: 'of the twin' });
    const held = [];
    connection.receive = (packet) => (packet.t === 'send' && packet.n > 2 ? held.push(packet) : receive.call(connection, packet)); // prettier-ignore
    for (const body of ['a', 'b', 'c']) alice.send(DM, body);
    await clock.advance(500);
    assert.deepEqual([held.length, alice.device], [2, 'phone'], 'it waits');
    connection.receive = receive;
    for (const packet of held) receive.call(connection, packet);
    await clock.advance(10_000);
    assert.deepEqual(server.conversation(DM).messages.map(({ body }) => body), ['first', 'of the twin', 'b', 'c', 'a']); // prettier-ignore
    assert.deepEqual([alice.outbox(), alice.of('device').length], [[], 1]);
  });

  it('where answers do not come when a copy is found out, it connects again as what it was, and finds out anew', async () => {
    const { clock, server, network, makeClient, online } = makeWorld();
    const alice = makeClient('alice', { device: 'phone', ackTimeout: 60_000 });
    await online(alice);
    alice.send(DM, 'first');
    await clock.advance(1_000);
    const [connection] = server.connections;
    const { receive } = connection;
    receive.call(connection, { t: 'send', conv: DM, id: 'of-the-twin', n: 2, type: 'text', body: 'of the twin' });
    connection.receive = (packet) => (packet.t === 'send' && packet.n > 2 ? undefined : receive.call(connection, packet)); // prettier-ignore
    for (const body of ['a', 'b']) alice.send(DM, body);
    await clock.advance(9_000);
    assert.equal(received(network, 'hello').length, 1, 'it waits');
    await clock.advance(30_000);
    assert.deepEqual(received(network, 'hello').map(({ device }) => device === 'phone'), [true, true, false]); // prettier-ignore
    const bodies = server.conversation(DM).messages.map(({ body }) => body);
    assert.deepEqual(
      [bodies.slice(0, 2), bodies.slice(2).sort()],
      [
        ['first', 'of the twin'],
        ['a', 'b'],
      ],
    );
    assert.deepEqual(alice.outbox(), []);
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
