// The short form of kill-server.js; 100 rounds where EVERYONCE_LONG is set (npm run faults).
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { isGood, runRounds } from './rounds.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const rounds = isLong ? 100 : 5;

describe('kill -9', function () {
  this.timeout(isLong ? 280_000 : 40_000);

  it(`of the server and of clients in mid-load, ${rounds} times: every message once, in order, unchanged`, async () => {
    const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
    console.log(`seed ${seed}`);
    const outcome = await runRounds({ rounds, seed });
    const { findings, problems, ...counts } = outcome;
    const text = JSON.stringify({ ...counts, problems, findings: findings.slice(0, 20) }, null, 1);
    assert.ok(isGood(outcome), text);
    assert.ok(outcome.serverKills >= rounds && outcome.acked >= rounds, text);
  });
});
