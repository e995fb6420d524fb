// The short form of kill-server.js; 100 rounds where EVERYONCE_LONG is set (npm run faults).
import assert from 'node:assert/strict';
import { isGood, runRounds } from './rounds.js';
import { printedSeed } from '../support/seed.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const size = isLong ? { rounds: 100 } : { rounds: 5, users: 4, acks: 60 };

describe('kill -9', function () {
  this.timeout(isLong ? 840_000 : 40_000);

  it(`of the server and of clients in mid-load, ${size.rounds} times: every message once, in order, unchanged`, async () => {
    const seed = printedSeed();
    const outcome = await runRounds({ ...size, seed });
    const { findings, problems, ...counts } = outcome;
    const text = JSON.stringify({ ...counts, problems, findings: findings.slice(0, 20) }, null, 1);
    assert.ok(isGood(outcome), text);
    assert.ok(outcome.serverKills > size.rounds && outcome.acked > size.rounds, text);
  });
});
