// The short form of test/faults/schedules.js: random schedules of several users and devices against a real server.
import assert from 'node:assert/strict';
import { isGood, runSchedules } from '../faults/schedule/run.js';
import { printedSeed } from '../support/seed.js';

const size = { rounds: 3, steps: 350 };
/** What the schedules must have met, or they were too tame to say anything. */
const expected = ['push', 'head', 'paged', 'dup', 'gap', 'conflict', 'bad_request', 'unknown_conv', 'hole', 'resume ok', 'close 4409', 'next oldest', 'next newest']; // prettier-ignore

describe('flow: random schedules', function () {
  this.timeout(120_000);

  it(`of send, cut, kill, page, ack, add, remove: every message once, in order, unchanged`, async () => {
    const seed = printedSeed();
    const { findings, problems, met, ...counts } = await runSchedules({ ...size, seed });
    const text = JSON.stringify({ ...counts, met, problems: problems.slice(0, 20), findings: findings.slice(0, 20) }, null, 1); // prettier-ignore
    assert.ok(isGood({ ...counts, findings, problems, met }), text);
    assert.ok(counts.kills > size.rounds && counts.acked > size.steps, text);
    const unmet = expected.filter((what) => !met[what]);
    assert.deepEqual(unmet, [], text);
  });
});
