// examples/idempotency/queues/bullmq.js: payments whose jobs come twice, and fail after their effect, are made once.
import assert from 'node:assert/strict';
import pg from 'pg';
import { postgresDatabase } from '../support/postgres.js';
import { redisServer } from '../support/redis.js';
import { packageOf, start, stopPrograms } from './programs.js';

const START_MS = 60_000;

describe('BullMQ', function () {
  this.timeout(START_MS);
  let pool;
  let url;
  before(async () => {
    const { host, port, user, database } = await postgresDatabase();
    url = `postgres://${user}@${host}:${port}/${database}`;
    pool = new pg.Pool({ connectionString: url });
  });
  after(async () => {
    await stopPrograms();
    await pool.end();
  });

  it('pays each order once, and gives every job the first one’s result', async () => {
    const { Queue, QueueEvents } = packageOf('bullmq');
    const connection = await redisServer();
    const env = { DATABASE_URL: url, REDIS_URL: `redis://127.0.0.1:${connection.port}` };
    const { child, exited } = await start('bullmq.js', env);
    const queue = new Queue('payments', { connection });
    const events = new QueueEvents('payments', { connection });
    await events.waitUntilReady();
    try {
      const retried = { attempts: 4, backoff: { type: 'fixed', delay: 1 } };
      const jobs = [];
      for (let n = 0; n < 10; n++) {
        for (let repeat = 0; repeat < 3; repeat++) {
          jobs.push(await queue.add('pay', { bizId: `order-${n}`, amount: n, failAfter: n % 3 }, retried));
        }
      }
      const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
      assert.deepEqual(
        results,
        jobs.map(({ data }) => ({ paid: data.amount })),
      );
      const other = await queue.add('pay', { bizId: 'order-1', amount: 99 });
      await assert.rejects(other.waitUntilFinished(events), /another payload/);
      const { rows } = await pool.query('SELECT biz_id, amount FROM payment ORDER BY amount');
      assert.deepEqual(
        rows,
        Array.from({ length: 10 }, (_, n) => ({ biz_id: `order-${n}`, amount: n })),
      );
    } finally {
      await events.close();
      await queue.close();
    }
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });
});
