import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Inbox } from '../../../lib/server/inbox.js';

/** An inbox of 1000 bytes before an engine that takes as many frames as `room` says. */
function makeInbox(room = Infinity) {
  const world = { room, submits: 0, got: [], pausedAll: 0, resumed: 0 };
  world.inbox = new Inbox(
    {
      submit: (bytes, index, count) => {
        world.submits += 1;
        const taken = Math.min(count, world.room);
        world.room -= taken;
        for (let i = 0; i < taken; i++) {
          const [connection, offset, length] = index.subarray(i * 3, i * 3 + 3);
          world.got.push([connection, bytes.toString('latin1', offset, offset + length)]);
        }
        return taken;
      },
      pauseAll: () => (world.pausedAll += 1),
      resumed: () => (world.resumed += 1),
    },
    1000,
  );
  return world;
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('inbox', () => {
  it('submits once per turn, whoever sent, in order', async () => {
    const world = makeInbox();
    assert.equal(world.inbox.push(1, Buffer.from('a')), true);
    world.inbox.push(2, Buffer.from('b'));
    await Promise.resolve();
    world.inbox.push(1, Buffer.from('c'));
    assert.equal(world.submits, 0);
    await nextTurn();
    assert.equal(world.submits, 1);
    assert.deepEqual(world.got, [[1, 'a'], [2, 'b'], [1, 'c']]); // prettier-ignore
    assert.equal(world.inbox.bytes, 0);
  });

  it('keeps what the engine does not take, and asks its senders to wait', async () => {
    const world = makeInbox(1);
    for (const text of ['one', 'two', 'three']) assert.equal(world.inbox.push(1, Buffer.from(text)), true);
    await nextTurn();
    assert.deepEqual(world.got, [[1, 'one']]);
    assert.equal(world.inbox.push(2, Buffer.from('four')), false);
    await nextTurn();
    assert.equal(world.submits, 1, 'asks again only when told that there is room');
    world.room = 2;
    world.inbox.drained();
    assert.equal(world.resumed, 0);
    world.room = Infinity;
    world.inbox.drained();
    assert.deepEqual(world.got.map(([, text]) => text), ['one', 'two', 'three', 'four']); // prettier-ignore
    assert.equal(world.resumed, 1);
    assert.equal(world.inbox.push(1, Buffer.from('five')), true);
  });

  it('pauses senders above its bound, everybody above twice of it, once each', async () => {
    const world = makeInbox();
    assert.equal(world.inbox.push(1, Buffer.alloc(999)), true);
    assert.equal(world.inbox.push(1, Buffer.alloc(1)), false);
    assert.equal(world.pausedAll, 0);
    world.inbox.push(2, Buffer.alloc(1000));
    world.inbox.push(2, Buffer.alloc(1000));
    assert.equal(world.pausedAll, 1);
    await nextTurn();
    assert.equal(world.resumed, 1);
    assert.equal(world.got.length, 4);
  });

  it('forgets everything when stopped', async () => {
    const world = makeInbox();
    world.inbox.push(1, Buffer.from('a'));
    world.inbox.stop();
    await nextTurn();
    assert.equal(world.submits, 0);
  });

  it('loses, repeats and swaps nothing, however the engine takes', () => {
    const frame = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.string({ maxLength: 300, unit: 'grapheme-ascii' }));
    const step = fc.oneof(frame, fc.record({ room: fc.nat(20) }), fc.constant('flush'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const world = makeInbox(0);
        const sent = [];
        for (const action of steps) {
          if (action === 'flush') world.inbox.flush();
          else if (Array.isArray(action)) {
            sent.push([action[0], action[1]]);
            world.inbox.push(action[0], Buffer.from(action[1]));
          } else {
            world.room = action.room;
            world.inbox.drained();
          }
        }
        world.room = Infinity;
        world.inbox.flush();
        assert.deepEqual(world.got, sent);
        world.inbox.stop();
      }),
    );
  });
});
