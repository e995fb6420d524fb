// Bad input, generated: each key of each packet of test/vectors/packet-shapes.json, wrong in every way, against a real
// server. The answer's code, the key that it names, a store that holds what it held, and others who notice nothing.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { badKeyOfServerPacket } from '../../lib/protocol/packets.js';
import { badPackets, goodPackets, objectText, shapes } from './support/bad-packets.js';
import { RawClient, login } from './support/raw-client.js';
import { openDump } from './support/store-dump.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
/** Below the 11th bad packet in a minute. */
const CASES_PER_CONNECTION = 8;

/** All packets but the first of a connection. */
const LATER = Object.keys(shapes).filter((t) => t !== 'hello');

let server;
let devices = 0;
const newDevice = () => `v${++devices}`;

/** What the server answers to one frame, up to its pong or its close. */
async function answersTo(client, text) {
  client.text(text);
  client.send({ t: 'ping' });
  await Promise.race([client.take('pong').catch(() => {}), client.closed]);
  return client.packets.splice(0).filter(({ t }) => !['head', 'receipt', 'msg'].includes(t));
}

describe('flow: bad packets, generated', () => {
  let dump;
  let watchers;

  // One server for all: none of this changes anything.
  before(async () => {
    const data = join(makeDirectory(), 'data');
    server = await startServer({ data, limits: { rate: 0 } });
    // What a bad packet could change: messages, members, marks, what a device has acked, what producers used.
    const alice = await login(server, 'alice', { device: 'alice-w' });
    const [bob, carol] = [await login(server, 'bob'), await login(server, 'carol')];
    await alice.ask({ t: 'create', conv: 'g:own', members: ['bob'] });
    await carol.ask({ t: 'create', conv: 'g:theirs', members: ['dave'] });
    for (let n = 1; n <= 3; n++) {
      assert.equal((await alice.say(DM, `from-alice-${n}`, n, { n })).t, 'ack');
      assert.equal((await carol.say('g:theirs', `from-carol-${n}`, n, { n })).t, 'ack');
      assert.equal((await carol.say('dm:carol:dave', `to-dave-${n}`, n, { n })).t, 'ack');
    }
    bob.send({ t: 'got', conv: DM, seq: 3 }, { t: 'read', conv: DM, seq: 1 });
    const away = await login(server, 'bob', { device: 'bob-away', live: false });
    away.send({ t: 'got', conv: DM, from: 2, to: 2 });
    watchers = [alice, bob, carol];
    for (const watcher of watchers) {
      // All is acked, so that nothing comes again.
      const { convs } = await watcher.ask({ t: 'counts' });
      for (const { conv, head } of convs) watcher.send({ t: 'got', conv, seq: head });
    }
    for (const client of [...watchers, away]) {
      await client.settled();
      client.packets.length = 0;
    }
    await away.close();
    dump = await openDump(data);
    onCleanUp(() => dump.close());
  });
  after(cleanUp);

  /** The store, and every watcher's marks: what they have acked, read and not read. */
  const state = async () => {
    const views = [];
    for (const watcher of watchers) {
      const counts = { ...(await watcher.ask({ t: 'counts' })), rid: 0 };
      const at = Object.fromEntries(counts.convs.map(({ conv, epoch }) => [conv, [epoch, 0]]));
      views.push(counts, (await watcher.ask({ t: 'resume', at })).convs);
    }
    views.push(await server.counts('bob', 'bob-away'));
    return `${await dump.read()}\n${JSON.stringify(views)}`;
  };

  /** Nothing came to those who sent nothing. Receipts of before may come late. */
  const checkQuiet = async (name) => {
    for (const watcher of watchers) {
      await watcher.settled();
      assert.deepEqual(watcher.packets.filter(({ t }) => t !== 'receipt'), [], `${name}: others noticed`); // prettier-ignore
    }
  };

  /** @param {import('./support/bad-packets.js').BadPacket} bad */
  const checkRefused = (answers, { name, t, text, code, field }) => {
    assert.equal(answers.length, 1, `${name}: ${JSON.stringify(answers)} to ${text.slice(0, 300)}`);
    const [answer] = answers;
    const isNamed = t === 'send' && !['t', 'conv', 'id'].includes(field);
    assert.deepEqual([answer.t, answer.code], [isNamed ? 'nack' : 'error', code], `${name}: ${answer.message}`);
    assert.ok(answer.message.includes(`"${field}"`), `${name}: ${answer.message}`);
    assert.equal(badKeyOfServerPacket(answer), null, name);
    if ('rid' in shapes[t].keys && field !== 'rid') assert.equal(answer.rid, 1, name);
  };

  /** Runs the cases, a few on each connection; those that use a number or end the connection, each on its own. */
  const runAll = async (cases) => {
    const shared = cases.filter(({ closes, text }) => !closes && !text.includes('"n":'));
    const groups = cases.filter((each) => !shared.includes(each)).map((each) => [each]);
    for (let i = 0; i < shared.length; i += CASES_PER_CONNECTION)
      groups.push(shared.slice(i, i + CASES_PER_CONNECTION));
    const before = await state();
    for (const group of groups) {
      const client = await login(server, 'alice', { device: newDevice() });
      for (const bad of group) {
        checkRefused(await answersTo(client, bad.text), bad);
        if (bad.closes) assert.equal(await client.closed, 4400, bad.name);
        assert.equal(await state(), before, `${bad.name}: the store changed`);
      }
      await client.close();
      await checkQuiet(group[0].name);
    }
  };

  for (const t of LATER) {
    const cases = badPackets(t);
    it(`${t}: ${cases.length} bad ones`, async function () {
      this.timeout(30_000);
      await runAll(cases);
    });
  }

  it(`hello: ${badPackets('hello').length} bad ones, first on a connection and later`, async function () {
    this.timeout(30_000);
    const before = await state();
    for (const bad of badPackets('hello')) {
      const client = await RawClient.open(server);
      checkRefused(await answersTo(client, bad.text), bad);
      assert.equal(await client.closed, 4400, bad.name);
    }
    // Later no hello is good: whatever is wrong with it, it ends the connection.
    for (const bad of badPackets('hello').filter(({ field }) => field !== 't')) {
      const client = await login(server, 'alice', { device: newDevice() });
      assert.deepEqual((await answersTo(client, bad.text)).map(({ t }) => t), ['error'], bad.name); // prettier-ignore
      assert.equal(await client.closed, 4400, bad.name);
    }
    assert.equal(await state(), before);
    await checkQuiet('hello');
  });

  for (const t of LATER.filter((name) => 'stranger' in shapes[name])) {
    it(`${t} to a conversation of others: ${shapes[t].stranger ?? 'nothing'}`, async () => {
      const before = await state();
      const client = await login(server, 'eve');
      const created = t === 'create';
      const groups = shapes[t].keys.conv.is === 'group';
      const others = [
        'g:theirs',
        'g:own',
        ...(created ? [] : ['g:not-there']),
        ...(groups ? [] : ['dm:carol:dave', DM]),
      ];
      for (const conv of others) {
        for (const example of shapes[t].examples) {
          const answers = (await answersTo(client, JSON.stringify({ ...example, conv }))).map(({ t: type, code }) => ({ type, code })); // prettier-ignore
          const { stranger } = shapes[t];
          const expected = stranger === null ? [] : [{ type: t === 'send' ? 'nack' : 'error', code: stranger }];
          assert.deepEqual(answers, expected, conv);
        }
      }
      assert.equal(await state(), before);
      await checkQuiet(t);
    });
  }

  it('positions in the conversations of others: reset, and nothing told of them', async () => {
    const at = { 'g:theirs': [1, 1], 'dm:carol:dave': [1, 1], 'g:not-there': [1, 1] };
    const client = await login(server, 'eve', { at });
    const views = Object.keys(at).map((conv) => [conv, 'reset', 0, 0]).sort(); // prettier-ignore
    const seen = ({ convs }) => convs.map(({ conv, resume, epoch, head }) => [conv, resume, epoch, head]).sort();
    assert.deepEqual(seen(client.welcome), views);
    assert.deepEqual(seen(await client.ask({ t: 'resume', at })), views);
  });
});

