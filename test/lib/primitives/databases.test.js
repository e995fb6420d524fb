// SegmentIds and OfflineStore in real databases.
import assert from 'node:assert/strict';
import mysqlCallbacks from 'mysql2';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { OfflineStore } from '../../../lib/primitives/offline-store.js';
import { SegmentIds } from '../../../lib/primitives/segment-ids.js';
import { migrateLeafAlloc } from '../../../lib/primitives/segments/loaders.js';
import { mariadbDatabase } from '../../support/mariadb.js';
import { postgresDatabase } from '../../support/postgres.js';
import { offlineConformance } from './offline-conformance.js';

/** Starting a server takes seconds on a busy machine. */
const START_MS = 60_000;

describe('in PostgreSQL', function () {
  this.timeout(START_MS);
  /** @type {pg.Pool} */
  let pool;
  before(async () => {
    pool = new pg.Pool({ ...(await postgresDatabase()), max: 8 });
  });
  after(() => pool.end());

  offlineConformance('PostgreSQL', () => new OfflineStore({ store: { postgres: pool } }), { steps: 300 });

  segments({
    store: () => ({ postgres: pool }),
    set: (maxId, step) =>
      pool.query('UPDATE leaf_alloc SET max_id = $1, step = $2 WHERE biz_tag = $3', [maxId, step, 'set']),
    migrate: () => migrateLeafAlloc({ postgres: pool }),
  });

  // Without a lock around it, about every second CREATE TABLE IF NOT EXISTS of a name that is new to all fails in one of them.
  it('makes a table that many ask for at once', async () => {
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 8 }, () => migrateLeafAlloc({ postgres: pool, table: `leaf_${round}` })));
      const stores = Array.from({ length: 8 }, () => new OfflineStore({ store: { postgres: pool, table: `offline_${round}` } })); // prettier-ignore
      await Promise.all(
        stores.map((store, i) => store.append('r', { msgId: `m${i}`, sender: 's', content: i, createTime: 1 })),
      );
      assert.equal((await stores[0].pull('r', { limit: 20 })).items.length, 8);
    }
  });
});

for (const [name, open] of /** @type {[string, (address: any) => any][]} */ ([
  ['promises', mysql.createPool],
  ['callbacks', mysqlCallbacks.createPool],
])) {
  describe(`in MariaDB, by a pool of ${name}`, function () {
    this.timeout(START_MS);
    /** @type {any} */
    let pool;
    before(async () => {
      pool = open({ ...(await mariadbDatabase()), connectionLimit: 8 });
    });
    after(() => (pool.promise?.() ?? pool).end());

    segments({
      store: () => ({ mysql: pool }),
      set: (maxId, step) =>
        (pool.promise?.() ?? pool).query('UPDATE leaf_alloc SET max_id = ?, step = ? WHERE biz_tag = ?', [
          maxId,
          step,
          'set',
        ]),
      migrate: () => migrateLeafAlloc({ mysql: pool }),
    });
  });
}

/**
 * @param {{ store: () => any, set: (maxId: string, step: number) => Promise<unknown>, migrate: () => Promise<void> }} database
 */
function segments({ store, set, migrate }) {
  it('gives segments that never repeat, to many users at once, in a table that it makes itself', async () => {
    const users = Array.from({ length: 6 }, () => new SegmentIds({ store: store(), tag: 'many', step: 5, timeoutMs: START_MS })); // prettier-ignore
    const seen = new Set();
    for (let round = 0; round < 5; round++) {
      const batches = await Promise.all(users.map((ids) => ids.nextBatch(7)));
      for (const id of batches.flatMap((batch) => [...batch])) {
        assert.ok(!seen.has(id), `${id}`);
        seen.add(id);
      }
    }
    assert.equal(seen.size, 210);
    for (const ids of users) await ids.close();
    await migrate();
  });

  it('computes the base from the step asked for, beyond 2^53, whatever the row says', async () => {
    const open = () => new SegmentIds({ store: store(), tag: 'set', step: 10, timeoutMs: START_MS });
    const first = open();
    assert.equal(await first.next(), '1');
    await first.close();
    await set('9007199254740993', 77);
    const second = open();
    assert.equal(await second.next(), '9007199254740993');
    assert.deepEqual([...(await second.nextBatch(2))], [9007199254740994n, 9007199254740995n]);
    await second.close();
  });

  it('tells tags apart byte by byte', async () => {
    for (const tag of ['a', 'A', 'ä', 'a ', 'a\u0308']) {
      const ids = new SegmentIds({ store: store(), tag, step: 10, timeoutMs: START_MS });
      assert.equal(await ids.next(), '1', JSON.stringify(tag));
      await ids.close();
    }
  });
}

describe('a database that is away', () => {
  it('is UNAVAILABLE, with its own error as the cause', async () => {
    const pool = new pg.Pool({ host: '127.0.0.1', port: 1, connectionTimeoutMillis: 1000 });
    const away = (/** @type {any} */ error) =>
      error.code === 'UNAVAILABLE' && error.retryable && error.cause !== undefined;
    const ids = new SegmentIds({ store: { postgres: pool }, tag: 't' });
    await assert.rejects(ids.next(), away);
    const offline = new OfflineStore({ store: { postgres: pool } });
    await assert.rejects(offline.counts('bob'), away);
    await ids.close();
    await offline.close();
    await pool.end();
  });
});
