// What an application asks of its own server, on the real engine.
import assert from 'node:assert/strict';
import { login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const seqs = ({ items }) => items.map(({ seq }) => seq);

describe('flow: api', () => {
  afterEach(cleanUp);

  /** A server on which alice has written `count` messages to bob. */
  const serverWith = async (count) => {
    const server = await startServer({ memory: true });
    for (let i = 1; i <= count; i++) {
      await server.publish({ conv: DM, from: 'alice', id: `message-${i}`, type: 'note', body: { i } });
    }
    return server;
  };

  it('publishes once for each id, and delivers', async () => {
    const server = await startServer({ memory: true });
    const bob = await login(server, 'bob');
    const first = await server.publish({
      conv: DM,
      from: 'alice',
      id: 'order-00042',
      type: 'note',
      body: { total: 9 },
    });
    assert.deepEqual([first.seq, first.dup, first.id], [1, false, 'order-00042']);
    const again = await server.publish({
      conv: DM,
      from: 'alice',
      id: 'order-00042',
      type: 'note',
      body: { total: 9 },
    });
    assert.deepEqual(again, { ...first, dup: true });
    const told = await bob.take('msg');
    assert.deepEqual(
      [told.seq, told.from, told.device, told.id, told.type, told.body],
      [1, 'alice', 'server', 'order-00042', 'note', { total: 9 }],
    );
    await bob.settled();
    assert.deepEqual(bob.untaken('msg'), []);
    const other = { conv: DM, from: 'alice', id: 'order-00042', body: { total: 10 } };
    await assert.rejects(server.publish(other), { code: 'conflict', conv: DM, id: 'order-00042', retryable: false });
    const stranger = { conv: DM, from: 'carl', body: 1 };
    await assert.rejects(server.publish(stranger), { code: 'unknown_conv', conv: DM });
    await assert.rejects(server.publish({ conv: DM, from: 'alice' }), { code: 'bad_request' });
    await assert.rejects(server.publish({ conv: DM, from: 'alice', body: 'x'.repeat(16385) }), { code: 'too_large' });
  });

  it('reads everything back, from both ends, a group that nobody is in as well', async () => {
    const server = await serverWith(5);
    assert.deepEqual(seqs(await server.history(DM)), [1, 2, 3, 4, 5]);
    assert.deepEqual(seqs(await server.history(DM, { limit: 2 })), [4, 5]);
    assert.deepEqual(seqs(await server.history(DM, { before: 4, limit: 2 })), [2, 3]);
    const up = await server.history(DM, { after: 0, limit: 2 });
    assert.deepEqual([seqs(up), up.more, up.items[0].body, up.items[0].from], [[1, 2], true, { i: 1 }, 'alice']);
    await server.createConversation({ conv: 'g:team', members: ['alice'] });
    await server.publish({ conv: 'g:team', from: 'alice', body: 'alone' });
    await server.removeMembers('g:team', ['alice']);
    assert.deepEqual(seqs(await server.history('g:team')), [1, 2, 3]);
    assert.deepEqual(await server.history('dm:alice:carl'), { items: [], more: false });
    await assert.rejects(server.history('g:none'), { code: 'unknown_conv', conv: 'g:none' });
  });

  it('makes conversations of a user or of its own, and changes who is in them', async () => {
    const server = await startServer({ memory: true });
    const bob = await login(server, 'bob');
    await server.createConversation({ conv: 'g:hers', creator: 'alice', members: ['bob'], history: 'all' });
    await server.createConversation({ conv: 'g:hers', creator: 'alice', members: ['bob'], history: 'all' });
    assert.deepEqual((await bob.take('msg')).body, { add: ['alice', 'bob'], by: 'alice' });
    await assert.rejects(server.createConversation({ conv: 'g:hers', members: ['bob'] }), { code: 'exists' });
    await server.addMembers('g:hers', ['carl']);
    assert.deepEqual((await bob.take('msg')).body, { add: ['carl'], by: 'system' });
    const carl = await login(server, 'carl');
    assert.deepEqual(seqs(await carl.ask({ t: 'history', conv: 'g:hers', limit: 9 })), [1, 2]);
    await server.removeMembers('g:hers', ['bob', 'carl']);
    assert.deepEqual((await bob.take('msg')).body, { remove: ['bob', 'carl'], by: 'system' });
    assert.equal((await bob.say('g:hers', 'message-1', 1, { n: 1 })).code, 'unknown_conv');
    await server.createConversation({ conv: 'g:nobodys', members: ['alice'] });
    await server.createConversation({ conv: 'g:nobodys', members: ['alice'] });
    const [created] = (await server.history('g:nobodys')).items;
    assert.deepEqual([created.from, created.body], ['system', { add: ['alice'], by: 'system' }]);
    await assert.rejects(server.addMembers('g:none', ['bob']), { code: 'unknown_conv', conv: 'g:none' });
    await assert.rejects(server.addMembers(DM, ['carl']), { code: 'bad_request' });
  });

  it('adds thousands of members by as many packets as it takes', async () => {
    const server = await startServer({ memory: true });
    const members = Array.from({ length: 450 }, (_, i) => `user-${i}`);
    await server.createConversation({ conv: 'g:big', members });
    assert.equal((await server.publish({ conv: 'g:big', from: 'user-449', body: 1 })).seq, 4);
  });

  it('counts and pulls for a device, n pages in n + 1 calls, each acked by the next', async () => {
    const server = await serverWith(5);
    assert.equal((await server.counts('bob', 'phone')).total, 5);
    const pages = [];
    let page = await server.pull('bob', 'phone', { limit: 2 });
    assert.deepEqual(await server.pull('bob', 'phone', { limit: 2 }), page, 'the same again');
    for (; page.next; page = await server.pull('bob', 'phone', { limit: 2, next: page.next })) pages.push(seqs(page));
    assert.deepEqual([pages, page.items], [[[1, 2], [3, 4], [5]], []]); // prettier-ignore
    const { convs } = await server.counts('bob', 'phone');
    assert.deepEqual([convs.length, convs[0].conv, convs[0].got, convs[0].head], [1, DM, 5, 5]);
    assert.equal((await server.counts('bob', 'tablet')).convs[0].got, 0, 'each device by itself');
    await assert.rejects(server.pull('carl', 'phone', { conv: DM }), { code: 'unknown_conv', conv: DM });
    await assert.rejects(server.pull('bob', 'phone', { next: 'forged' }), { code: 'bad_request', user: 'bob' });
  });

  it('pulls for a device that is connected, and leaves its connection as it is', async () => {
    const server = await serverWith(1);
    const bob = await login(server, 'bob');
    const page = await server.pull('bob', 'bob-1', { conv: DM });
    await server.pull('bob', 'bob-1', { conv: DM, next: page.next });
    assert.equal((await bob.ask({ t: 'counts' })).convs[0].got, 1);
    const alice = await login(server, 'alice');
    await alice.say(DM, 'hello-bob', 1, { n: 1 });
    const more = await bob.ask({ t: 'pull', conv: DM, limit: 5 });
    assert.deepEqual(seqs(more), [2]);
  });

  it('tells what happens, and counts it', async () => {
    const server = await startServer({ memory: true });
    const told = [];
    for (const event of ['connect', 'disconnect'])
      server.on(event, (about) => told.push([event, about.user, about.device]));
    const message = new Promise((resolve) => server.once('message', resolve));
    const alice = await login(server, 'alice');
    await alice.say(DM, 'message-1', { a: 1 }, { n: 1 });
    const { conv, seq, from, device, id, body } = await message;
    assert.deepEqual({ conv, seq, from, device, id, body }, { conv: DM, seq: 1, from: 'alice', device: 'alice-1', id: 'message-1', body: { a: 1 } }); // prettier-ignore
    const gone = new Promise((resolve) => server.once('disconnect', resolve));
    await alice.close();
    await gone;
    assert.deepEqual(told, [['connect', 'alice', 'alice-1'], ['disconnect', 'alice', 'alice-1']]); // prettier-ignore
    const { messages, acks, requests, connections } = server.stats();
    assert.deepEqual({ messages, acks, requests, connections }, { messages: 1, acks: 1, requests: 0, connections: 0 });
  });
});
