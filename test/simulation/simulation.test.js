// The short form of `npm run simulate`: a few dozen lives of a deployment, and the proof that a seed is one run.
import assert from 'node:assert/strict';
import { isShared, runSeed } from './schedule.js';

const SEEDS = 30;
/** What the seeds above must have met, or the load is too tame to show anything. */
const SOMETIMES = [
  'crash',
  'kill',
  'power cut',
  'half-open',
  'lagging',
  'duplicate',
  'head',
  'unavailable',
  'package_incomplete',
  'system.members',
  'hole',
  'gone back',
  'truncated',
  'moved',
  // Of several servers on one store.
  'failover',
  'tail lost',
  'epoch',
  'takeover',
  'store timed out',
  'bell lost',
  'caught up',
  'held back',
];

describe('simulation', function () {
  this.timeout(240_000);

  for (const [what, shared] of [
    ['one server', false],
    ['several servers on one store', true],
  ]) {
    it(`is one run for one seed, to the last byte, with ${what}`, async () => {
      const [one, two] = Array.from({ length: SEEDS }, (_, i) => i + 1).filter((seed) => isShared(seed) === shared);
      const [first, again, other] = [await runSeed(one), await runSeed(one), await runSeed(two)];
      assert.ok(first.trace.events > 100);
      assert.equal(again.digest, first.digest);
      assert.notEqual(other.digest, first.digest);
    });
  }

  it(`loses, repeats, swaps and changes nothing in seeds 1 to ${SEEDS}, whatever fails`, async () => {
    /** @type {Map<string, number>} */
    const met = new Map();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { ok, counts, verdict, errors } = await runSeed(seed);
      const found = JSON.stringify([errors, verdict.findings.slice(0, 5)]);
      assert.ok(ok, `npm run simulate -- --seeds 1 --seed ${seed}: ${found}`);
      assert.ok(verdict.acked > 0 && verdict.delivered > verdict.acked, `seed ${seed} did nothing`);
      for (const [name, times] of counts) met.set(name, (met.get(name) ?? 0) + times);
    }
    for (const name of SOMETIMES) assert.ok(met.has(name), `never met: ${name}`);
  });
});
