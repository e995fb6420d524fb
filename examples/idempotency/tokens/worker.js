// Messages that carry a token, through a Redis Stream, to an effect in PostgreSQL; every message is delivered twice, and handlers
// fail. The same queue and the same faults under both forms of the token:
//
//   node examples/idempotency/tokens/worker.js plain issue 10    issues ten tokens and queues their messages
//   node examples/idempotency/tokens/worker.js plain work        works until the queue is empty, says what came of it
//   … right issue 10, … right work
//
// REDIS_URL, DATABASE_URL and LEASE_MS (5000) may be set. FAIL_FIRST=1: each handler throws the first time that it runs.
// DIE_AT=3: the process kills itself in the third handler, as a power cut would.
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { plainTokens } from './plain.js';
import { rightTokens } from './right.js';

const { REDIS_URL = 'redis://127.0.0.1:6379', DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres' } = process.env;
const { LEASE_MS = '5000', FAIL_FIRST, DIE_AT } = process.env;
const [form = 'right', act = 'work', count = '10'] = process.argv.slice(2);
const STREAM = `tokens:${form}`;
const GROUP = 'shop';

const redis = new Redis(REDIS_URL);
const pool = new pg.Pool({ connectionString: DATABASE_URL });
const plain = plainTokens({ redis });
const right = rightTokens({ redisUrl: REDIS_URL, leaseMs: Number(LEASE_MS) });
const table = `delivered_${form === 'right' ? 'right' : 'plain'}`;
// The unique key is the last word: a store of tokens and this database can't commit together.
const key = form === 'right' ? 'PRIMARY KEY' : '';
await pool.query(`CREATE TABLE IF NOT EXISTS ${table} (id text ${key}, fence bigint, receipt text)`);
await redis.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM').catch((error) => {
  if (!error.message.startsWith('BUSYGROUP')) throw error;
});

if (act === 'issue') await issue(Number(count));
else await work();
await right.close();
await pool.end();
redis.disconnect();

/** @param {number} many */
async function issue(many) {
  const ids = form === 'right' ? await right.issue('shop', many) : Array.from({ length: many }, () => randomUUID());
  if (form === 'plain') await plain.issue(ids);
  for (const id of [...ids, ...ids]) await redis.xadd(STREAM, '*', 'id', id);
  console.log(`${many} tokens, ${2 * many} messages`);
}

async function work() {
  const failed = new Set();
  let handled = 0;
  /** @param {string} id @param {number | null} fence */
  const effect = async (id, fence) => {
    handled += 1;
    if (handled === Number(DIE_AT)) process.kill(process.pid, 'SIGKILL');
    if (FAIL_FIRST && !failed.has(id)) {
      failed.add(id);
      throw new Error('the database is away');
    }
    const insert = `INSERT INTO ${table} VALUES ($1, $2, $3)`;
    const known = form === 'right' ? ' ON CONFLICT (id) DO NOTHING' : '';
    await pool.query(insert + known, [id, fence, randomUUID()]);
    return (await pool.query(`SELECT receipt FROM ${table} WHERE id = $1`, [id])).rows[0].receipt;
  };

  // What was taken and not acked comes again: first what this consumer had before it died, then what is new.
  let waitMs = 0;
  for (let from = '0'; ;) {
    const read = await redis.xreadgroup('GROUP', GROUP, 'worker', 'COUNT', 10, 'STREAMS', STREAM, from);
    const entries = read?.[0]?.[1] ?? [];
    for (const [entry, [, id]] of entries) {
      try {
        await (form === 'right'
          ? right.handle(id, (fence) => effect(id, fence))
          : plain.handle(id, () => effect(id, null)));
        await redis.xack(STREAM, GROUP, entry);
      } catch (error) {
        if (error.code === 'BUSY') waitMs = Math.max(waitMs, error.retryAfterMs);
      }
    }
    const [waiting] = await redis.xpending(STREAM, GROUP);
    if (waiting > 0) {
      from = '0';
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      waitMs = 0;
    } else if (entries.length === 0 && from === '>') {
      break;
    } else {
      from = '>';
    }
  }
  const { rows } = await pool.query(`SELECT count(*)::int AS effects, count(DISTINCT id)::int AS ids FROM ${table}`);
  const messages = await redis.xlen(STREAM);
  console.log(JSON.stringify({ messages, ...rows[0] }));
}
