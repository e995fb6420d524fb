// A consumer group over a Redis Stream, by hand: what a worker takes and does not ack comes again, to it or to another one.
//
// REDIS_URL (redis://127.0.0.1:6379), DATABASE_URL, STREAM (payments), GROUP (ledger) and CONSUMER (worker-1) may be set. CONSUMER is the
// same after a restart, so that what was under way is found again.
import Redis from 'ioredis';
import pg from 'pg';
import { sqlOnce } from '../../lib/idempotency/index.js'; // in your project: 'everyonce/idempotency'

const { REDIS_URL = 'redis://127.0.0.1:6379', DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres' } = process.env;
const { STREAM = 'payments', GROUP = 'ledger', CONSUMER = 'worker-1', IDLE_MS = '60000' } = process.env;
const MAX_DELIVERIES = 5;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', (error) => console.error(`database: ${error.message}`));
await pool.query('CREATE TABLE IF NOT EXISTS ledger (biz_id text NOT NULL, amount int NOT NULL)');
await sqlOnce.migrate(pool);

const redis = new Redis(REDIS_URL);
// From 0, not from $: a group that begins at the end never sees what was there before it.
await redis.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM').catch((error) => {
  if (!error.message.startsWith('BUSYGROUP')) throw error;
});
console.log(`reading ${STREAM} as ${CONSUMER} of ${GROUP}`);

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopping.abort());

// First what this consumer had taken before it was restarted; then what others let lie for longer than a handler takes; then what is new.
await drain('0');
while (!stopping.signal.aborted) {
  const [, stale] = await redis.xautoclaim(STREAM, GROUP, CONSUMER, IDLE_MS, '0-0', 'COUNT', 10);
  for (const entry of stale) await take(entry);
  await drain('>', 500);
}
redis.disconnect();
await pool.end();

/** @param {string} from @param {number} [blockMs] */
async function drain(from, blockMs) {
  let last = from;
  for (;;) {
    const wait = blockMs === undefined ? [] : ['BLOCK', blockMs];
    const read = await redis.xreadgroup('GROUP', GROUP, CONSUMER, 'COUNT', 10, ...wait, 'STREAMS', STREAM, last);
    const entries = read?.[0]?.[1] ?? [];
    for (const entry of entries) await take(entry);
    if (entries.length === 0 || blockMs !== undefined) return;
    // What fails stays pending: go on behind it.
    if (from !== '>') last = entries.at(-1)[0];
  }
}

/** @param {[string, string[] | null]} entry */
async function take([id, fields]) {
  // Trimmed away while it was pending: there is nothing left to do, and that is worth an alarm.
  if (fields === null) return void (await redis.xack(STREAM, GROUP, id));
  const { bizId, amount } = Object.fromEntries(fields.flatMap((name, n) => (n % 2 ? [] : [[name, fields[n + 1]]])));
  try {
    await sqlOnce(pool, { key: `ledger ${bizId}` }, async (tx) => {
      await tx.query('INSERT INTO ledger VALUES ($1, $2)', [bizId, Number(amount)]);
    });
    // Only now: XACK before the commit loses what fails, and it is no fence: it answers 1 also to who has lost the entry.
    await redis.xack(STREAM, GROUP, id);
  } catch (error) {
    const [[, , , deliveries] = []] = await redis.xpending(STREAM, GROUP, id, id, 1);
    console.error(`${id}, delivery ${deliveries}: ${error.message}`);
    if (deliveries < MAX_DELIVERIES) return;
    await redis
      .multi()
      .xadd(`${STREAM}:dead`, '*', 'id', id, 'error', error.message, ...fields)
      .xack(STREAM, GROUP, id)
      .exec();
  }
}
