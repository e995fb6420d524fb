// `everyonce torture`: clean against a server that keeps its word, and not against one that breaks it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { run } from '../../lib/cli/run.js';
import { History } from '../../lib/checker/history.js';
import { MemoryOutbox } from '../../lib/client/outbox.js';
import { Participant } from '../../lib/torture/participant.js';
import { torture } from '../../lib/torture/torture.js';
import { startLyingProxy } from './support/lying-proxy.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';
import { chosenSeed } from '../support/seed.js';

const SECRET = 'a secret of at least thirty-two bytes';

/** @param {...string} args */
async function cli(...args) {
  const lines = { out: [], err: [] };
  const code = await run(['torture', ...args], {
    out: (line) => lines.out.push(line),
    err: (line) => lines.err.push(line),
  });
  return { code, out: lines.out.join('\n'), err: lines.err.join('\n') };
}

describe('torture', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('finds nothing in a server that keeps its word, whatever the network does', async () => {
    const { port } = await startServer();
    const seed = chosenSeed();
    const result = await torture({ url: `http://127.0.0.1:${port}`, users: 12, seconds: 2, rate: 15, seed });
    const text = JSON.stringify({ ...result, findings: result.findings.slice(0, 5) });
    assert.deepEqual([result.lost, result.repeated, result.swapped, result.changed, result.problems], [0, 0, 0, 0, []], text); // prettier-ignore
    assert.ok(result.acked === result.sent && result.acked > 50 && result.delivered > result.acked, text);
    // Which of them come in two seconds is drawn from the seed; that some do is not.
    const { repeatedFrames, ...ofConnections } = result.faults;
    const acts = Object.values(ofConnections).reduce((sum, count) => sum + count, 0);
    assert.ok(acts > 0 && repeatedFrames > 0, text);
    assert.ok(result.p50Ms > 0 && result.p99Ms >= result.p50Ms, text);
  });

  it('waits for a device that has the answer to its own newest message, but not what came before', async () => {
    const me = { user: 'ann', device: 'ann-1', conv: 'c' };
    const participantWith = (...had) => {
      const history = new History();
      for (const [op, seq] of had) history.record({ op, seq, ...me });
      const options = { url: 'ws://127.0.0.1:1', random: () => 0, outbox: new MemoryOutbox(), history };
      const participant = new Participant({ ...options, ...me, convs: ['c'], starts: { c: 1 } });
      onCleanUp(() => participant.close());
      return participant;
    };
    assert.equal(participantWith(['deliver', 2], ['ack', 5], ['deliver', 3]).hasReached({ c: 5 }), false);
    assert.equal(
      participantWith(['deliver', 2], ['ack', 5], ['deliver', 3], ['deliver', 4]).hasReached({ c: 5 }),
      true,
    );
  });

  it('prints a table and ends with 0, signing tokens with --jwt-secret', async () => {
    const { port } = await startServer({ jwtSecret: SECRET });
    const url = `http://127.0.0.1:${port}`;
    const { code, out } = await cli('--url', url, '--users', '4', '--seconds', '1', '--seed', '7', '--jwt-secret', SECRET); // prettier-ignore
    assert.equal(code, 0, out);
    assert.match(out, /^everyonce torture of http:\S+, seed 7$/m);
    for (const row of [
      'sent',
      'acked',
      'delivered',
      'lost',
      'repeated',
      'swapped',
      'changed',
      'reconnects',
      'p50Ms',
      'p99Ms',
    ])
      // prettier-ignore
      assert.match(out, new RegExp(`^ +${row} +[\\d.]+$`, 'm'));
    assert.match(out, /every message once, in order, unchanged$/);
  });

  it('prints one line of JSON with --json, as users that exist with --tokens', async () => {
    const { port } = await startServer({ jwtSecret: SECRET });
    const key = new TextEncoder().encode(SECRET);
    const sign = (user) => new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime('1h').sign(key); // prettier-ignore
    const path = join(makeDirectory(), 'tokens');
    writeFileSync(path, (await Promise.all(['ann', 'bob', 'cid'].map(sign))).join('\n'));
    const { code, out } = await cli('--url', `ws://127.0.0.1:${port}/everyonce`, '--seconds', '1', '--seed', '8', '--tokens', path, '--json'); // prettier-ignore
    const result = JSON.parse(out);
    assert.equal(code, 0, out);
    assert.deepEqual([result.seed, result.users, result.lost, result.findings], [8, 3, 0, []]);
    for (const name of ['sent', 'acked', 'delivered', 'repeated', 'swapped', 'changed', 'reconnects', 'p50Ms', 'p99Ms'])
      assert.equal(typeof result[name], 'number', name);
  });

  for (const [lie, count] of /** @type {const} */ ([
    ['lose', 'lost'],
    ['double', 'repeated'],
    ['swap', 'swapped'],
    ['change', 'changed'],
  ])) {
    it(`counts what is ${count}, where a server lies, and ends with 1`, async () => {
      const { port } = await startServer();
      const liar = await startLyingProxy({ port, lie });
      onCleanUp(liar.close);
      const seed = chosenSeed();
      const result = await torture({ url: liar.url, users: 2, seconds: 1, rate: 40, seed, drainMs: 1_000 });
      const text = JSON.stringify({ ...result, findings: result.findings.slice(0, 8) });
      assert.ok(result[count] > 0, text);
      if (lie !== 'change') return;
      const { code, out } = await cli('--url', liar.url, '--users', '2', '--seconds', '1', '--rate', '20', '--seed', String(seed)); // prettier-ignore
      assert.equal(code, 1);
      assert.match(out, new RegExp(`FAILED; the same again: --seed ${seed}$`));
    });
  }

  it('says so where nobody answers, and where the server lets nobody in', async () => {
    const { port } = await startServer({ jwtSecret: SECRET });
    const refused = await cli('--url', `http://127.0.0.1:${port}`, '--users', '2', '--seconds', '1');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /everyonce: .*token/i);
    await assert.rejects(torture({ url: 'http://x y', users: 2, seconds: 1, seed: 1 }), { code: 'INVALID_ARGUMENT' });
  });
});
