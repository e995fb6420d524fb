// A process with a `once` over PostgreSQL, for the tests that kill it. Its orders are JSON in argv[2]; it says each step as a line of JSON.
import pg from 'pg';
import { once, sqlOnce } from '../../../lib/idempotency/index.js';

const { address, key, leaseMs, waitMs, hang } = JSON.parse(process.argv[2]);
const pool = new pg.Pool(address);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const forever = () => new Promise(() => setInterval(() => {}, 1 << 30));

const handle = once(
  { store: { postgres: pool }, key: (m) => m, leaseMs, waitMs },
  async (message, { attempt, fence }) => {
    say({ started: attempt, fence });
    if (hang === 'before') await forever();
    const { repeated } = await sqlOnce(pool, { key: message }, async (tx) => {
      await tx.query('INSERT INTO effect VALUES ($1)', [process.pid]);
    });
    say({ effect: !repeated });
    if (hang === 'after') await forever();
    return attempt;
  },
);

say({ result: await handle(key) });
await handle.close();
await pool.end();
