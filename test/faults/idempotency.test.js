// Every way against a real database, by processes that throw and are killed in mid-work, with repeats: each key has its effect
// once, none is missing, and all repeats get one result. The naive forms fail the same run.
//
// Long (npm run faults): 8 processes, 10,000 messages each way, and all of them. EVERYONCE_SEED chooses the deliveries.
import assert from 'node:assert/strict';
import { START_MS } from '../idempotency/support/databases.js';
import { judgedRun } from './idempotency/judged-run.js';
import { WAYS } from './idempotency/ways.js';
import { chosenSeed } from '../support/seed.js';

const LONG = Boolean(process.env.EVERYONCE_LONG);
const SEED = chosenSeed();
const SIZE = LONG
  ? { keys: Number(process.env.EVERYONCE_KEYS ?? 10_000), processes: 8, kills: 40 }
  : // So few keys that a naive form could come through by luck, if it failed as rarely as in a long run.
    { keys: 60, processes: 2, kills: 2, throwRate: 0.25 };

describe(`processes that throw and are killed (seed ${SEED})`, () => {
  for (const [way, { naive, short }] of Object.entries(WAYS)) {
    if (!LONG && !short) continue;
    it(`${way}: ${naive ? 'naive, loses or doubles' : 'each effect once, each repeat the same result'}`, async function () {
      this.timeout(LONG ? 30 * 60_000 : START_MS);
      const { lost, doubled, different, kills, failed } = await judgedRun(way, { ...SIZE, seed: SEED });
      assert.equal(kills, SIZE.kills);
      assert.ok(failed > 0, 'the run was too tame: nothing was thrown');
      if (naive) return assert.ok(lost + doubled > 0, 'the naive form came through');
      assert.deepEqual({ lost, doubled }, { lost: 0, doubled: 0 });
      assert.deepEqual(different, [], 'repeats got different results');
    });
  }
});
