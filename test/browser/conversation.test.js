// What the page knows of a conversation, and how its panel judges: it must be able to say that something is wrong.
import assert from 'node:assert/strict';
import { Conversation } from '../../examples/chat/public/conversation.js';

/** @param {number} seq @param {Partial<import('../../examples/chat/public/conversation.js').Message>} [more] */
const message = (seq, more = {}) => ({
  ...{ conv: 'dm:alice:bob', epoch: 1, seq, mid: String(seq), from: 'bob', device: 'd', id: `message-${seq}` },
  ...{ type: 'text', body: { text: `m${seq}` }, at: seq },
  ...more,
});
const seqs = (/** @type {Conversation} */ { messages }) => messages.map(({ epoch, seq }) => `${epoch}/${seq}`);

describe('conversation of the example chat', () => {
  /** @type {Conversation} */
  let conversation;
  beforeEach(() => {
    conversation = new Conversation('dm:alice:bob', 'alice');
  });

  it('keeps messages in order, each once', () => {
    for (const seq of [3, 1, 2, 2]) conversation.insert(message(seq));
    assert.deepEqual(seqs(conversation), ['1/1', '1/2', '1/3']);
    assert.equal(conversation.doubled, 0);
  });

  it('sees a message that got two places', () => {
    conversation.handled(message(1));
    conversation.handled(message(2, { id: 'message-1' }));
    assert.equal(conversation.doubled, 1);
  });

  it('sees messages that come out of order', () => {
    for (const seq of [1, 3, 2]) conversation.handled(message(seq));
    assert.equal(conversation.swapped, 1);
  });

  it('sees what is missing, where the client says that all came', () => {
    for (const seq of [4, 5, 8]) conversation.handled(message(seq));
    Object.assign(conversation, { got: 8, head: 9 });
    assert.equal(conversation.missing, 2);
    assert.equal(conversation.onTheWay, 1);
    conversation.gap(6, 6);
    assert.equal(conversation.missing, 1);
  });

  it('tells delivered and read by what all others have', () => {
    const group = new Conversation('g:walkers', 'alice');
    group.insert(message(1, { type: 'system.members', from: 'system', body: { add: ['bob', 'carol'], by: 'alice' } }));
    assert.deepEqual([...group.members].sort(), ['alice', 'bob', 'carol']);
    assert.equal(group.stateOf(2), 'accepted');
    group.mark('bob', 2, 2);
    assert.equal(group.stateOf(2), 'accepted');
    group.mark('carol', 2, 1);
    assert.equal(group.stateOf(2), 'delivered');
    group.mark('carol', 2, 2);
    assert.equal(group.stateOf(2), 'read');
  });

  it('moves an own message that the server lost to its new place', () => {
    for (const seq of [1, 2, 3]) conversation.insert(message(seq, { from: 'alice' }));
    conversation.mark('bob', 3, 3);
    conversation.newEpoch(2, 1);
    assert.equal(conversation.stateOf(3), 'accepted');
    conversation.wait({ id: 'message-3', body: { text: 'm3' }, at: 3, status: 'waiting', reason: '' });
    assert.deepEqual(seqs(conversation), ['1/1', '1/2']);
    conversation.insert(message(2, { from: 'alice', id: 'message-3', epoch: 2 }));
    assert.deepEqual(seqs(conversation), ['1/1', '1/2', '2/2']);
    assert.equal(conversation.pending.size, 0);
    assert.equal(conversation.doubled, 0);
  });
});
