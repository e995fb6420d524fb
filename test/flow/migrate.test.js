// A store is moved from a data directory to Redis, and its clients notice nothing.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Client, FileOutbox } from '../../lib/index.js';
import { pick, seeded } from '../../lib/torture/random.js';
import { emptyCluster, migrate, migrateTo, run, start, stoppingProxy } from './support/migrating.js';
import { RawClient, login } from './support/raw-client.js';
import { liveRandomly, lookAtAll } from './support/random-history.js';
import { startRedis } from './support/redis.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';
import { printedSeed } from '../support/seed.js';

const DM = 'dm:alice:bob';
const places = { 'a single Redis': async () => [(await startRedis()).url], 'a Cluster': emptyCluster };

/** A client with an outbox in `dir`, and the bodies that its handler was given, in order. */
function person(user, port, dir) {
  const outbox = new FileOutbox({ dir });
  const client = new Client({ url: `ws://127.0.0.1:${port}/everyonce`, token: user, outbox, reconnect: { min: 20, max: 100 } }); // prettier-ignore
  const shown = [];
  let change = () => {};
  client.on('message', ({ body }) => {
    shown.push(body);
    change();
  });
  client.on('error', () => {}); // the connection is cut on purpose
  onCleanUp(() => client.close());
  /** Resolves when the handler was given this. */
  const has = async (body) => {
    while (!shown.includes(body)) await new Promise((resolve) => (change = () => resolve(undefined)));
  };
  return { client, shown, has };
}

/** A stopped store with so many messages. */
async function makeStore(messages) {
  const data = join(makeDirectory(), 'data');
  const server = await start({ data });
  const all = Array.from({ length: messages }, (_, i) =>
    server.publish({
      conv: `dm:alice:user-${i % 20}`,
      from: 'alice',
      id: `published-${i}`,
      body: { i, text: 'x'.repeat(100) },
    }),
  );
  await Promise.all(all);
  await server.close();
  return data;
}

/** Everything in a Redis, as text to compare; but for the mark, which says when. */
async function dump(url) {
  const redis = new Redis(url);
  try {
    const keys = (await redis.keys('*')).filter((key) => key !== 'eo:{migration}:state').sort();
    return Object.fromEntries(
      await Promise.all(keys.map(async (key) => [key, (await redis.dumpBuffer(key))?.toString('base64')])),
    );
  } finally {
    redis.disconnect();
  }
}

