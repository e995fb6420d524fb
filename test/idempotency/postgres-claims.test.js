// The claim machine in PostgreSQL.
import assert from 'node:assert/strict';
import pg from 'pg';
import { PostgresClaims } from '../../lib/idempotency/claims/postgres.js';
import { postgresDatabase } from '../support/postgres.js';
import { claimConformance } from '../lib/primitives/claim-conformance.js';
import { START_MS } from './support/databases.js';

describe('claims in PostgreSQL', () => {
  let pool;
  before(async function () {
    this.timeout(START_MS);
    pool = new pg.Pool({ ...(await postgresDatabase()), max: 10 });
  });
  after(() => pool.end());

  claimConformance('PostgreSQL', () => {
    const claims = new PostgresClaims(pool);
    // The database's clock stands for what it is; what is moved is all that was noted by it.
    const advance = (ms) =>
      pool.query(
        `UPDATE everyonce_claims SET lease_until = lease_until - $1::float8 * interval '1 millisecond',
          expires_at = expires_at - $1::float8 * interval '1 millisecond'`,
        [ms],
      );
    return { claims, advance };
  });

  const ask = (key, owner) => ({ key, owner, leaseMs: 60_000, keepMs: 60_000 });

  it('makes its table on first use, also when many come first at once', async () => {
    const stores = Array.from({ length: 6 }, () => new PostgresClaims(pool, { table: 'public.odd "claims"' }));
    const answers = await Promise.all(stores.map((store, n) => store.claim(ask('k', `o${n}`))));
    assert.deepEqual(answers.map(({ state }) => state).sort(), ['ACQUIRED', ...Array(5).fill('BUSY')]);
  });

  it('deletes what has expired, and only that', async () => {
    const claims = new PostgresClaims(pool, { table: 'swept' });
    // A claim sweeps by itself now and then; that has ended when this one looks, or they would share the work.
    await claims.claim(ask('live', 'a'));
    await claims.close();
    await claims.issue({ keys: Array.from({ length: 1200 }, (_, n) => `old-${n}`), ttlMs: 1 });
    await pool.query(`UPDATE swept SET expires_at = now() - interval '1 hour' WHERE key LIKE 'old-%'`);
    await claims.sweep();
    const { rows } = await pool.query('SELECT key FROM swept');
    assert.deepEqual(rows, [{ key: 'live' }]);
    await claims.close();
  });

  it('works under a stricter isolation, where a lost race is an error that is tried again', async () => {
    const strict = new pg.Pool({ ...pool.options, options: '-c default_transaction_isolation=serializable' });
    const claims = new PostgresClaims(strict, { table: 'strict' });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => claims.claim(ask('k', `o${n}`))));
    assert.equal(answers.filter(({ state }) => state === 'ACQUIRED').length, 1);
    assert.equal(answers.filter(({ state }) => state === 'BUSY').length, 19);
    await claims.close();
    await strict.end();
  });

  it('says STORE_FAILED where the database can not be asked', async () => {
    const nowhere = new pg.Pool({ host: '127.0.0.1', port: 1, user: 'postgres', database: 'none' });
    const claims = new PostgresClaims(nowhere);
    await assert.rejects(claims.claim(ask('k', 'o')), { code: 'STORE_FAILED', retryable: true });
    await nowhere.end();
  });

  it('takes no single client, whose transaction a claim might become part of', () => {
    assert.throws(() => new PostgresClaims(new pg.Client()), { code: 'INVALID_ARGUMENT', option: 'store.postgres' });
    assert.throws(() => new PostgresClaims({}), { code: 'INVALID_ARGUMENT' });
  });
});
