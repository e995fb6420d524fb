// The primitives on Redis and on a Redis Cluster: the suites of every store, and what only Redis does to one.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { openClaims } from '../../../lib/primitives/claims.js';
import { Dedup } from '../../../lib/primitives/dedup.js';
import { OfflineStore } from '../../../lib/primitives/offline-store.js';
import { SegmentIds } from '../../../lib/primitives/segment-ids.js';
import { Sequencer } from '../../../lib/primitives/sequencer.js';
import { Snowflake } from '../../../lib/primitives/snowflake.js';
import { Operation, openStore } from '../../../lib/primitives/store.js';
import { WorkerLease } from '../../../lib/primitives/worker-lease.js';
import { claimConformance } from './claim-conformance.js';
import { offlineConformance } from './offline-conformance.js';
import { cleanUp, closing, onCleanUp } from './support.js';
import { PLACES } from './support/on-redis.js';
import { chosenSeed } from '../../support/seed.js';

const run = promisify(execFile);
const seed = chosenSeed();
const SEQUENCER = new URL('../../../lib/primitives/sequencer.js', import.meta.url).href;

for (const [title, open] of Object.entries(PLACES)) {
  claimConformance(title, async () => {
    const { store, advance, close } = await open();
    const claims = openClaims(store);
    const end = claims.close.bind(claims);
    claims.close = async () => {
      close();
      await end();
    };
    return { claims, advance };
  });

  offlineConformance(
    title,
    async () => {
      const { store, close } = await open();
      close();
      return new OfflineStore({ store });
    },
    { steps: title === 'Redis' ? 3000 : 300 },
  );
}

