/** Message tokens in the client (docs/protocol.md "Tokens"), against the naive server. */
import assert from 'node:assert/strict';
import { JournalOutbox } from '../../../lib/client/outbox.js';
import { DM, outcomeOf, received } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

/** A disk that several outboxes of the test open one after the other, and that says what was written. */
function disk() {
  const records = [];
  const written = [];
  const storage = {
    open: async () => ({ records: structuredClone(records) }),
    write: async (more) => {
      records.push(...structuredClone(more));
      written.push(...structuredClone(more));
    },
    replace: async (all) => void records.splice(0, records.length, ...structuredClone(all)),
    close: async () => {},
  };
  return { written, outbox: () => new JournalOutbox(storage) };
}

describe('client: tokens', () => {
  const tokenWorld = () => {
    const world = makeWorld();
    world.server.tokens = 'required';
    return world;
  };
  const bodies = (server, conv = DM) => server.conversation(conv).messages.map(({ body }) => body);

  it('are fetched before they are needed, so that a send takes no longer', async () => {
    const { clock, network, makeClient, online } = tokenWorld();
    const alice = makeClient('alice');
    await online(alice);
    assert.deepEqual(received(network, 'tokens').map(({ count }) => count), [64]); // prettier-ignore
    const sends = Array.from({ length: 20 }, (_, i) => outcomeOf(alice.send(DM, i)));
    await clock.advance(12); // there and back
    for (const sent of sends) {
      assert.match(sent.value.id, /^eo1-/);
      assert.equal('token' in sent.value, false, 'its id is the token');
    }
    assert.equal(received(network, 'tokens').length, 1, 'and more only when half of them are used');
    for (let i = 20; i < 40; i++) alice.send(DM, i);
    await clock.advance(50);
    assert.equal(received(network, 'tokens').length, 2);
  });

  it('are waited for by what was sent before, in order, and bound durably before it goes out', async () => {
    const { clock, network, server, makeClient, online } = tokenWorld();
    const { written, outbox } = disk();
    const alice = makeClient('alice', { outbox: outbox() });
    const sends = [1, 2, 3].map((body) => outcomeOf(alice.send(DM, body, { id: `message-${body}` })));
    await clock.advance(1_000);
    assert.deepEqual(alice.outbox().map(({ id, state }) => [id, state]), [1, 2, 3].map((body) => [`message-${body}`, 'queued'])); // prettier-ignore
    await online(alice);
    await clock.advance(100);
    assert.deepEqual(sends.map(({ value }) => value?.id), ['message-1', 'message-2', 'message-3']); // prettier-ignore
    const bound = written.filter(({ k }) => k === 'bind').flatMap(({ items }) => items);
    assert.deepEqual(received(network, 'send').map(({ id }) => id), bound.map(([, [token]]) => token)); // prettier-ignore
    assert.deepEqual(sends.map(({ value }) => value.token), bound.map(([, [token]]) => token)); // prettier-ignore
    assert.deepEqual(bodies(server), [1, 2, 3]);
  });

  it('a message that waits for one is never sent without, whatever happens in between', async () => {
    const { clock, network, server, makeClient, online } = tokenWorld();
    const { outbox } = disk();
    const first = makeClient('alice', { outbox: outbox() });
    await online(first);
    server.silent.add('tokens');
    for (let i = 0; i < 70; i++) first.send(DM, i).catch(() => {});
    await clock.advance(200);
    assert.equal(received(network, 'send').length, 64, 'the rest has none');
    await first.close();
    server.silent.clear();
    const second = makeClient('alice', { outbox: outbox() });
    await online(second);
    await clock.advance(1_000);
    assert.ok(received(network, 'send').every(({ id }) => id.startsWith('eo1-')));
    assert.deepEqual(
      bodies(server),
      Array.from({ length: 70 }, (_, i) => i),
    );
    assert.deepEqual(second.outbox(), []);
  });

  it('what was refused for its token goes out under another, as a new message, once and in order', async () => {
    const { clock, network, server, makeClient, online } = tokenWorld();
    server.tokenTtlMs = 10_000;
    const alice = makeClient('alice');
    await online(alice);
    network.faults.refuse = true;
    network.cutAll();
    const sends = [1, 2, 3].map((body) => outcomeOf(alice.send(DM, body)));
    await clock.advance(100_000);
    network.faults.refuse = false;
    await clock.advance(20_000);
    assert.deepEqual(bodies(server), [1, 2, 3]);
    assert.deepEqual(server.conversation(DM).messages.map(({ n }) => n), [4, 5, 6]); // prettier-ignore
    for (const { value } of sends) assert.equal(server.issued.get(value.token).used !== undefined, true);
    assert.notEqual(sends[0].value.id, sends[0].value.token);
    const next = outcomeOf(alice.send(DM, 4));
    await clock.advance(100);
    assert.equal(next.value.seq, 4);
  });

  it('what may have arrived under its own id, before the server required tokens, is not doubled', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const { outbox } = disk();
    const alice = makeClient('alice', { outbox: outbox() });
    await online(alice);
    // It is stored, and the ack is lost with the process.
    for (const connection of server.connections) connection.send = () => {};
    alice.send(DM, 'arrived').catch(() => {});
    await clock.advance(20);
    assert.deepEqual(bodies(server), ['arrived']);
    await alice.close();
    server.tokens = 'required';
    const again = makeClient('alice', { outbox: outbox() });
    const late = outcomeOf(again.send(DM, 'late'));
    await online(again);
    await clock.advance(1_000);
    assert.deepEqual(bodies(server), ['arrived', 'late']);
    assert.equal(late.value.seq, 2);
    assert.deepEqual(again.outbox(), []);
  });

  it('and what did not, is sent under a token after the server has refused it', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const { outbox } = disk();
    const alice = makeClient('alice', { outbox: outbox() });
    alice.send(DM, 'kept').catch(() => {});
    await clock.advance(20);
    await alice.close();
    server.tokens = 'required';
    const again = makeClient('alice', { outbox: outbox() });
    await online(again);
    await clock.advance(1_000);
    assert.deepEqual(bodies(server), ['kept']);
    assert.equal(server.conversation(DM).messages[0].n, 2, 'the first number went with the refusal');
  });

  it('of a package: one for each part, also after a refusal', async () => {
    const { clock, server, makeClient, online } = tokenWorld();
    server.tokenTtlMs = 1_000;
    const alice = makeClient('alice');
    await online(alice);
    const first = outcomeOf(alice.sendPackage(DM, [1, 2, 3]));
    await clock.advance(100);
    assert.ok(first.value.every(({ id }) => server.issued.get(id).used));
    await clock.advance(100_000);
    const second = outcomeOf(alice.sendPackage(DM, [4, 5]));
    await clock.advance(1_000);
    assert.deepEqual(second.value.map(({ seq }) => seq), [4, 5]); // prettier-ignore
    assert.deepEqual(bodies(server), [1, 2, 3, 4, 5]);
  });

  it('rejects with token_invalid where no token helps', async () => {
    const { clock, server, makeClient, online } = tokenWorld();
    server.tokenTtlMs = -1;
    const alice = makeClient('alice');
    await online(alice);
    const sent = outcomeOf(alice.send(DM, 1));
    await clock.advance(10_000);
    assert.equal(sent.code, 'token_invalid');
    assert.deepEqual(alice.outbox(), []);
    server.tokenTtlMs = Infinity;
    const next = outcomeOf(alice.send(DM, 2));
    await clock.advance(10_000);
    assert.equal(next.value?.seq, 1);
  });

  it('a discarded message that waits for a token is gone, and blocks nothing', async () => {
    const { clock, server, makeClient, online } = tokenWorld();
    server.silent.add('tokens');
    const alice = makeClient('alice');
    const [lost, next] = ['lost', 'next'].map((body) => outcomeOf(alice.send(DM, body, { id: `the-${body}-one` })));
    await online(alice);
    const discarded = outcomeOf(alice.discard('the-lost-one').then(() => 'done'));
    await clock.advance(200);
    server.silent.clear();
    await clock.advance(60_000);
    assert.equal(lost.code, 'DISCARDED');
    assert.equal(discarded.value, 'done');
    assert.equal(next.value?.seq, 1);
    assert.deepEqual(bodies(server), ['next']);
  });

  it('the same id is the same message, under whatever token', async () => {
    const { clock, server, makeClient, online } = tokenWorld();
    const alice = makeClient('alice');
    await online(alice);
    const sends = [1, 2].map(() => outcomeOf(alice.send(DM, 'once', { id: 'the-same-id' })));
    await clock.advance(100);
    const third = outcomeOf(alice.send(DM, 'once', { id: 'the-same-id' }));
    await clock.advance(100);
    assert.deepEqual([...sends, third].map(({ value }) => value.seq), [1, 1, 1]); // prettier-ignore
    assert.deepEqual(bodies(server), ['once']);
  });
});
