import assert from 'node:assert/strict';
import { makeWorld } from './fake/world.js';

const DM = 'dm:alice:bob';

describe('client: sending and receiving', () => {
  it('resolves send at the ack, and calls the other side once, in order', async () => {
    const { clock, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    const sends = Array.from({ length: 150 }, (_, i) => alice.send(DM, { i }));
    await clock.advance(2000);
    const acks = await Promise.all(sends);
    assert.deepEqual(
      acks.map((ack) => ack.seq),
      acks.map((_, i) => i + 1),
    );
    assert.equal(acks[0].dup, false);
    assert.ok(acks[0].epoch > 0 && typeof acks[0].mid === 'string');
    assert.deepEqual(
      bob.received.map((m) => m.body.i),
      acks.map((_, i) => i),
    );
    assert.equal(alice.received.length, 0, 'own messages come as acks');
    assert.deepEqual(alice.outbox(), []);
  });
});
