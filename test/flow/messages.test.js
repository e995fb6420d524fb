// Sending, receiving, being away, groups: protocol.md, Sending to Conversations.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const id = (n) => `message-${String(n).padStart(4, '0')}`;

describe('flow: messages', () => {
  let server;
  let alice;
  beforeEach(async () => {
    server = await startServer();
    alice = await login(server, 'alice');
  });
  afterEach(cleanUp);

  /** Alice sends messages from..to to bob. */
  const sendRange = async (from, to) => {
    const acks = [];
    for (let n = from; n <= to; n++) acks.push(await alice.say(DM, id(n), { n }, { n }));
    return acks;
  };

  describe('sending', () => {
    it('is acked with its place, and says how safe it is', async () => {
      const ack = await alice.say(DM, id(1), 'hi', { n: 1 });
      const { epoch, mid, at, ...rest } = ack;
      assert.deepEqual(rest, { t: 'ack', conv: DM, id: id(1), n: 1, seq: 1, safe: 'disk' });
      assert.ok(Number.isSafeInteger(epoch) && epoch > 0);
      assert.match(mid, /^\d+$/);
      assert.ok(Math.abs(at - Date.now()) < 60_000);
      assert.equal((await alice.say(DM, id(2), 'hi', { n: 2 })).seq, 2);
    });

    it('again gives the same answer, marked dup, and stores nothing', async () => {
      const first = await alice.say(DM, id(1), 'hi', { n: 1 });
      const again = await alice.say(DM, id(1), 'hi', { n: 1 });
      assert.deepEqual(again, { ...first, dup: true });
      assert.equal((await alice.say(DM, id(2), 'next', { n: 2 })).seq, 2);
    });

    it('without n is deduplicated by id', async () => {
      const first = await alice.say(DM, id(1), { a: 1 });
      assert.deepEqual(await alice.say(DM, id(1), { a: 1 }), { ...first, dup: true });
      const other = await alice.say(DM, id(1), { a: 2 });
      assert.deepEqual([other.t, other.code], ['nack', 'conflict']);
    });

    it('refuses gaps, conflicts and unknown producers, and goes on', async () => {
      const unknown = await alice.say(DM, id(5), 'x', { n: 5 });
      assert.deepEqual([unknown.t, unknown.code], ['nack', 'unknown_producer']);
      await sendRange(1, 2);
      const gap = await alice.say(DM, id(5), 'x', { n: 5 });
      assert.deepEqual([gap.code, gap.expected, gap.retry], ['gap', 3, 0]);
      const conflict = await alice.say(DM, 'another-id', 'x', { n: 2 });
      assert.deepEqual([conflict.code, conflict.retry], ['conflict', undefined]);
      assert.equal((await alice.say(DM, id(3), 'x', { n: 3 })).seq, 3);
    });

    it("to others' conversations is refused as to those that are not there", async () => {
      for (const conv of ['dm:bob:carol', 'g:nothing']) {
        const nack = await alice.say(conv, id(1), 'x', { n: 1 });
        assert.deepEqual([nack.t, nack.code], ['nack', 'unknown_conv'], conv);
      }
    });

    it('is told by status, and what is given up is skipped', async () => {
      const [ack] = await sendRange(1, 1);
      const status = await alice.ask({ t: 'status', conv: DM, ids: [id(1), id(2)] });
      assert.deepEqual(status.found, [{ id: id(1), n: 1, seq: ack.seq, epoch: ack.epoch, mid: ack.mid, at: ack.at }]);
      assert.deepEqual(status.unknown, []);
      assert.equal((await alice.ask({ t: 'skip', conv: DM, from: 2, to: 3 })).t, 'ok');
      assert.equal((await alice.ask({ t: 'skip', conv: DM, from: 2, to: 3 })).t, 'ok');
      assert.equal((await alice.say(DM, id(4), 'x', { n: 4 })).seq, 2);
      assert.equal((await alice.ask({ t: 'skip', conv: DM, from: 1, to: 1 })).code, 'conflict');
    });

    it('many in one frame are answered each', async () => {
      const packets = Array.from({ length: 50 }, (_, i) => ({ t: 'send', conv: DM, id: id(i + 1), n: i + 1, body: i }));
      alice.send(...packets);
      for (const { id: sent, n } of packets) assert.equal((await alice.take('ack', { id: sent })).seq, n);
    });
  });

  describe('receiving', () => {
    it("goes to all devices of the other and the sender's others, not to the one that sent", async () => {
      const others = [await login(server, 'bob'), await login(server, 'bob', { device: 'b2' }), await login(server, 'alice', { device: 'a2' })]; // prettier-ignore
      const body = { text: 'grüß dich', big: '12345678901234567890' };
      const ack = await alice.say(DM, id(1), body, { n: 1, type: 'note' });
      for (const other of others) {
        const { epoch, seq, mid, at } = ack;
        const head = await other.take('head');
        assert.deepEqual([head.conv, head.epoch], [DM, epoch]);
        assert.deepEqual(await other.take('msg'), { t: 'msg', conv: DM, epoch, seq, mid, from: 'alice', device: 'alice-1', id: id(1), type: 'note', body, at }); // prettier-ignore
      }
      await alice.settled();
      assert.deepEqual(alice.untaken('msg'), []);
    });

    it('keeps the body byte for byte', async () => {
      const bob = await login(server, 'bob');
      const body = '{ "b":1.50,  "a":123456789012345678901234567890, "s":"\\u0041\\ud800" }';
      alice.text(`{"t":"send","conv":"${DM}","id":"${id(1)}","n":1,"body":${body}}`);
      await bob.take('msg');
      assert.ok(bob.frames.some((frame) => frame.includes(body)));
    });

    it('what was got is not new any more', async () => {
      const bob = await login(server, 'bob');
      await sendRange(1, 3);
      for (let n = 1; n <= 3; n++) await bob.take('msg', { seq: n });
      bob.send({ t: 'got', conv: DM, seq: 3 });
      await bob.settled();
      await bob.close();
      const again = await login(server, 'bob');
      const { head, got, unread } = again.welcome.convs.find(({ conv }) => conv === DM);
      assert.deepEqual({ head, got, unread }, { head: 3, got: 3, unread: 3 });
      await sendRange(4, 4);
      await again.take('msg', { seq: 4 });
    });
  });

  describe('being away', () => {
    /** bob knows the conversation up to seq 1, and has missed 2..total. */
    const bobMissed = async (total) => {
      const before = await login(server, 'bob');
      await sendRange(1, 1);
      await before.take('msg');
      before.send({ t: 'got', conv: DM, seq: 1 });
      await before.settled();
      await before.close();
      await sendRange(2, total);
      return login(server, 'bob');
    };

    it('is told at the hello, and nothing is pushed until it is pulled', async () => {
      const bob = await bobMissed(6);
      const { head, got } = bob.welcome.convs.find(({ conv }) => conv === DM);
      assert.deepEqual([head, got], [6, 1]);
      await sendRange(7, 7);
      assert.equal((await bob.take('head', { head: 7 })).conv, DM);
      await bob.settled();
      assert.deepEqual(bob.untaken('msg'), []);
    });

    it('n pages cost n + 1 requests, covers run without a gap, and it is live again', async () => {
      const bob = await bobMissed(6);
      const seen = [];
      let [next, upTo, requests] = [undefined, 1, 0];
      do {
        const page = await bob.ask({ t: 'pull', conv: DM, limit: 2, order: 'oldest', next });
        requests += 1;
        for (const [conv, , from, to] of page.covers) {
          assert.equal(conv, DM);
          assert.ok(from <= upTo + 1, `a gap between ${upTo} and ${from}`);
          upTo = Math.max(upTo, to);
        }
        seen.push(...page.items.map((item) => item.seq));
        if (page.items.length === 0) assert.equal(page.next, undefined);
        next = page.next;
      } while (next !== undefined);
      assert.deepEqual(seen, [2, 3, 4, 5, 6]);
      assert.equal(upTo, 6);
      assert.equal(requests, 4);
      await sendRange(7, 7);
      await bob.take('msg', { seq: 7 });
    });

    it('a page that was not acknowledged comes again, on another connection, too', async () => {
      const bob = await bobMissed(5);
      const page = await bob.ask({ t: 'pull', conv: DM, limit: 2, order: 'oldest' });
      await bob.close();
      const again = await login(server, 'bob');
      const same = await again.ask({ t: 'pull', conv: DM, limit: 2, order: 'oldest' });
      assert.deepEqual(same.items, page.items);
      const more = await again.ask({ t: 'pull', conv: DM, limit: 2, order: 'oldest', next: page.next });
      assert.deepEqual(more.items.map((item) => item.seq), [4, 5]); // prettier-ignore
    });

    it('a pull of all goes through all conversations', async () => {
      await bobMissed(3).then((bob) => bob.close());
      await alice.ask({ t: 'create', conv: 'g:team', members: ['bob'] });
      await alice.say('g:team', id(1), 'hello team', { n: 1 });
      const bob = await login(server, 'bob');
      const seen = new Map();
      let next;
      do {
        const page = await bob.ask({ t: 'pull', limit: 100, order: 'oldest', next });
        for (const { conv, seq } of page.items) seen.set(conv, [...(seen.get(conv) ?? []), seq]);
        next = page.next;
      } while (next !== undefined);
      assert.deepEqual(seen.get(DM), [2, 3]);
      assert.ok(seen.get('g:team').includes(2));
    });

    it('a position that the client brings is answered', async () => {
      const [first, , third] = await sendRange(1, 3);
      const bob = await login(server, 'bob', { at: { [DM]: [first.epoch, 2] } });
      const entry = bob.welcome.convs.find(({ conv }) => conv === DM);
      assert.deepEqual([entry.got, entry.head], [2, third.seq]);
      assert.ok(entry.resume === undefined || entry.resume === 'ok');
      const lost = await bob.ask({ t: 'resume', at: { 'g:gone': [5, 9] } });
      assert.deepEqual(lost.convs.map(({ conv, resume, head }) => [conv, resume, head]), [['g:gone', 'reset', 0]]); // prettier-ignore
    });
  });

  describe('groups, marks, signals', () => {
    it('a group is made, told of, and spoken in; strangers stay outside', async () => {
      const [bob, carol] = [await login(server, 'bob'), await login(server, 'carol')];
      assert.equal((await alice.ask({ t: 'create', conv: 'g:team', members: ['bob'] })).t, 'ok');
      const made = await bob.take('msg', { type: 'system.members' });
      assert.deepEqual([made.conv, made.seq, made.from, made.body.by], ['g:team', 1, 'system', 'alice']);
      assert.deepEqual([...made.body.add].sort(), ['alice', 'bob']);
      await bob.say('g:team', id(1), 'hi', { n: 1 });
      assert.equal((await alice.take('msg', { conv: 'g:team', from: 'bob' })).seq, 2);
      assert.equal((await carol.say('g:team', id(1), 'me too', { n: 1 })).code, 'unknown_conv');
      assert.equal((await alice.ask({ t: 'create', conv: 'g:team', members: ['bob'] })).t, 'ok');
      assert.equal((await carol.ask({ t: 'create', conv: 'g:team', members: [] })).code, 'exists');
      await carol.settled();
      assert.deepEqual(carol.untaken('msg'), []);
    });

    it('read marks rise on all devices, and the other is told', async () => {
      const bob = await login(server, 'bob');
      await sendRange(1, 2);
      await bob.take('msg', { seq: 2 });
      bob.send({ t: 'got', conv: DM, seq: 2 }, { t: 'read', conv: DM, seq: 2 });
      const receipt = await alice.take((packet) => packet.t === 'receipt' && packet.read === 2);
      assert.deepEqual([receipt.conv, receipt.user, receipt.got], [DM, 'bob', 2]);
      bob.send({ t: 'read', conv: DM, seq: 1 }, { t: 'read', conv: DM, seq: 99 });
      await bob.settled();
      const tablet = await login(server, 'bob', { device: 'tablet' });
      const { read, unread } = tablet.welcome.convs.find(({ conv }) => conv === DM);
      assert.deepEqual([read, unread], [2, 0]);
    });

    it('signals go to who is there, and nowhere else', async () => {
      const bob = await login(server, 'bob');
      await sendRange(1, 1);
      await bob.take('msg');
      alice.send({ t: 'signal', conv: DM, body: { typing: true } });
      assert.deepEqual(await bob.take('signal'), { t: 'signal', conv: DM, from: 'alice', body: { typing: true } });
      const later = await login(server, 'bob', { device: 'tablet' });
      await later.settled();
      assert.deepEqual(later.untaken('signal'), []);
    });
  });

  describe("the application's own", () => {
    it('publish is delivered, once for each id', async () => {
      const bob = await login(server, 'bob');
      const first = await server.publish({ conv: DM, from: 'alice', id: 'from-the-server', body: { a: 1 } });
      assert.deepEqual([first.seq, first.dup], [1, false]);
      const msg = await bob.take('msg');
      assert.deepEqual([msg.id, msg.from, msg.device, msg.body], ['from-the-server', 'alice', 'server', { a: 1 }]);
      const again = await server.publish({ conv: DM, from: 'alice', id: 'from-the-server', body: { a: 1 } });
      assert.deepEqual(again, { ...first, dup: true });
      const conflict = server.publish({ conv: DM, from: 'alice', id: 'from-the-server', body: { a: 2 } });
      await assert.rejects(conflict, { code: 'conflict', conv: DM, id: 'from-the-server' });
      await assert.rejects(server.publish({ conv: 'dm:bob:carol', from: 'alice', body: 1 }), { code: 'unknown_conv' });
      await assert.rejects(server.publish({ conv: DM, from: 'alice', body: 'x'.repeat(20_000) }), {
        code: 'too_large',
      });
      await assert.rejects(server.publish({ conv: DM, from: 'alice' }), { code: 'bad_request' });
    });

    it('groups are made by the server, too', async () => {
      await server.createConversation({ conv: 'g:made', creator: 'alice', members: ['bob'] });
      assert.equal((await alice.say('g:made', id(1), 'hi', { n: 1 })).seq, 2);
    });

    it('message events tell of each message once', async () => {
      const told = once(server, 'message');
      const ack = await alice.say(DM, id(1), { a: 1 }, { n: 1 });
      await alice.say(DM, id(1), { a: 1 }, { n: 1 });
      const [message] = await told;
      assert.deepEqual([message.conv, message.seq, message.id, message.body], [DM, ack.seq, id(1), { a: 1 }]);
    });
  });
});