for (const [title, open] of Object.entries(PLACES)) {
  describe(`primitives on ${title}`, () => {
    /** @type {import('./support/on-redis.js').Place} */
    let place;
    let name = '';
    let count = 0;
    before(async () => (place = await open()));
    after(() => place.close());
    beforeEach(() => (name = `${title} ${process.pid} ${Date.now()} ${++count}`));
    afterEach(cleanUp);

    it(`Sequencer agrees with a counter per key, whoever asks (seed ${seed})`, async () => {
      const all = [1, 2, 3].map(() => closing(new Sequencer({ store: place.store })));
      const last = new Map();
      const step = fc.record({ key: fc.constantFrom('a', 'b', 'ä', 'a\0'), n: fc.integer({ min: 1, max: 50 }) });
      for (const some of fc.sample(fc.array(step, { minLength: 200, maxLength: 200 }), { seed, numRuns: 20 })) {
        const answers = await Promise.all(some.map(({ key, n }, i) => all[i % 3].reserve(`${name} ${key}`, n)));
        for (const [i, { key, n }] of some.entries()) {
          assert.equal(answers[i], (last.get(key) ?? 0) + 1);
          last.set(key, (last.get(key) ?? 0) + n);
        }
      }
      for (const [key, value] of last) assert.equal(await all[0].current(`${name} ${key}`), value);
      assert.equal(await all[0].current(`${name} never`), 0);
    });

    it('Sequencer is dense over processes', async () => {
      const program = `import(${JSON.stringify(SEQUENCER)}).then(async ({ Sequencer }) => {
        const [store, key] = JSON.parse(process.argv[1]);
        const sequencer = new Sequencer({ store });
        const taken = await Promise.all(Array.from({ length: 100 }, () => sequencer.next(key)));
        await sequencer.close();
        console.log(JSON.stringify(taken)); })`;
      const child = () => run(process.execPath, ['-e', program, JSON.stringify([place.store, name])]);
      const outputs = await Promise.all([child(), child(), child()]);
      const taken = outputs.flatMap(({ stdout }) => JSON.parse(stdout)).sort((a, b) => a - b);
      assert.deepEqual(
        taken,
        Array.from({ length: 300 }, (_, i) => i + 1),
      );
    });

    it('Sequencer gives no number beyond the last; what fits is still given', async () => {
      const store = closing(openStore(place.store));
      const take = (/** @type {number} */ n) => store.run(Operation.TAKE, `q${name}`, n, 10);
      const settled = await Promise.allSettled([take(4), take(5), take(7), take(1)]);
      assert.deepEqual(
        settled.map(({ status, value }) => value ?? status),
        [1n, 5n, 'rejected', 10n],
      );
    });

    it(`Dedup agrees with a map of times (seed ${seed})`, async () => {
      const dedup = closing(new Dedup({ store: place.store, windowMs: 60_000, name: String(count) }));
      let nowMs = 0;
      const seen = new Map();
      const keys = fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 500, maxLength: 500, size: 'max' });
      for (const some of fc.sample(keys, { seed, numRuns: 12 })) {
        const fresh = await dedup.checkBatch(some.map((key) => `${name} ${key}`));
        const expected = some.map((key) => {
          const isNew = !seen.has(key) || seen.get(key) + 60_000 <= nowMs;
          if (isNew) seen.set(key, nowMs);
          return isNew ? 1 : 0;
        });
        assert.deepEqual([...fresh], expected);
        const passedMs = 15_500 + some[0];
        nowMs += passedMs;
        await place.advance(passedMs);
      }
    });

    it('Dedup: claim, commit, release; a claim whose lease ran out is taken over, by check too', async () => {
      const dedup = closing(new Dedup({ store: place.store, windowMs: 600_000 }));
      const claim = await dedup.claim(name, 10_000);
      assert.deepEqual([claim.state, (await dedup.claim(name, 10_000)).state], ['ACQUIRED', 'BUSY']);
      assert.equal(await dedup.check(name), 'duplicate');
      assert.equal((await dedup.release(claim)).state, 'RELEASED');
      const second = await dedup.claim(name, 10_000);
      await place.advance(10_000);
      const third = await dedup.claim(name, 10_000);
      assert.deepEqual([second.state, third.state, third.attempt], ['ACQUIRED', 'TAKEOVER', 3]);
      assert.equal((await dedup.commit(second)).state, 'FENCED');
      await place.advance(10_000);
      assert.equal(await dedup.check(name), 'new');
      assert.equal((await dedup.commit(third)).state, 'FENCED', 'who was told "new" has the effect');
      const other = await dedup.claim(`${name} other`, 10_000);
      assert.equal((await dedup.commit(other, { paid: 7 })).state, 'COMMITTED');
      assert.deepEqual((await dedup.claim(`${name} other`, 10_000)).result, { paid: 7 });
    });

    it('SegmentIds: no id twice over two of them', async () => {
      const both = [1, 2].map(() => closing(new SegmentIds({ store: place.store, tag: name, step: 100 })));
      const batches = await Promise.all([0, 1, 0, 1].map((i) => both[i].nextBatch(700)));
      assert.equal(new Set(batches.flatMap((ids) => [...ids])).size, 2800);
    });

    it('Snowflake.lease: numbers of one owner each, taken over with a higher fence and later ids only', async () => {
      const store = openStore(place.store);
      const [one, two] = await Promise.all([0, 1].map(() => Snowflake.lease({ store: place.store })));
      onCleanUp(() => Promise.all([one.close(), two.close()]));
      assert.notEqual(one.stats().worker, two.stats().worker);
      const { worker } = one.stats();
      await one.close();
      const lease = new WorkerLease(store, { leaseMs: 30_000 });
      const ids = await lease.open({});
      assert.equal(ids.stats().worker, worker, 'given back, and free again');
      ids.nextBatch(1000);
      assert.equal(await lease.renew(), true);
      await place.advance(30_000);
      const next = new WorkerLease(openStore(place.store), { leaseMs: 30_000 });
      let backMs = 3_600_000;
      const taken = await next.open({ now: () => Date.now() - backMs });
      assert.equal(taken.stats().worker, worker);
      assert.throws(() => taken.next(), { code: 'CLOCK_BACKWARDS' }, 'its ids begin above those of before');
      backMs = 0;
      taken.next();
      assert.equal(await lease.renew(), false, 'its fence is of before');
      assert.throws(() => ids.next(), { code: /LEASE_EXPIRED|IDS_EXHAUSTED/ });
      await ids.close();
      assert.equal(await next.renew(), true, 'and it can not give back what is not its own');
      await taken.close();
    });

    it('leaves nothing behind that does not expire, but counters and what waits', async () => {
      const kinds = new Set();
      for (const port of place.ports) {
        const node = new Redis(port, '127.0.0.1');
        for (const key of await node.keys('eo:{k*')) {
          if ((await node.pttl(key)) < 0) kinds.add(/^eo:\{[a-z]+\d*\}:([a-z]+(?::[a-z](?=:))?)/.exec(key)?.[1]);
        }
        node.disconnect();
      }
      // f: one fence per partition. n: what a Sequencer or SegmentIds has counted. o:…: items that wait for a receiver.
      const meant = ['f', 'n', 'o:c', 'o:i', 'o:m', 'o:o', 'o:s'];
      assert.deepEqual(
        [...kinds].sort().filter((kind) => !meant.includes(kind)),
        [],
      );
    });
  });
}
