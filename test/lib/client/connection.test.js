/** What the client makes of closes, tokens and silence: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { DM, outcomeOf, received } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

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
