// A BullMQ worker whose jobs may come twice: a producer that asked twice, a worker that stalled, a handler that threw after half.
//
// REDIS_URL (redis://127.0.0.1:6379), DATABASE_URL (postgres://postgres@127.0.0.1/postgres) and QUEUE (payments) may be set.
import { Worker } from 'bullmq';
import pg from 'pg';
import { once, sqlOnce } from '../../../lib/idempotency/index.js'; // in your project: 'everyonce/idempotency'

const { REDIS_URL = 'redis://127.0.0.1:6379', DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres' } = process.env;
const { QUEUE = 'payments' } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', (error) => console.error(`database: ${error.message}`));
await pool.query('CREATE TABLE IF NOT EXISTS payment (biz_id text NOT NULL, amount int NOT NULL)');
await sqlOnce.migrate(pool);

// The business's own id, not BullMQ's job id: two jobs for one payment are one payment.
const pay = once(
  {
    store: { postgres: pool },
    scope: 'payments',
    key: (job) => job.data.bizId,
    fingerprint: (job) => String(job.data.amount),
  },
  async (job, { attempt }) => {
    const { result } = await sqlOnce(pool, { key: `payment ${job.data.bizId}` }, async (tx) => {
      await tx.query('INSERT INTO payment VALUES ($1, $2)', [job.data.bizId, job.data.amount]);
      return { paid: job.data.amount };
    });
    // For the test: what fails after its effect is done is run again, and finds it done.
    if (job.data.failAfter >= attempt) throw new Error('failed after the effect');
    return result;
  },
);

const worker = new Worker(QUEUE, (job) => pay(job), { connection: { url: REDIS_URL }, concurrency: 8 });
worker.on('error', (error) => console.error(`queue: ${error.message}`));
await worker.waitUntilReady();
console.log(`working on ${QUEUE}`);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await worker.close();
    await pay.close();
    await pool.end();
  });
}
