// What else a data directory holds, moved to Redis: consumer groups, and what the primitives keep. And moving a backup, to
// replicas, and past what goes wrong.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Dedup, OfflineStore, SegmentIds, Sequencer, Snowflake } from '../../lib/index.js';
import { once, tokens } from '../../lib/idempotency/index.js';
import { loadAddon } from '../../lib/server/native.js';
import { emptyCluster, migrate, migrateTo, run, start, stoppingProxy } from './support/migrating.js';
import { login } from './support/raw-client.js';
import { startRedis } from './support/redis.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';

const CONVS = ['dm:alice:bob', 'dm:alice:carol', 'dm:alice:dave'];

/** Everything that a group has not passed, taken and acked: [conv, seq …]. */
async function rest(server, group) {
  const found = [];
  for (let more = true; more;) {
    const page = await server.feeds.take(group, { conversations: 64, limit: 1000, leaseMs: 10_000 });
    ({ more } = page);
    for (const { conv, lease, messages } of page.slices) {
      found.push([conv, ...messages.map(({ seq }) => seq)]);
      await server.feeds.ack(group, { lease, seq: messages.at(-1)?.seq ?? 0, release: true });
    }
  }
  return found.sort();
}

describe('flow: migrate, what else there is', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('consumer groups go on where they stood, and keep their dead letters; retention passes none of them', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    const say = (server, conv, i) =>
      server.publish({ conv, from: 'alice', id: `published-${i}-${conv.slice(9)}`, body: { i, é: '☃' } });
    await first.feeds.open('all');
    for (const conv of CONVS) for (let i = 1; i <= 5; i++) await say(first, conv, i);
    await first.feeds.open('new', { from: 'now' });
    await first.feeds.open('idle');
    await first.feeds.open('dropped');
    for (const conv of CONVS) await say(first, conv, 6);
    await rest(first, 'dropped');
    await first.feeds.drop('dropped');
    const { slices } = await first.feeds.take('all', { conversations: 64, limit: 1000, leaseMs: 10_000 });
    const by = Object.fromEntries(slices.map(({ conv, lease }) => [conv, lease]));
    // One conversation whole, one in part with a letter, one not at all; and nothing is given back.
    await first.feeds.ack('all', { lease: by[CONVS[0]], seq: 6 });
    await first.feeds.ack('all', { lease: by[CONVS[1]], seq: 2 });
    await first.feeds.park('all', { lease: by[CONVS[1]], seq: 3, attempts: 4, error: 'it failed é' });
    const letters = await first.feeds.letters('all', { limit: 10 });
    const lag = await first.feeds.lag('all');
    assert.deepEqual([lag.messages, letters.letters.length, letters.letters[0].message.seq], [9, 1, 3]);
    await first.close();

    const { url } = await startRedis();
    const counts = await migrate(data, url);
    assert.deepEqual([counts.groups, counts.letters], [3, 1]);
    const second = await start({ redis: url, retention: { messages: 1, everyMs: 100 } });
    const names = (await second.feeds.list()).map(({ group }) => group);
    assert.deepEqual(names.sort(), ['all', 'idle', 'new']);
    assert.deepEqual(await second.feeds.letters('all', { limit: 10 }), letters);
    assert.equal((await second.feeds.lag('all')).messages, lag.messages);
    const [behind] = (await second.history(CONVS[1], { after: 3, limit: 1 })).items;
    assert.equal((await second.feeds.lag('all')).oldest, behind.at);
    assert.equal((await second.feeds.lag('new')).messages, 3);
    assert.equal((await second.feeds.lag('idle')).messages, 18);
    await say(second, CONVS[0], 7);
    const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    assert.deepEqual(await rest(second, 'all'), [[CONVS[0], 7], [CONVS[1], 4, 5, 6], [CONVS[2], ...numbers(1, 6)]]); // prettier-ignore
    assert.deepEqual(await rest(second, 'new'), [
      [CONVS[0], 6, 7],
      [CONVS[1], 6],
      [CONVS[2], 6],
    ]);
    assert.equal(second.stats().removedMessages, 0, 'one group has passed nothing');
    assert.deepEqual(await rest(second, 'idle'), [[CONVS[0], ...numbers(1, 7)], [CONVS[1], ...numbers(1, 6)], [CONVS[2], ...numbers(1, 6)]]); // prettier-ignore
    while (second.stats().removedMessages < 16) await new Promise((resolve) => setTimeout(resolve, 20));
    await second.feeds.forget('all', letters.letters[0].message.mid);
    assert.deepEqual(await second.feeds.letters('all', { limit: 10 }), { letters: [], more: false });
    await second.close();
  });

  it('what the primitives keep: results, tokens, dedup, sequences, segments, worker numbers, items that wait', async () => {
    const data = join(makeDirectory(), 'data');
    let effects = 0;
    const open = async (store) => {
      const kept = {
        pay: once({ store, key: ({ order }) => order, fingerprint: ({ sum }) => String(sum) }, () => ({
          paid: ++effects,
        })),
        tokens: tokens({ store }),
        sequencer: new Sequencer({ store }),
        segments: new SegmentIds({ store, tag: 'orders', step: 10 }),
        dedup: new Dedup({ store, windowMs: 3_600_000 }),
        offline: new OfflineStore({ store }),
      };
      const close = async () => {
        for (const one of Object.values(kept)) await one.close();
      };
      onCleanUp(close);
      return { ...kept, close };
    };
    const before = await open({ data });
    assert.deepEqual(await before.pay({ order: 'order-1', sum: 7 }), { paid: 1 });
    const [unused, held, free] = await before.tokens.issue('alice', 3);
    const claim = await before.tokens.claim(held);
    await before.tokens.release(await before.tokens.claim(free), 'never');
    for (let i = 1; i <= 5; i++) assert.equal(await before.sequencer.next('invoices ☃'), i);
    const order = await before.segments.next();
    assert.equal(await before.dedup.check('seen'), 'new');
    const item = (i) => ({ msgId: `m${i}`, sender: i % 2 ? 'bob' : 'carol', type: 'text', content: `item ${i} é` });
    for (let i = 0; i < 5; i++) assert.equal(await before.offline.append('alice', item(i)), true);
    await before.offline.ack('alice', ['m0']);
    const page = await before.offline.pull('alice', { limit: 2 });
    const ids = await Snowflake.lease({ store: { data } });
    const id = ids.next();
    await ids.close();
    await before.close();

    const nodes = await emptyCluster();
    const counts = await migrate(data, nodes.join(','));
    assert.deepEqual(
      [counts.counters, counts.waiting, counts.claims, counts.workers, counts.conversations],
      [2, 4, 5, 1, 0],
      JSON.stringify(counts),
    );
    const redis = { nodes };
    const after = await open({ redis });
    assert.deepEqual(await after.pay({ order: 'order-1', sum: 7 }), { paid: 1 }, 'done once, and told again');
    await assert.rejects(after.pay({ order: 'order-1', sum: 8 }), { code: 'MISMATCH' });
    assert.equal((await after.tokens.claim(unused)).state, 'ACQUIRED');
    assert.equal((await after.tokens.claim(held)).state, 'BUSY');
    assert.deepEqual(await after.tokens.commit(claim, { done: true }), { done: true }, 'its owner still has it');
    const failed = await after.tokens.claim(free);
    assert.deepEqual([failed.state, failed.reason], ['FAILED', 'never']);
    assert.equal((await after.tokens.claim('never-issued-at-all')).state, 'UNKNOWN');
    assert.equal(await after.sequencer.next('invoices ☃'), 6, 'dense');
    assert.ok((await after.segments.next()) >= order + 10n || (await after.segments.next()) > order);
    assert.equal(await after.dedup.check('seen'), 'duplicate');
    assert.equal(await after.dedup.check('not seen'), 'new');
    const later = await Snowflake.lease({ store: { redis } });
    assert.ok(later.next() > id, 'ids go on above');
    await later.close();

    assert.deepEqual(await after.offline.counts('alice'), { total: 4, bySender: { bob: 2, carol: 2 } });
    assert.equal(await after.offline.append('alice', item(0)), false, 'it was acked');
    assert.equal(await after.offline.append('alice', item(1)), false, 'it waits');
    assert.equal(await after.offline.append('alice', { ...item(1), msgId: 'm9' }), true);
    await assert.rejects(after.offline.pull('alice', { limit: 2, next: page.next }), { code: 'INVALID_ARGUMENT' });
    const first = await after.offline.pull('alice', { limit: 2 });
    assert.deepEqual(first.items, page.items);
    const second = await after.offline.pull('alice', { limit: 10, next: first.next });
    const bodies = second.items.map(({ msgId, content }) => [msgId, content]);
    assert.deepEqual(bodies, [['m3', 'item 3 é'], ['m4', 'item 4 é'], ['m9', 'item 1 é']]); // prettier-ignore
    const carol = await after.offline.pull('alice', { sender: 'carol' });
    assert.deepEqual(
      carol.items.map(({ msgId }) => msgId),
      ['m4'],
    );
  });

  it('a backup that nobody has opened yet: clients that hold more heal, counters jump', async () => {
    const data = join(makeDirectory(), 'data');
    const copy = join(makeDirectory(), 'copy');
    const first = await start({ data });
    const sequencer = new Sequencer({ store: first });
    const alice = await login(first, 'alice');
    for (let n = 1; n <= 3; n++) await alice.say(CONVS[0], `message-${n}`, n, { n });
    await sequencer.next('invoices');
    assert.equal((await run('backup', '--data', data, '--to', copy).ended).code, 0);
    const lost = await alice.say(CONVS[0], 'message-4', 4, { n: 4 });
    assert.equal(await sequencer.next('invoices'), 2);
    await sequencer.close();
    await first.close();

    const { url } = await startRedis();
    await migrate(copy, url);
    const second = await start({ redis: url });
    const again = await login(second, 'alice', { pe: 2, at: { [CONVS[0]]: [lost.epoch, 4] } });
    const [{ resume, keep, head }] = again.welcome.convs;
    assert.deepEqual([resume, keep, head], ['truncated', 3, 3]);
    assert.deepEqual((await again.say(CONVS[0], 'message-5', 5, { n: 5 })).expected, 4);
    const offered = await again.say(CONVS[0], 'message-4', 4, { n: 4 });
    assert.deepEqual([offered.seq, offered.dup, offered.epoch > lost.epoch], [4, undefined, true]);
    const moved = new Sequencer({ store: { redis: url } });
    assert.ok((await moved.next('invoices')) > 2 ** 32, 'what was given out since is not given again');
    await moved.close();
    await second.close();
  });

  it('what is read back is compared: a value that was changed meanwhile is told, and written again', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    for (let i = 0; i < 2000; i++)
      void first.publish({ conv: CONVS[i % 3], from: 'alice', id: `published-${i}`, body: { i } });
    await first.publish({ conv: CONVS[0], from: 'alice', id: 'the-last-one', body: 'last' });
    await first.close();
    const { url, port } = await startRedis();
    const redis = new Redis(url);
    onCleanUp(() => redis.disconnect());
    // All is written when the first message is read; which then waits.
    const proxy = await stoppingProxy(port, Infinity, '$6\r\nXRANGE');
    const moving = migrateTo(data, proxy.url);
    await proxy.stuck;
    const [key] = await redis.keys('eo:{p*}:c:dm:alice:carol');
    assert.equal(await redis.hset(key, 'h', '1'), 0);
    proxy.goOn();
    const { code, err } = await moving;
    assert.deepEqual([code, /c:dm:alice:carol does not hold what was written to it/.test(err)], [1, true], err);
    await assert.rejects(start({ redis: url }), { code: 'MIGRATION_UNFINISHED' });
    assert.equal((await migrate(data, url)).resumed, true);
    await redis.hset('eo:{migration}:state', 'state', 'moving');
    const [log] = await redis.keys('eo:{p*}:l:dm:alice:dave');
    await redis.xdel(log, '5-0');
    const holed = await migrateTo(data, url);
    assert.match(holed.err, /l:dm:alice:dave does not hold what was written to it/);
  });

  it('waits for the replicas that --durability wants, and is not done without them', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    await first.publish({ conv: CONVS[0], from: 'alice', id: 'the-only-one', body: 1 });
    await first.close();
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    const redis = new Redis(primary.url);
    onCleanUp(() => redis.disconnect());
    while (!/online/.test(await redis.info('replication'))) await new Promise((resolve) => setTimeout(resolve, 20));
    const done = await migrateTo(data, primary.url, '--durability', 'replicas=1');
    assert.equal(done.code, 0, done.err);
    const copy = new Redis(replica.url);
    onCleanUp(() => copy.disconnect());
    assert.equal(await copy.xlen((await copy.keys('eo:{p*}:l:*'))[0]), 1);
    const { code, err } = await migrateTo(data, (await startRedis()).url, '--durability', 'many');
    assert.deepEqual([code, /--durability must be replicas=N/.test(err)], [2, true]);
  });

  it('ids of sends without n that are older than --dedup-window stay behind, and that is said', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    const say = (server, i) => server.publish({ conv: CONVS[0], from: 'alice', id: `published-${i}`, body: i });
    await say(first, 1);
    const { now } = (await login(first, 'bob')).welcome;
    await first.close();
    while (Date.now() <= now + 1000) await new Promise((resolve) => setTimeout(resolve, 20)); // its window is over
    const { url } = await startRedis();
    const { code, out } = await migrateTo(data, url, '--dedup-window', '1000');
    assert.equal(code, 0);
    assert.match(out, /^1 ids of sends without n are older than --dedup-window and stay behind/m);
    const second = await start({ redis: url });
    assert.equal((await say(second, 1)).seq, 2);
  });

  it('into a Cluster, while the slot of a long log moves from one master to another', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await start({ data });
    const body = 'x'.repeat(1500);
    const say = (i) => first.publish({ conv: CONVS[0], from: 'alice', id: `published-${i}`, body });
    await Promise.all(Array.from({ length: 2500 }, (_, i) => say(i)));
    await first.close();
    const nodes = await emptyCluster();
    const masters = nodes.map((url) => new Redis(url));
    onCleanUp(() => masters.forEach((node) => node.disconnect()));
    const ids = await Promise.all(masters.map(async (node) => String(await node.cluster('MYID'))));
    const moving = migrateTo(data, nodes.join(','), '--json');
    const findLog = async () => {
      for (;;) {
        for (const [from, node] of masters.entries()) {
          const [key] = await node.keys('eo:{p*}:l:*');
          if (key !== undefined) return { key, from };
        }
      }
    };
    const { key, from } = await findLog();
    const to = (from + 1) % masters.length;
    const slot = Number(await masters[0].cluster('KEYSLOT', key));
    await masters[to].cluster('SETSLOT', slot, 'IMPORTING', ids[from]);
    await masters[from].cluster('SETSLOT', slot, 'MIGRATING', ids[to]);
    for (let keys; (keys = await masters[from].cluster('GETKEYSINSLOT', slot, 1)).length > 0;) {
      await masters[from].migrate('127.0.0.1', Number(new URL(nodes[to]).port), keys[0], 0, 20_000);
    }
    for (const node of masters) await node.cluster('SETSLOT', slot, 'NODE', ids[to]);
    const { code, err } = await moving;
    assert.equal(code, 0, err);
    assert.equal(await masters[to].xlen(key), 2500);
  });

  it('messages that come again are passed over, and none is written behind one that is missing', async () => {
    const { url } = await startRedis();
    const { Redis: Native } = loadAddon();
    const native = new Native({ nodes: [url] });
    onCleanUp(() => native.close());
    const messages = (from, to) => {
      const seqs = Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
      return seqs.flatMap((seq) => [seq, ...'manfditbsr'].map((value) => (value === seq ? seq : `${value}${seq}`)));
    };
    const write = (from, to) => native.script('migrate_log', ['log'], ['11', ...messages(from, to)]);
    assert.equal(await write(13, 14), 'GAP');
    assert.equal(await write(11, 13), 'OK');
    assert.equal(await write(15, 16), 'GAP');
    assert.equal(await write(12, 15), 'OK');
    assert.equal(await write(11, 12), 'OK');
    const log = await native.command(['XRANGE', 'log', '-', '+'], 'log');
    assert.deepEqual(
      log.map(([id]) => id),
      ['11-0', '12-0', '13-0', '14-0', '15-0'],
    );
    assert.deepEqual(log[4][1].join(' '), [...'manfditbsr'].map((name) => `${name} ${name}15`).join(' '));
  });
});
