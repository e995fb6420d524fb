// The short form of several-servers.js: every kind of fault once; 60 rounds where EVERYONCE_LONG is set (npm run faults).
import assert from 'node:assert/strict';
import { isGood, runServers } from './several-servers.js';
import { printedSeed } from '../support/seed.js';

const isLong = Boolean(process.env.EVERYONCE_LONG);
const size = isLong ? { rounds: 60 } : { rounds: 5, users: 4, acks: 40 };

describe('several servers on a Redis Cluster', function () {
  this.timeout(isLong ? 840_000 : 120_000);

  it(`${size.rounds} faults in mid-load: every message once, in order, unchanged, at everybody`, async () => {
    const seed = printedSeed();
    const outcome = await runServers({ ...size, seed });
    const { findings, problems, ...counts } = outcome;
    const text = JSON.stringify({ ...counts, problems, findings: findings.slice(0, 20) }, null, 1);
    assert.ok(isGood(outcome), text);
    assert.ok(outcome.kills >= 1 && outcome.acked > size.rounds, text);
  });

  if (!isLong) return;

  it('masters that die and are replaced by their replicas, which acks waited for', async () => {
    const seed = printedSeed();
    const { findings, problems, ...counts } = await runServers({ rounds: 20, seed, replicas: 1 });
    assert.ok(isGood({ findings, problems, ...counts }), JSON.stringify({ counts, problems, findings }, null, 1));
  });
});
