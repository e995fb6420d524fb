// One conversation's inbox by itself, where the order of events has to be exact.
import assert from 'node:assert/strict';
import { Inbox } from '../../../lib/client/inbox.js';
import { settled, VirtualClock } from './fake/clock.js';

const conv = 'dm:alice:bob';
const epoch = 7;
const message = (/** @type {number} */ seq) => ({
  t: 'msg', conv, epoch, seq, mid: String(seq), from: 'bob', device: 'B', id: `message-${seq}`, type: 'text', body: seq, at: 1,
}); // prettier-ignore

/** An inbox that is placed behind `handledUpTo`, what its handler was given, and the page that it waits for. */
function makeInbox(handledUpTo, head) {
  const given = [];
  let answer = (/** @type {any} */ _page) => {};
  const host = {
    clock: new VirtualClock(),
    random: () => 0.5,
    outbox: { handled: () => {}, state: { positions: new Map() } },
    maxAttempts: 5,
    online: true,
    handlers: () => [({ seq }) => void given.push(seq)],
    write: () => {},
    wantsPull: (inbox) => void inbox.pull(5),
    ask: () => new Promise((resolve) => (answer = resolve)),
    learn: () => {},
    emit: () => {},
    changed: () => {},
    handled: () => {},
  };
  const inbox = new Inbox(conv, /** @type {any} */ (host));
  inbox.begin(epoch, handledUpTo, head);
  return { inbox, given, page: (seqs, covers) => answer({ items: seqs.map(message), covers }) };
}

describe('client: inbox', () => {
  it('handles what a page alone brings, also where pushes were handled while it was asked for', async () => {
    const { inbox, given, page } = makeInbox(10, 15);
    inbox.pullSoon();
    for (const seq of [11, 12, 13, 14]) inbox.take(message(seq), 10);
    inbox.advance();
    await settled();
    assert.deepEqual(given, [11, 12, 13, 14]);
    page([11, 12, 13, 14, 15], [[conv, epoch, 11, 15]]);
    await settled();
    assert.deepEqual(given, [11, 12, 13, 14, 15]);
    assert.equal(inbox.handledUpTo, 15);
  });
});
