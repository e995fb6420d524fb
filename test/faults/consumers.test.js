// The short form of consumers.js: every kind of fault once; 30 rounds, and failovers, where EVERYONCE_LONG is set.
import assert from 'node:assert/strict';
import { isGood, runConsumers } from './consumers.js';
import { printedSeed } from '../support/seed.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const runs = isLong ? [{ rounds: 30 }, { rounds: 12, replicas: 1 }] : [{ rounds: 3, messages: 30 }];

describe('consumers and servers on a Redis Cluster that are killed', function () {
  this.timeout(isLong ? 600_000 : 120_000);

  for (const size of runs) {
    const kind = 'replicas' in size ? 'and masters replaced by their replicas' : 'and masters that come back';
    it(`${size.rounds} faults, ${kind}: every message has its effect once, in order, and none is lost`, async () => {
      const seed = printedSeed();
      const outcome = await runConsumers({ ...size, seed });
      assert.ok(isGood(outcome), JSON.stringify(outcome, null, 1));
      assert.ok(outcome.kills >= 1, JSON.stringify(outcome));
    });
  }
});
