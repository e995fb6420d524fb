// Masters of a Cluster are lost while a store is moved there: what is gone is noticed, and the same again completes it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { loadAddon } from '../../lib/server/native.js';
import { failingCluster, until } from './support/failing-cluster.js';
import { migrateTo, start } from './support/migrating.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';

const CONVS = Array.from({ length: 40 }, (_, i) => `dm:alice:user-${i}`);
const LONG = 'dm:alice:yves'; // of the master that has a replica
const LONG_MESSAGES = 600; // seven calls of some 30 kB
const isLong = Boolean(process.env.EVERYONCE_LONG); // npm run faults
const SCRIPT = '$4\r\nEVAL\r\n';

/** @returns {Promise<string>} a stopped store's directory */
async function makeStore() {
  const data = join(makeDirectory(), 'data');
  const server = await start({ data });
  const say = (conv, i) =>
    server.publish({ conv, from: 'alice', id: `published-${i}-${conv.slice(9)}`, body: `x${i}`.repeat(50) });
  await Promise.all([
    ...CONVS.flatMap((conv) => [0, 1, 2].map((i) => say(conv, i))),
    ...Array.from({ length: LONG_MESSAGES }, (_, i) => say(LONG, i)),
  ]);
  await server.close();
  return data;
}

/** The same again ends well, and nothing is missing. */
async function completes(data, { nodes, goAround }) {
  await goAround();
  await assert.rejects(start({ redis: { nodes } }), { code: 'MIGRATION_UNFINISHED' });
  const { code, out, err } = await migrateTo(data, nodes.join(','), '--json');
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).resumed, true);
  await isWhole(nodes);
}

/** The replica has the first of the long log, and gets no more; the master that it follows gets some. */
async function cutAmidTheLog({ one, replica, cut }) {
  await one.door.stuck;
  one.door.goOn(60_000);
  await one.door.stuck;
  await replica.link.call('READONLY');
  const key = `eo:{p721}:l:${LONG}`;
  await until(async () => (await replica.link.xlen(key)) > 0);
  await cut();
  const had = await replica.link.xlen(key);
  one.door.goOn(60_000);
  await until(async () => (await one.link.xlen(key)) > had);
  await one.door.stuck;
  assert.ok(had < LONG_MESSAGES / 2, `${had} messages`);
  await one.link.config('RESETSTAT');
}

/** @param {string[]} nodes */
async function isWhole(nodes) {
  const server = await start({ redis: { nodes } });
  for (const conv of [...CONVS, LONG]) {
    const seqs = [];
    for (let page = [-1]; page.length > 0; seqs.push(...page)) {
      const { items } = await server.history(conv, { after: seqs.at(-1) ?? 0, limit: 200 });
      page = items.map(({ seq }) => seq);
    }
    const wanted = Array.from({ length: conv === LONG ? LONG_MESSAGES : 3 }, (_, i) => i + 1);
    assert.deepEqual(seqs, wanted, conv);
  }
  await server.close();
}

/** Waits until this master has been asked for all its logs' lengths: after that all of it has been read back. */
async function readBack({ link }) {
  const logs = (await link.keys('eo:{p*}:l:*')).length;
  assert.ok(logs > 5, `${logs} logs`);
  await until(async () => new RegExp(`cmdstat_xlen:calls=${logs},`).test(await link.info('commandstats')));
}

const failed = ({ code, out, err }, why) => {
  assert.deepEqual([code, out], [1, ''], `${code} ${out} ${err}`);
  assert.match(err, why);
  assert.match(err, /the same again writes it once more/);
};

describe('flow: migrate, past masters that are lost', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('a replica that lacks a tail takes over what was read back already', async () => {
    const data = await makeStore();
    const cluster = await failingCluster({ one: { before: SCRIPT }, other: { before: '$4\r\nXLEN' } });
    const { one, other, nodes, promote } = cluster;
    const moving = migrateTo(data, nodes.join(','));
    await cutAmidTheLog(cluster);
    one.door.goOn();
    await other.door.stuck;
    await readBack(one);
    await one.kill();
    await promote();
    other.door.goOn();
    failed(await moving, /does not hold what was written to it/);
    await completes(data, cluster);
  });

  it('a replica that lacks a tail takes over while a log is written: that is seen at once', async () => {
    const data = await makeStore();
    const cluster = await failingCluster({ one: { before: SCRIPT } });
    const { one, other, replica, nodes, promote } = cluster;
    const moving = migrateTo(data, nodes.join(','));
    await cutAmidTheLog(cluster);
    await one.kill();
    await promote();
    failed(await moving, /l:dm:alice:yves lacks messages that were written/);
    const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await replica.link.info('commandstats'))?.[1] ?? 0;
    assert.ok(Number(calls) < 1000, `${calls} calls: what is gone is not waited for`);
    assert.equal(await other.link.hget('eo:{migration}:state', 'state'), 'moving');
    await completes(data, cluster);
  });

  for (const isMarked of isLong ? [false, true] : [true]) {
    it(`kill -9 of a master that keeps nothing, ${isMarked ? 'with the mark' : 'read back already'}`, async () => {
      const data = await makeStore();
      const before = '$4\r\nXLEN';
      const cluster = await failingCluster(isMarked ? { one: { before } } : { other: { before } });
      const [dies, lives] = isMarked ? [cluster.other, cluster.one] : [cluster.one, cluster.other];
      const moving = migrateTo(data, cluster.nodes.join(','));
      await lives.door.stuck;
      await readBack(dies);
      await dies.kill();
      await dies.start();
      lives.door.goOn();
      failed(await moving, /does not hold what was written to it/);
      await completes(data, cluster);
    });
  }

  it('waits for a replica of each master that has one in step, without being told to', async () => {
    const data = await makeStore();
    const { other, replica, nodes } = await failingCluster();
    const pid = Number(/process_id:(\d+)/.exec(await replica.link.info('server'))?.[1]);
    const { Migration } = loadAddon();
    const move = async (replicas) => {
      const migration = new Migration({ data, nodes, replicas, replicaTimeoutMs: 200, dedupWindowMs: 60_000 });
      onCleanUp(() => migration.close());
      try {
        return await migration.run();
      } finally {
        migration.close();
      }
    };
    process.kill(pid, 'SIGSTOP');
    try {
      const why = /0 of 1 replicas have it in time \(--durability replicas=0 waits for none\)/;
      await assert.rejects(
        move(),
        (/** @type {any} */ error) => error.code === 'MIGRATION_FAILED' && why.test(error.message),
      );
      assert.equal(await other.link.hget('eo:{migration}:state', 'state'), 'moving');
      assert.equal((await move(0)).conversations, CONVS.length + 1);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    assert.equal(await other.link.hget('eo:{migration}:state', 'state'), 'moved');
  });

  if (!isLong) return;

  it('kill -9 of a master that keeps all on disk: it is read once more, and done', async () => {
    const data = await makeStore();
    const { one, other, nodes, goAround } = await failingCluster({
      flags: ['--appendonly', 'yes', '--appendfsync', 'always'],
      other: { before: '$4\r\nXLEN' },
    });
    const moving = migrateTo(data, nodes.join(','));
    await other.door.stuck;
    await readBack(one);
    await one.kill();
    await one.start();
    other.door.goOn();
    const { code, err } = await moving;
    assert.equal(code, 0, err);
    assert.match(await one.link.info('commandstats'), /cmdstat_xlen:calls=[1-9]/, 'of the new process');
    await goAround();
    await isWhole(nodes);
  });
});