describe('flow: migrate', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  for (const [name, place] of Object.entries(places)) {
    it(`to ${name}: whatever can be seen and asked is the same there`, async () => {
      const seed = printedSeed();
      const data = join(makeDirectory(), 'data');
      const first = await start({ data, retention: { messages: 60, everyMs: 100 } });
      const known = await liveRandomly(first, seed, 100);
      while (first.stats().removedMessages < 60) await new Promise((resolve) => setTimeout(resolve, 20));
      await first.close();
      const copy = join(makeDirectory(), 'copy');
      cpSync(data, copy, { recursive: true });
      const before = await start({ data: copy });
      const wanted = await lookAtAll(before, known);
      await before.close();

      const nodes = await place();
      const counts = await migrate(data, nodes.join(','));
      assert.ok(counts.messages >= 40 && counts.conversations >= 2 && counts.verified, JSON.stringify(counts));
      const after = await start({ redis: { nodes } });
      const found = await lookAtAll(after, known);
      for (const [what, answer] of Object.entries(wanted)) {
        // What a disk is to the one, Redis without a file is to the other.
        const there = JSON.parse(JSON.stringify(found[what]).replaceAll('"safe":"memory"', '"safe":"disk"'));
        assert.deepEqual(there, answer, `${what}, seed ${seed}`);
      }
      assert.ok(Object.keys(wanted).length > 200);
    });
  }

  it('clients come back to the same address: what waited goes out, nothing is lost, doubled or shown twice', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    const { port } = first;
    const dirs = { alice: makeDirectory(), bob: makeDirectory() };
    const alice = person('alice', port, dirs.alice);
    const bob = person('bob', port, dirs.bob);
    await Promise.all([alice.client.connect(), bob.client.connect()]);
    for (let i = 0; i < 20; i++) await alice.client.send(DM, `early ${i}`);
    await bob.has('early 19');
    await bob.client.close();
    for (let i = 0; i < 20; i++) await alice.client.send(DM, `late ${i}`);
    // An ack that is lost: the server has it, the outbox does not know.
    const raw = await login(first, 'carol', { pe: 3 });
    const acked = await raw.say('dm:bob:carol', 'message-1', 'from carol', { n: 1 });
    await raw.close();
    await first.close();
    const waiting = alice.client.send(DM, 'while it was moved');

    const { url } = await startRedis();
    const counts = await migrate(data, url);
    assert.equal(counts.messages, 41);
    const second = await start({ port, redis: url });
    const { seq, epoch } = await waiting;
    assert.equal(seq, 41);
    const again = person('bob', port, dirs.bob);
    await again.client.connect();
    await again.has('while it was moved');
    // An older copy of that outbox is known for what it is.
    const stale = await RawClient.open(second);
    stale.send({ t: 'hello', v: 1, device: 'carol-1', pe: 2, token: 'carol' });
    assert.equal((await stale.take('error')).code, 'stale_device');
    const back = await login(second, 'carol', { pe: 4 });
    const dup = await back.say('dm:bob:carol', 'message-1', 'from carol', { n: 1 });
    assert.deepEqual([dup.seq, dup.mid, dup.at, dup.epoch, dup.dup], [1, acked.mid, acked.at, acked.epoch, true]);
    const next = await back.say('dm:bob:carol', 'message-2', 'once more', { n: 2 });
    assert.deepEqual([next.seq, BigInt(next.mid) > BigInt(acked.mid)], [2, true]);
    assert.ok(next.epoch > acked.epoch && epoch > 0, 'the next message begins a new epoch');
    await again.has('once more');
    const wanted = [...Array.from({ length: 20 }, (_, i) => `late ${i}`), 'while it was moved'];
    const others = ['from carol', 'once more'];
    assert.deepEqual(
      again.shown.filter((body) => !others.includes(body)),
      wanted,
    );
    assert.deepEqual(
      again.shown.filter((body) => others.includes(body)),
      others,
    );
    assert.equal(bob.shown.length, 20);
    await second.close();
  });

  it('killed at any place and run again it comes to the same; no server starts on the half of it', async () => {
    const data = await makeStore(3000);
    const whole = await startRedis();
    await migrate(data, whole.url);
    const wanted = await dump(whole.url);
    const half = await startRedis();
    // Of about 700 kB that it writes.
    const random = seeded(printedSeed());
    for (const bytes of [3_000, 10_000 + pick(random, 190_000), 200_000 + pick(random, 400_000)]) {
      console.log(`    killed behind ${bytes} bytes`);
      const proxy = await stoppingProxy(half.port, bytes);
      const { child, ended } = run('migrate', '--from', data, '--to', proxy.url, '--yes');
      await Promise.race([proxy.stuck, ended.then(({ err }) => assert.fail(`it ended before ${bytes} bytes: ${err}`))]);
      child.kill('SIGKILL');
      await ended;
      await assert.rejects(start({ redis: half.url }), { code: 'MIGRATION_UNFINISHED' });
    }
    assert.equal((await migrate(data, half.url)).resumed, true);
    assert.deepEqual(await dump(half.url), wanted);
    const server = await start({ redis: half.url });
    assert.equal((await server.history('dm:alice:user-0', { limit: 1 })).items[0].seq, 150);
  });

  it('is refused, and says why: a running server, no store, no Redis, one that is not empty, another store half there', async () => {
    const data = await makeStore(1);
    const { url, port } = await startRedis();
    const refused = async (from, to, code, message) => {
      const end = await migrateTo(from, to);
      assert.deepEqual([end.code, end.out], [code, ''], end.err);
      assert.match(end.err, message);
    };
    const server = await start({ data });
    await refused(data, url, 1, new RegExp(`is open in this process \\(${process.pid}\\)`));
    const other = await run('migrate', '--from', data, '--to', url, '--yes').ended;
    assert.deepEqual([other.code, other.err.includes(`is open in process ${process.pid};`)], [1, true], other.err);
    await server.close();
    await refused(makeDirectory(), url, 2, /--from must be a server's data directory; .* holds no store/);
    await refused(data, 'redis://127.0.0.1:1', 1, /^everyonce: 127\.0\.0\.1:1: connection refused\n$/);
    await refused(data, 'http://127.0.0.1:1', 2, /redis must be a URL/);
    const { code, err } = await run('migrate', '--from', data, '--to', url).ended;
    assert.deepEqual([code, /--yes must be given/.test(err)], [2, true], err);

    const proxy = await stoppingProxy(port, 2_000);
    const half = run('migrate', '--from', await makeStore(100), '--to', proxy.url, '--yes');
    await proxy.stuck;
    half.child.kill('SIGKILL');
    await half.ended;
    await refused(data, url, 1, /another store was being moved there/);
    const redis = new Redis(url);
    onCleanUp(() => redis.disconnect());
    await redis.flushall();
    await redis.set('of another program', 1);
    await redis.set('eo:{p1}:anything', 1);
    await refused(data, url, 1, /something of everyonce in that Redis already \(eo:\{p1\}:anything\)/);
    await redis.del('eo:{p1}:anything');
    await migrate(data, url);
    await refused(data, url, 1, /this store was moved there already/);
    // Changed since it was broken off.
    await redis.hset('eo:{migration}:state', 'state', 'moving');
    const changed = await start({ data });
    await changed.publish({ conv: DM, from: 'alice', id: 'one-message-more', body: 1 });
    await changed.close();
    await refused(data, url, 1, /this one has changed since that was broken off/);
  });
});
