/** Conversations, marks and signals, each rule by itself: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { DM, outcomeOf } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

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