describe('flow: good packets, generated', () => {
  // Each changes something: a server of its own.
  beforeEach(async () => {
    server = await startServer({ memory: true, limits: { rate: 0 } });
    const alice = await login(server, 'alice', { device: 'alice-w' });
    await alice.ask({ t: 'create', conv: 'g:own', members: ['bob'] });
    await alice.close();
  });
  afterEach(cleanUp);

  for (const t of LATER) {
    const good = goodPackets(t).filter(({ name }) => !name.startsWith('pull: next'));
    it(`${t}: ${good.length} that only just pass`, async () => {
      for (const { name, text } of good) {
        const client = await login(server, 'alice', { device: newDevice() });
        const wrong = ({ code, message }) =>
          code === 'too_large' || (code === 'bad_request' && /must|miss/.test(message));
        assert.deepEqual((await answersTo(client, text)).filter(wrong), [], name);
        await client.close();
      }
    });
  }

  it('hello: those that only just pass', async () => {
    const any = await startServer({ memory: true, authenticate: () => ({ user: `user-${++devices}` }) });
    for (const { name, text } of goodPackets('hello')) {
      const client = await RawClient.open(any);
      client.text(text);
      assert.equal((await client.take('welcome').catch(() => client.packets[0])).t, 'welcome', name);
      await client.close();
    }
  });

  for (const t of LATER) {
    it(`${t}: keys that it does not have are ignored, whatever they hold`, async () => {
      const { keys, examples, answer } = shapes[t];
      const foreign = [...Object.values(shapes).flatMap((shape) => Object.keys(shape.keys))];
      foreign.push('user', 'mid', 'safe', 'dup', 'expected', 'by', '__proto__', 'constructor', 'toString', '');
      const extra = [...new Set(foreign)].filter((key) => !(key in keys) && key !== 'rid');
      for (const garbage of ['null', '"x"', '-1', '{"a":[]}']) {
        for (const example of examples) {
          const client = await login(server, 'alice', { device: newDevice() });
          const text = extra.reduce((json, key) => objectText(JSON.parse(json), key, garbage), JSON.stringify(example));
          const answers = await answersTo(client, text);
          assert.deepEqual(answers.map((each) => each.t), answer === null ? [] : [answer], JSON.stringify(answers)); // prettier-ignore
          if (answer === 'error') assert.equal(answers[0].code, 'unsupported');
          await client.close();
        }
      }
    });
  }
});
