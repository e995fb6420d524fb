// The forms that look right and are not: each is shown to lose or to double, beside the one of this kit that does neither.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { compareAndSet, once, sqlOnce, withRowLock } from '../../lib/idempotency/index.js';
import { postgresDatabase } from '../support/postgres.js';
import { DATABASES, START_MS, gate } from './support/databases.js';

describe('naive forms', () => {
  let pool;
  before(async function () {
    this.timeout(START_MS);
    pool = new pg.Pool({ ...(await postgresDatabase()), max: 10 });
    await pool.query('CREATE TABLE token (id text PRIMARY KEY)');
    await pool.query('CREATE TABLE effect (id text)');
    await pool.query('CREATE TABLE record (id text PRIMARY KEY)');
    await sqlOnce.migrate(pool);
  });
  after(() => pool.end());
  beforeEach(() => pool.query('TRUNCATE token, effect, record'));
  const effects = async () => (await pool.query('SELECT id FROM effect')).rows.length;
  const effect = (on, id) => on.query('INSERT INTO effect VALUES ($1)', [id]);

  /** A queue that gives a message again until the handler has returned. */
  const deliver = async (handler, message, times) => {
    for (let n = 0; n < times; n++) {
      try {
        return await handler(message);
      } catch {
        // Given again.
      }
    }
    return undefined;
  };

  it('check and delete the token (seed 000): a handler that throws loses the message', async () => {
    await pool.query(`INSERT INTO token VALUES ('m')`);
    let fails = 1;
    const work = async () => {
      if (fails-- > 0) throw new Error('database away');
      await effect(pool, 'm');
    };
    const naive = async (id) => {
      const { rowCount } = await pool.query('DELETE FROM token WHERE id = $1', [id]);
      if (rowCount === 1) await work();
    };
    await deliver(naive, 'm', 3);
    assert.equal(await effects(), 0, 'lost: the token was gone before the work was done');

    fails = 1;
    const handle = once({ store: { postgres: pool }, key: (id) => id }, work);
    await deliver(handle, 'm', 3);
    assert.equal(await effects(), 1);
  });

  it('record after the effect (seed 003, 6): a crash between them, or a concurrent one, doubles', async () => {
    const bothLooked = gate();
    let looked = 0;
    const naive = async (id) => {
      const { rowCount } = await pool.query('SELECT 1 FROM record WHERE id = $1', [id]);
      if (++looked === 2) bothLooked.open();
      await bothLooked.opened;
      if (rowCount > 0) return;
      await effect(pool, id);
      await pool.query('INSERT INTO record VALUES ($1) ON CONFLICT DO NOTHING', [id]);
    };
    await Promise.all([naive('m'), naive('m')]);
    assert.equal(await effects(), 2, 'doubled');

    const safe = (id) => sqlOnce(pool, { key: id }, (tx) => effect(tx, id).then(() => {}));
    await Promise.all([safe('m2'), safe('m2')]);
    assert.equal(await effects(), 3);
  });

  it('record before the effect, in a transaction of its own: an effect that fails is lost', async () => {
    let fails = 1;
    const work = async (on, id) => {
      if (fails-- > 0) throw new Error('no');
      await effect(on, id);
    };
    const naive = async (id) => {
      const { rowCount } = await pool.query('INSERT INTO record VALUES ($1) ON CONFLICT DO NOTHING', [id]);
      if (rowCount === 1) await work(pool, id);
    };
    await deliver(naive, 'm', 3);
    assert.equal(await effects(), 0, 'lost');

    fails = 1;
    await deliver((id) => sqlOnce(pool, { key: id }, (tx) => work(tx, id)), 'before', 3);
    assert.equal(await effects(), 1);
  });

  it('INSERT … ON CONFLICT DO NOTHING RETURNING gives the loser no row: what it waited for is read by another statement', async () => {
    const [first, second] = [await pool.connect(), await pool.connect()];
    try {
      await first.query('BEGIN');
      await first.query(`INSERT INTO record VALUES ('m')`);
      // Both parts of one statement see the database as it was when the statement began, before the winner committed.
      const one = second.query(`WITH ours AS (INSERT INTO record VALUES ('m') ON CONFLICT DO NOTHING RETURNING id)
        SELECT id FROM ours UNION ALL SELECT id FROM record WHERE id = 'm'`);
      await waitsForLock(pool, second.processID);
      await first.query('COMMIT');
      assert.deepEqual((await one).rows, [], 'neither inserted nor found');
    } finally {
      first.release();
      second.release();
    }
    const [started, go] = [gate(), gate()];
    const winner = sqlOnce(pool, { key: 'seen' }, async () => (started.open(), await go.opened, 'won'));
    await started.opened;
    const loser = sqlOnce(pool, { key: 'seen' }, () => 'lost');
    go.open();
    await winner;
    assert.deepEqual(await loser, { result: 'won', repeated: true });
  });

  it('a conflict without its target: another unique column is taken for a repeat, and the message is lost', async () => {
    const db = new Sqlite(':memory:');
    db.exec('CREATE TABLE message (id TEXT PRIMARY KEY, seq INT UNIQUE)');
    db.exec(`INSERT INTO message VALUES ('a', 1)`);
    const { changes } = db.prepare(`INSERT INTO message VALUES ('b', 1) ON CONFLICT DO NOTHING`).run();
    assert.equal(changes, 0, 'looks like a repeat of b');
    assert.equal(db.prepare('INSERT OR IGNORE INTO message (id, seq) VALUES (?, 1)').run('c').changes, 0);

    db.exec(
      'CREATE TABLE odd (key TEXT PRIMARY KEY, fingerprint TEXT, result TEXT, at TEXT, lane INT DEFAULT 1 UNIQUE)',
    );
    await sqlOnce(db, { table: 'odd', key: 'a' }, () => 1);
    await assert.rejects(
      sqlOnce(db, { table: 'odd', key: 'b' }, () => 2),
      { code: 'SQLITE_CONSTRAINT_UNIQUE' },
    );
    db.close();
  });

  it('SELECT … FOR UPDATE of a row that is missing locks nothing', async () => {
    await pool.query('CREATE TABLE account (id text PRIMARY KEY, n int NOT NULL DEFAULT 0)');
    const [first, second] = [await pool.connect(), await pool.connect()];
    try {
      for (const one of [first, second]) {
        await one.query('BEGIN');
        assert.equal((await one.query(`SELECT * FROM account WHERE id = 'x' FOR UPDATE`)).rowCount, 0);
      }
      // Both are past the lock, and both think that they are alone.
      for (const one of [first, second]) await one.query('ROLLBACK');
    } finally {
      first.release();
      second.release();
    }
    let inside = 0;
    const work = async (row, tx) => {
      assert.equal(++inside, 1);
      await tx.query(`UPDATE account SET n = $1 WHERE id = 'x'`, [row.n + 1]);
      inside--;
    };
    await Promise.all([1, 2, 3].map(() => withRowLock(pool, { table: 'account', key: 'x', create: true }, work)));
    assert.equal((await pool.query('SELECT n FROM account')).rows[0].n, 3);
  });

  it('a lock without a fence: a holder that was stopped writes when it wakes', async () => {
    await pool.query(`CREATE TABLE stock (id text PRIMARY KEY, n int, fence bigint NOT NULL DEFAULT 0)`);
    await pool.query(`INSERT INTO stock VALUES ('naive', 0), ('fenced', 0)`);
    const store = { postgres: pool };
    // The first one is stopped: it never hears that its lease ran out.
    const [started, wake] = [gate(), gate()];
    const write = (n, fence) => [
      pool.query(`UPDATE stock SET n = $1 WHERE id = 'naive'`, [n]),
      pool.query(`UPDATE stock SET n = $1, fence = $2 WHERE id = 'fenced' AND fence <= $2`, [n, fence]),
    ];
    const stopped = once({ store, key: () => 'stock' }, async (_, { fence }) => {
      started.open();
      await wake.opened;
      await Promise.all(write(1, fence));
    });
    const late = stopped('m');
    await started.opened;
    await pool.query(`UPDATE everyonce_claims SET lease_until = now() - interval '1 second' WHERE key = 'once::stock'`);
    await once({ store, key: () => 'stock' }, (_, { fence }) => Promise.all(write(2, fence)).then(() => {}))('m');
    wake.open();
    await assert.rejects(late, { code: 'FENCED' });
    const { rows } = await pool.query('SELECT id, n FROM stock ORDER BY id');
    assert.deepEqual(rows, [
      { id: 'fenced', n: 2 },
      { id: 'naive', n: 1 },
    ]);
  });

  it('a version alone: a retry after a lost answer looks like a conflict', async () => {
    await pool.query('CREATE TABLE doc (id int PRIMARY KEY, version int NOT NULL, op text, n int)');
    await pool.query('INSERT INTO doc VALUES (1, 1, NULL, 0)');
    const naive = () => pool.query('UPDATE doc SET n = 1, version = version + 1 WHERE id = 1 AND version = 1');
    await naive(); // and the answer is lost
    assert.equal((await naive()).rowCount, 0, 'somebody else? no: this very change');

    const change = { table: 'doc', key: 1, version: 2, op: 'edit-7' };
    assert.equal(await compareAndSet(pool, change, { n: 2 }), 3);
    assert.equal(await compareAndSet(pool, change, { n: 2 }), 3);
  });

  it('COMMIT after an error that was caught: PostgreSQL rolls back and calls it no error', async () => {
    const client = await pool.connect();
    await client.query('BEGIN');
    await effect(client, 'm');
    await client.query('SELECT nonsense').catch(() => {});
    await client.query('COMMIT');
    client.release();
    assert.equal(await effects(), 0, 'nothing is there, and nobody was told');
    const work = async (tx) => {
      await effect(tx, 'm');
      await tx.query('SELECT nonsense').catch(() => {});
    };
    await assert.rejects(sqlOnce(pool, { key: 'caught' }, work));
  });

  describe('SQLite', () => {
    let directory;
    let open;
    const all = [];
    before(() => {
      directory = mkdtempSync(join(tmpdir(), 'everyonce-sqlite-'));
      open = (options) => {
        const db = new Sqlite(join(directory, 'test.db'), options);
        all.push(db);
        return db;
      };
      open().exec(
        'PRAGMA journal_mode = WAL; CREATE TABLE counter (id INT PRIMARY KEY, n INT); INSERT INTO counter VALUES (1, 0)',
      );
    });
    after(() => {
      for (const db of all) db.close();
      rmSync(directory, { recursive: true, force: true });
    });

    it('BEGIN that reads first: a write in between makes it fail at once, however long it would wait', async () => {
      const [a, b] = [open({ timeout: 60_000 }), open()];
      a.exec('BEGIN');
      a.prepare('SELECT n FROM counter').get();
      b.prepare('UPDATE counter SET n = n + 1').run();
      assert.throws(() => a.prepare('UPDATE counter SET n = n + 1').run(), { code: 'SQLITE_BUSY_SNAPSHOT' });
      a.exec('ROLLBACK');

      const add = (db) =>
        withRowLock(db, { table: 'counter', key: 1 }, async (row, tx) => {
          await Promise.resolve();
          tx.prepare('UPDATE counter SET n = ?').run(row.n + 1);
        });
      await Promise.all([add(a), add(b), add(a), add(b)]);
      assert.equal(b.prepare('SELECT n FROM counter').get().n, 5);
    });

    it('transaction() of the driver with an asynchronous function: refused by it, where it would commit too early', () => {
      assert.throws(() => open().transaction(async () => {})(), TypeError);
    });

    it('synchronous work is never mixed with statements of others on the same connection', async () => {
      const db = open();
      await sqlOnce.migrate(db);
      db.exec('CREATE TABLE log (line TEXT)');
      const other = (async () => {
        for (let n = 0; n < 50; n++) {
          assert.equal(db.inTransaction, false);
          db.prepare('INSERT INTO log VALUES (?)').run(`other ${n}`);
          await undefined;
        }
      })();
      const failing = Array.from({ length: 20 }, (_, n) =>
        sqlOnce(db, { key: `sync-${n}` }, (tx) => {
          tx.prepare('INSERT INTO log VALUES (?)').run('ours');
          throw new Error('rolled back');
        }),
      );
      for (const { status } of await Promise.allSettled(failing)) assert.equal(status, 'rejected');
      await other;
      const lines = db.prepare('SELECT line, count(*) AS n FROM log GROUP BY line = ?').all('ours');
      assert.deepEqual(
        lines.map(({ n }) => n),
        [50],
      );
    });

    it('does not stop the process while another connection of it has the write lock', async () => {
      const [a, b] = [open(), open({ timeout: 60_000 })];
      const [started, go] = [gate(), gate()];
      const first = sqlOnce(a, { key: 'slow' }, async () => {
        started.open();
        await go.opened;
      });
      await started.opened;
      const second = sqlOnce(b, { key: 'fast' }, () => 2);
      // Were the second one's wait in SQLite, this would not be reached for a minute.
      setImmediate(() => go.open());
      await first;
      assert.equal((await second).result, 2);
      assert.equal(b.pragma('busy_timeout', { simple: true }), 60_000);
    });
  });

  it('MySQL: a collation that merges keys is refused, not obeyed', async function () {
    this.timeout(START_MS);
    const db = await DATABASES['mysql2 promise pool'].open();
    try {
      const columns = '`key` VARCHAR(100) PRIMARY KEY, fingerprint TEXT, result TEXT, at DATETIME(3)';
      await db.rows(`CREATE TABLE merged (${columns}) COLLATE utf8mb4_general_ci`);
      await sqlOnce(db.client, { table: 'merged', key: 'Order-1' }, () => 1);
      const other = sqlOnce(db.client, { table: 'merged', key: 'order-1' }, () => 2);
      await assert.rejects(other, { code: 'INVALID_ARGUMENT', option: 'table' });
    } finally {
      await db.close();
    }
  });
});

/** Until the server says that a backend waits for a lock. */
async function waitsForLock(pool, pid) {
  const waiting = async () =>
    (await pool.query(`SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`, [pid])).rowCount ===
    1;
  while (!(await waiting())) await new Promise((resolve) => setImmediate(resolve));
}
