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
function makeInbox(handledUpTo, head, { handled = () => {}, isNamed = false } = {}) {
  const given = [];
  const voided = [];
  let answer = (/** @type {any} */ _page) => {};
  const host = {
    clock: new VirtualClock(),
    random: () => 0.5,
    outbox: { handled: () => {}, voidAbove: (...about) => void voided.push(about), state: { positions: new Map() } },
    maxAttempts: 5,
    online: true,
    handlers: () => [({ seq, id }) => (given.push(isNamed ? id : seq), handled())],
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
  return { inbox, given, voided, page: (seqs, covers) => answer({ items: seqs.map(message), covers }) };
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

  it('what was being handled when the log went back has no place in what follows, also where the position survived', async () => {
    let done = () => {};
    const handled = () => new Promise((resolve) => (done = resolve));
    const { inbox, given, voided } = makeInbox(10, 11, { handled, isNamed: true });
    inbox.take({ ...message(11), id: 'of-the-old-log' }, 10);
    inbox.advance();
    await settled();
    // Connected again: the position is good (10), and there is a later history above it.
    inbox.begin(epoch + 1, 10, 11);
    inbox.take({ ...message(11), epoch: epoch + 1, id: 'of-the-new-log' }, 10);
    done();
    await settled();
    assert.deepEqual(voided, [[conv, epoch + 1, 10, 'bob/B/of-the-old-log']]);
    assert.deepEqual(given, ['of-the-old-log', 'of-the-new-log']);
    done();
    await settled();
    assert.equal(inbox.handledUpTo, 11);
  });
});
