// A server and its consumer in a process that is killed while it handles messages, again and again: every accepted message has its
// effect once in a database that tells repeats apart, in order; and without that key, never more often than it was tried.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { cleanUp, makeDirectory, onCleanUp } from '../flow/support/servers.js';
import { postgresDatabase } from '../support/postgres.js';
import { START_MS } from './support/databases.js';

const CHILD = fileURLToPath(new URL('./support/consumer-child.js', import.meta.url));
const CONVS = ['dm:ann:bob', 'dm:ann:cid', 'dm:bob:cid'];
const MESSAGES = 20;
/** Where the process dies: at which call of the handler, before or behind its effect. */
const DEATHS = [
  { hangAt: 3, hang: 'after' },
  { hangAt: 1, hang: 'before' },
  { hangAt: 5, hang: 'after' },
  { hangAt: 2, hang: 'after' },
];

/**
 * Runs the process until it is done, or hangs and is killed.
 *
 * @param {Record<string, unknown>} orders
 * @returns {Promise<Record<string, any>>} the last thing it said
 */
async function run(orders) {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  onCleanUp(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let last = {};
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line);
    if ('hanging' in last) child.kill('SIGKILL');
  }
  await closed;
  return last;
}

describe('a Consumer whose process is killed', function () {
  this.timeout(START_MS + 60_000);
  afterEach(cleanUp);

  for (const [batch, ownStore] of /** @type {[number, boolean][]} */ ([
    [1, true],
    [5, false],
  ])) {
    const kept = ownStore ? "the server's own store" : 'PostgreSQL';
    it(`handles every message once in the end, batches of ${batch}, noted in ${kept}`, async () => {
      const address = await postgresDatabase();
      const side = new pg.Pool(address);
      onCleanUp(() => side.end());
      await side.query(`CREATE TABLE effect (number bigserial, key text PRIMARY KEY, conv text NOT NULL, seq int NOT NULL);
        CREATE TABLE naive (number bigserial, key text NOT NULL, attempt int NOT NULL, fence bigint NOT NULL)`);
      const orders = {
        address,
        data: join(makeDirectory(), 'data'),
        convs: CONVS,
        messages: MESSAGES,
        leaseMs: 300,
        batch,
        ownStore,
      };
      let hung = 0;
      for (const death of DEATHS) hung += 'hanging' in (await run({ ...orders, ...death })) ? 1 : 0;
      const last = await run(orders);
      assert.ok('drained' in last, JSON.stringify(last));
      assert.equal(last.parked, 0);
      assert.equal(hung, DEATHS.length, 'deaths in mid-handler');

      const { rows: effects } = await side.query('SELECT conv, seq FROM effect ORDER BY number');
      assert.equal(effects.length, CONVS.length * MESSAGES);
      for (const conv of CONVS) {
        const seqs = effects.filter((row) => row.conv === conv).map((row) => row.seq);
        assert.deepEqual(
          seqs,
          Array.from({ length: MESSAGES }, (_, index) => index + 1),
          `${conv}: in order`,
        );
      }
      const { rows: naive } = await side.query('SELECT key, attempt, fence FROM naive ORDER BY number');
      const repeats = naive.length - CONVS.length * MESSAGES;
      // A death strikes the batches that were under way: at most one of each conversation.
      assert.ok(repeats >= 2, `without a key ${repeats} effects are repeated`);
      assert.ok(repeats <= DEATHS.length * CONVS.length * batch, `${repeats} repeats`);
      const fences = new Map();
      for (const { key, fence } of naive) {
        assert.ok(Number(fence) > (fences.get(key) ?? 0), `${key}: a repeat has a higher fence`);
        fences.set(key, Number(fence));
      }
    });
  }
});
