// A real server process that stands still, and connections of which only one side, or none, knows that they are over.
import assert from 'node:assert/strict';
import { printedSeed } from '../support/seed.js';
import { Troubled } from './troubled.js';

const rounds = process.env.EVERYONCE_LONG ? 40 : 1;
/** How long the process stands still; below what makes a peer give it up, and above. */
const stillMs = [300, 2_500];

/** @type {Troubled} */
let run;

describe('a network in trouble', function () {
  this.timeout(process.env.EVERYONCE_LONG ? 900_000 : 60_000);

  beforeEach(async () => {
    run = new Troubled({ seed: printedSeed() });
    await run.begin();
  });
  afterEach(() => run.close());

  const judged = async () => {
    const { ok, text } = await run.end();
    assert.ok(ok, text);
  };

  it('a server that is stopped and goes on (SIGSTOP, SIGCONT): every message once, in order, unchanged', async () => {
    for (let round = 0; round < rounds; round++) {
      for (const ms of stillMs) {
        await run.moreAcks(20);
        const pid = Number(run.server?.pid);
        process.kill(pid, 'SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, ms));
        process.kill(pid, 'SIGCONT');
      }
    }
    await run.moreAcks(20);
    await judged();
  });

  it('connections that are half-open, stalled, slow and cut: every message once, in order, unchanged', async () => {
    const { proxy } = run;
    assert.ok(proxy);
    for (let round = 0; round < rounds; round++) {
      await run.moreAcks(20);
      proxy.latencyMs = 30;
      proxy.stallOne(Infinity);
      proxy.stallOne(400);
      await run.moreAcks(20);
      proxy.throttleOne(4_000, 1_000);
      proxy.cutOne();
      await run.moreAcks(20);
      // All of them at once: nobody is left who gets through, until they find out by themselves.
      proxy.stallAll();
      await run.moreAcks(30);
      proxy.cutAll();
    }
    await run.moreAcks(20);
    assert.ok(proxy.counts.halfOpen > 1 && proxy.counts.cutAll > 0, JSON.stringify(proxy.counts));
    await judged();
  });
});
