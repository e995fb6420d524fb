// The application's word on what a member may do: docs/server.md, Who may do what.
import assert from 'node:assert/strict';
import { login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const TEAM = 'g:team';

describe('flow: authorize', () => {
  afterEach(cleanUp);

  /**
   * @param {(action: string, subject: { user: string, conv: string, members?: string[] }) => unknown} authorize
   * @returns a server, alice who made the group, bob who is in it
   */
  const start = async (authorize) => {
    const server = await startServer({ authorize, memory: true });
    const [alice, bob] = [await login(server, 'alice'), await login(server, 'bob')];
    await server.createConversation({ conv: TEAM, members: ['alice', 'bob'] });
    for (const member of [alice, bob]) await member.take('msg', { conv: TEAM, seq: 1 });
    return { server, alice, bob };
  };

  it('refuses a send for good, and lets the next one pass', async () => {
    const { alice, bob } = await start(async (action, { user }) => action === 'send' && user === 'alice');
    const refused = await bob.say(TEAM, 'message-b1', 'hi', { n: 1 });
    assert.deepEqual([refused.t, refused.code, refused.n, refused.retry], ['nack', 'forbidden', 1, undefined]);
    assert.equal((await alice.say(TEAM, 'message-a1', 'hi', { n: 1 })).t, 'ack');
    assert.equal((await bob.take('msg', { id: 'message-a1' })).from, 'alice');
  });

  it('keeps the order of a conversation while the hook runs, and holds up no other', async () => {
    const open = [];
    const hook = (action, { conv }) => conv !== TEAM || new Promise((resolve) => open.push(resolve));
    const { alice } = await start(hook);
    alice.send({ t: 'send', conv: TEAM, id: 'message-1', n: 1, body: 1 });
    alice.send({ t: 'send', conv: TEAM, id: 'message-2', n: 2, body: 2 });
    assert.equal((await alice.say('dm:alice:bob', 'message-3', 3, { n: 1 })).t, 'ack');
    assert.equal(open.length, 2);
    open[1](true);
    assert.equal((await alice.say('dm:alice:bob', 'message-4', 4, { n: 2 })).t, 'ack');
    assert.deepEqual(alice.untaken('ack'), []);
    open[0](true);
    const [first, second] = [await alice.take('ack'), await alice.take('ack')];
    assert.deepEqual([first.id, second.id], ['message-1', 'message-2']);
    assert.equal(second.seq, first.seq + 1);
  });

  it('refuses reads', async () => {
    const asked = [];
    const { bob } = await start((action, { conv }) => {
      asked.push([action, conv]);
      return false;
    });
    for (const packet of [
      { t: 'pull', conv: TEAM, limit: 9, order: 'oldest' },
      { t: 'history', conv: TEAM, limit: 9 },
      { t: 'counts' },
    ]) {
      const answer = await bob.ask(packet);
      assert.deepEqual([answer.t, answer.code], ['error', 'forbidden'], packet.t);
    }
    assert.equal((await bob.ask({ t: 'history', conv: 'g:none', limit: 9 })).code, 'unknown_conv');
    assert.deepEqual(asked, [
      ['read', TEAM],
      ['read', TEAM],
      ['read', null],
      ['read', 'g:none'],
    ]);
  });

  it('says who may make groups and change who is in them', async () => {
    const { alice, bob } = await start((action, { user, members }) => user === 'bob' && !members?.includes('mallory'));
    assert.equal((await alice.ask({ t: 'create', conv: 'g:mine', members: ['bob'] })).code, 'forbidden');
    assert.equal((await bob.ask({ t: 'create', conv: 'g:bobs', members: ['alice'] })).t, 'ok');
    assert.equal((await bob.ask({ t: 'add', conv: TEAM, members: ['carol'] })).t, 'ok'); // the system made it, not bob
    assert.equal((await bob.ask({ t: 'add', conv: TEAM, members: ['mallory'] })).code, 'forbidden');
    assert.equal((await alice.ask({ t: 'remove', conv: TEAM, members: ['carol'] })).code, 'forbidden');
  });

  it('is asked for what the application publishes for a user, not for what the server does itself', async () => {
    const asked = [];
    const { server, alice } = await start((action, subject) => {
      asked.push([action, subject]);
      return subject.user !== 'bob';
    });
    assert.deepEqual(asked, []);
    await server.publish({ conv: TEAM, from: 'alice', id: 'publish-1', body: 1 });
    await assert.rejects(server.publish({ conv: TEAM, from: 'bob', id: 'publish-2', body: 1 }), { code: 'forbidden' });
    assert.deepEqual(asked, [
      ['publish', { user: 'alice', conv: TEAM }],
      ['publish', { user: 'bob', conv: TEAM }],
    ]);
    await alice.take('msg', { id: 'publish-1' });
    await server.addMembers(TEAM, ['dave']);
    assert.equal((await server.history(TEAM)).items.length, 3);
    assert.equal(asked.length, 2);
  });

  it('a hook that throws refuses, and the application hears of it', async () => {
    const { server, alice } = await start(() => {
      throw new Error('no database');
    });
    const errors = [];
    server.on('error', (error) => errors.push(error));
    assert.equal((await alice.say(TEAM, 'message-1', 1, { n: 1 })).code, 'forbidden');
    assert.equal(errors.length, 1);
    assert.equal(errors[0].option, 'authorize');
  });
});
