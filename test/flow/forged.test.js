// Well-formed packets that claim what is not theirs: another's name, another's pages, numbers that the server gives.
import assert from 'node:assert/strict';
import { login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const OTHERS = 'dm:bob:carol';
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const PULL = { t: 'pull', conv: DM, limit: 2, order: 'oldest' };

describe('flow: forged packets', () => {
  let server;
  let alice;
  let bob;
  beforeEach(async () => {
    server = await startServer({ memory: true, limits: { rate: 0 } });
    [alice, bob] = [await login(server, 'alice', { live: false }), await login(server, 'bob', { live: false })];
    for (let n = 1; n <= 5; n++) {
      await bob.say(DM, `to-alice-${n}`, n, { n });
      await bob.say(OTHERS, `to-carol-${n}`, n, { n });
    }
  });
  afterEach(cleanUp);

  /** What is left for alice's device, by seq. */
  const left = async () => (await alice.ask({ ...PULL, limit: 200 })).items.map(({ seq }) => seq);

  it('a next with any one letter changed is refused by name, and acks nothing', async () => {
    const { next } = await alice.ask(PULL);
    assert.ok(next.length > 20);
    for (let at = 0; at < next.length; at++) {
      // The highest bit of the letter: the lowest of the last one say nothing.
      const changed = next.slice(0, at) + ALPHABET[ALPHABET.indexOf(next[at]) ^ 32] + next.slice(at + 1);
      const client = await login(server, 'alice', { device: `letter-${at}`, live: false });
      const answer = await client.ask({ ...PULL, next: changed });
      assert.deepEqual([answer.t, answer.code], ['error', 'bad_request'], `letter ${at}`);
      assert.match(answer.message, /"next"/);
      client.ws.terminate();
    }
    assert.deepEqual(await left(), [1, 2, 3, 4, 5]);
  });

  it('a next cut short, doubled, or of another pull is refused by name, and acks nothing', async () => {
    const { next } = await alice.ask(PULL);
    const { next: ofNewest } = await alice.ask({ ...PULL, order: 'newest' });
    const { next: ofAll } = await alice.ask({ ...PULL, conv: undefined });
    const { next: ofBob } = await bob.ask({ t: 'pull', conv: OTHERS, limit: 2, order: 'oldest' });
    const forged = [next.slice(1), next.slice(0, -1), next + next, ofNewest, ofAll];
    if (ofBob) forged.push(ofBob);
    for (const each of forged) {
      const answer = await alice.ask({ ...PULL, next: each });
      assert.deepEqual([answer.t, answer.code], ['error', 'bad_request'], each);
      assert.match(answer.message, /"next"/);
    }
    assert.deepEqual(await left(), [1, 2, 3, 4, 5]);
  });

  it("another user's next shows none of his messages, and acks none of them", async () => {
    const carol = await login(server, 'carol', { live: false });
    const his = await carol.ask({ t: 'pull', conv: OTHERS, limit: 2, order: 'oldest' });
    assert.equal(his.items.length, 2);
    const answer = await alice.ask({ t: 'pull', conv: OTHERS, limit: 2, order: 'oldest', next: his.next });
    assert.deepEqual([answer.t, answer.code], ['error', 'unknown_conv']);
    const again = await carol.ask({ t: 'pull', conv: OTHERS, limit: 2, order: 'oldest' });
    assert.deepEqual(again.items.map(({ seq }) => seq), [1, 2]); // prettier-ignore
  });

  it('names, places and times in a send are the server’s to say', async () => {
    const claims = { from: 'bob', user: 'bob', device: 'bob-1', seq: 999, epoch: 1, mid: '1', safe: 'disk', dup: true };
    const ack = await alice.say(DM, 'forged-id-1', 'mine', { ...claims, at: 1, n: 1 });
    assert.equal(ack.seq, 6);
    const [stored] = (await alice.ask({ t: 'history', conv: DM, limit: 1 })).items;
    assert.deepEqual([stored.from, stored.device, stored.seq, stored.mid], ['alice', 'alice-1', 6, ack.mid]);
    assert.ok(stored.at > 1_600_000_000_000, 'the time of acceptance');
  });

  it('status answers for devices of the asking user only', async () => {
    const ask = (client, device) => client.ask({ t: 'status', conv: DM, ids: ['to-alice-1'], device });
    assert.equal((await ask(bob, 'bob-1')).found.length, 1);
    assert.deepEqual((await ask(alice, 'bob-1')).found, []);
    assert.deepEqual((await ask(alice, undefined)).found, []);
  });

  it('a hello can not say who the user is, a signal not who sends it', async () => {
    const client = await login(server, 'carol', { user: 'bob', from: 'bob', device: 'carol-1' });
    assert.equal(client.welcome.user, 'carol');
    client.send({ t: 'signal', conv: OTHERS, from: 'bob', body: 1 });
    assert.equal((await bob.take('signal')).from, 'carol');
  });

  it('marks of others, and marks beyond what is there, move nothing', async () => {
    const before = await bob.ask({ t: 'counts' });
    alice.send(
      { t: 'got', conv: DM, seq: 5, device: 'bob-1', user: 'bob' },
      { t: 'read', conv: DM, seq: 5, user: 'bob' },
    );
    await alice.settled();
    assert.deepEqual((await bob.ask({ t: 'counts' })).convs, before.convs);
    const carol = await login(server, 'carol', { live: false });
    carol.send({ t: 'got', conv: OTHERS, from: 6, to: 2 ** 53 - 1 }, { t: 'got', conv: OTHERS, epoch: 1, seq: 5 });
    await carol.settled();
    const page = await carol.ask({ t: 'pull', conv: OTHERS, limit: 200, order: 'oldest' });
    assert.deepEqual(page.items.map(({ seq }) => seq), [1, 2, 3, 4, 5]); // prettier-ignore
    await bob.say(OTHERS, 'to-carol-6', 6, { n: 6 });
    const later = await carol.ask({ t: 'pull', conv: OTHERS, limit: 200, order: 'oldest' });
    assert.equal(later.items.at(-1).seq, 6, 'an ack of what was not there yet acks nothing that comes');
  });
});
