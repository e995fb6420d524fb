// sqlOnce on real databases, and the naive forms that its rules are there for.
import assert from 'node:assert/strict';
import { sqlOnce } from '../../lib/idempotency/index.js';
import { DATABASES, START_MS, gate } from './support/databases.js';

for (const [title, { kind, pool, open }] of Object.entries(DATABASES)) {
  describe(`sqlOnce on ${title}`, () => {
    /** @type {import('./support/databases.js').Opened} */
    let db;
    before(async function () {
      this.timeout(START_MS);
      db = await open();
      await sqlOnce.migrate(db.client);
      await sqlOnce.migrate(db.client);
      await db.rows('CREATE TABLE effect (name VARCHAR(100) NOT NULL)');
    });
    after(() => db.close());
    afterEach(() => db.rows('DELETE FROM effect'));

    const effects = async () => (await db.rows('SELECT name FROM effect')).map(({ name }) => name);
    const effect = (tx, name) => db.inside(tx, `INSERT INTO effect VALUES ('${name}')`);

    it('works once, and gives the first result to every repeat', async () => {
      const work = (n) => async (tx) => {
        await effect(tx, 'paid');
        return { n, text: 'ü', at: new Date(0), left: undefined };
      };
      const first = await sqlOnce(db.client, { key: 'order-1' }, work(1));
      const repeat = await sqlOnce(db.client, { key: 'order-1' }, work(2));
      assert.deepEqual(first, { result: { n: 1, text: 'ü', at: '1970-01-01T00:00:00.000Z' }, repeated: false });
      assert.deepEqual(repeat, { ...first, repeated: true });
      assert.deepEqual(await effects(), ['paid']);
      for (const result of [null, undefined, 0, '', false, [1]]) {
        const key = `kinds-${String(result)}`;
        await sqlOnce(db.client, { key }, () => result);
        assert.deepEqual(await sqlOnce(db.client, { key }, () => 'no'), { result, repeated: true });
      }
    });

    it('rolls all back where the work throws, and passes the error on', async () => {
      const failure = new Error('no stock');
      const failing = async (tx) => {
        await effect(tx, 'half');
        throw failure;
      };
      await assert.rejects(sqlOnce(db.client, { key: 'throws' }, failing), (error) => error === failure);
      assert.deepEqual(await effects(), []);
      const next = await sqlOnce(db.client, { key: 'throws' }, (tx) => effect(tx, 'whole').then(() => 'done'));
      assert.deepEqual(next, { result: 'done', repeated: false });
      assert.deepEqual(await effects(), ['whole']);
    });

    it('lets 20 calls at once work once, and all get its result', async () => {
      const calls = Array.from({ length: 20 }, (_, n) =>
        sqlOnce(db.client, { key: 'race' }, (tx) => effect(tx, 'one').then(() => n)),
      );
      const answers = await Promise.all(calls);
      assert.equal(answers.filter(({ repeated }) => !repeated).length, 1);
      assert.equal(new Set(answers.map(({ result }) => result)).size, 1);
      assert.deepEqual(await effects(), ['one']);
    });

    it('lets the one that waited work, where the first is rolled back', async () => {
      const other = await db.another();
      const [started, go] = [gate(), gate()];
      const first = sqlOnce(db.client, { key: 'loser' }, async (tx) => {
        await effect(tx, 'lost');
        started.open();
        await go.opened;
        throw new Error('rolled back');
      });
      await started.opened;
      const second = sqlOnce(other, { key: 'loser' }, (tx) => effect(tx, 'won').then(() => 2));
      go.open();
      await assert.rejects(first, /rolled back/);
      assert.deepEqual(await second, { result: 2, repeated: false });
      assert.deepEqual(await effects(), ['won']);
    });

    it('tells keys apart that differ in case, accents or trailing spaces alone', async () => {
      for (const key of ['a', 'A', 'á', 'a ', 'ａ', `'; DROP TABLE effect; --`]) {
        assert.equal((await sqlOnce(db.client, { key }, () => key)).repeated, false, key);
        assert.equal((await sqlOnce(db.client, { key }, () => '')).result, key);
      }
    });

    it('refuses the same key with another payload', async () => {
      const ask = (fingerprint) => sqlOnce(db.client, { key: 'print', fingerprint }, () => 1);
      await ask('{"a":1}');
      assert.equal((await ask(Buffer.from('{"a":1}'))).repeated, true);
      await assert.rejects(ask('{"a":2}'), { code: 'MISMATCH', key: 'print', retryable: false });
      assert.equal((await ask(undefined)).repeated, true);
    });

    it('stores nothing of a result that can not be kept', async () => {
      const circle = {};
      circle.self = circle;
      for (const bad of [1n, circle, () => {}, Symbol('x'), 'x'.repeat(2 ** 20)]) {
        const work = (tx) => effect(tx, 'bad').then(() => bad);
        await assert.rejects(sqlOnce(db.client, { key: 'bad' }, work), { code: 'BAD_RESULT' });
      }
      assert.deepEqual(await effects(), []);
    });

    it('quotes names, takes a schema apart, and has columns of other names', async () => {
      const table = kind === 'mysql' ? 'we`ird "x"' : 'we"ird `x`';
      const columns = { key: 'select', result: 'a"b`c', at: 'from', fingerprint: 'f p' };
      await sqlOnce.migrate(db.client, { table, columns });
      for (const repeated of [false, true]) {
        const answer = await sqlOnce(db.client, { table, columns, key: 'k', fingerprint: 'f' }, () => 7);
        assert.deepEqual(answer, { result: 7, repeated });
      }
      assert.equal((await sqlOnce(db.client, { table, columns, key: 'k', result: 'not read' }, () => 7)).result, 7);
      const schema = { postgres: 'public', sqlite: 'main' }[kind];
      if (schema) {
        const qualified = { table: `${schema}.everyonce_once`, key: 'schema' };
        assert.equal((await sqlOnce(db.client, qualified, () => 1)).repeated, false);
        assert.equal((await sqlOnce(db.client, { key: 'schema' }, () => 1)).repeated, true);
      }
    });

    it('refuses what it can not take, before it asks the database', async () => {
      const bad = [
        {},
        { key: '' },
        { key: 'x'.repeat(513) },
        { key: 'a\0' },
        { key: '\ud800' },
        { key: {} },
        { key: 1.5 },
      ];
      for (const options of bad) {
        await assert.rejects(
          sqlOnce(db.client, options, () => 1),
          { code: 'INVALID_ARGUMENT', option: 'key' },
        );
      }
      for (const table of ['', 'x'.repeat(64), 5, 'a.b.c.d', ['a\0']]) {
        await assert.rejects(
          sqlOnce(db.client, { key: 'k', table }, () => 1),
          { code: 'INVALID_ARGUMENT', option: 'table' },
        );
      }
      await assert.rejects(sqlOnce(db.client, { key: 'k' }), { code: 'INVALID_ARGUMENT', option: 'work' });
      await assert.rejects(
        sqlOnce({}, { key: 'k' }, () => 1),
        { code: 'INVALID_ARGUMENT', option: 'client' },
      );
      await assert.rejects(
        sqlOnce(db.client, { key: 'k', fingerprint: {} }, () => 1),
        { option: 'fingerprint' },
      );
      await assert.rejects(
        sqlOnce(db.client, { key: 'k', retries: -1 }, () => 1),
        { option: 'retries' },
      );
    });

    it('refuses a connection that is inside a transaction, and to wait for itself', async () => {
      const nested = (tx) => sqlOnce(tx, { key: 'inner' }, () => 1);
      await assert.rejects(sqlOnce(db.client, { key: 'outer' }, nested), { code: 'IN_TRANSACTION' });
      if (pool) return;
      await db.inside(db.client, 'BEGIN');
      await effect(db.client, 'of the application');
      await assert.rejects(
        sqlOnce(db.client, { key: 'outer' }, () => 1),
        { code: 'IN_TRANSACTION' },
      );
      await db.inside(db.client, 'ROLLBACK');
      assert.deepEqual(await effects(), [], 'the open transaction was not committed by the way');
      assert.equal((await sqlOnce(db.client, { key: 'outer' }, () => 1)).repeated, false);
    });

    it('takes what was begun inside and goes on afterwards for outside', async () => {
      const go = gate();
      let later;
      await sqlOnce(db.client, { key: 'begins' }, () => {
        later = go.opened.then(() => sqlOnce(db.client, { key: 'goes on' }, () => 1));
      });
      go.open();
      assert.deepEqual(await later, { result: 1, repeated: false });
    });

    it('tells work that has ended its transaction by itself', async () => {
      const work = async (tx) => {
        await effect(tx, 'x');
        await db.inside(tx, 'ROLLBACK');
      };
      await assert.rejects(sqlOnce(db.client, { key: 'ended' }, work));
      assert.deepEqual(await effects(), []);
      assert.equal((await sqlOnce(db.client, { key: 'ended' }, () => 1)).repeated, false);
    });

    it('tries again what lost to another transaction, and says when that was in vain', async () => {
      const lost = { postgres: { code: '40001' }, mysql: { errno: 1213 }, sqlite: { code: 'SQLITE_BUSY_SNAPSHOT' } }[
        kind
      ];
      let runs = 0;
      const work = async (tx) => {
        await effect(tx, `run ${++runs}`);
        if (runs < 3) throw Object.assign(new Error('lost'), lost);
        return runs;
      };
      assert.deepEqual(await sqlOnce(db.client, { key: 'again' }, work), { result: 3, repeated: false });
      assert.deepEqual(await effects(), ['run 3']);
      const hopeless = () => {
        throw Object.assign(new Error('lost'), lost);
      };
      await assert.rejects(sqlOnce(db.client, { key: 'vain', retries: 2 }, hopeless), {
        code: 'CONTENTION',
        attempts: 3,
        retryable: true,
      });
    });

    if (pool) {
      it('survives a connection that is cut in the middle of the work', async () => {
        const cut = { postgres: 'SELECT pg_terminate_backend(pg_backend_pid())', mysql: 'KILL CONNECTION_ID()' }[kind];
        const work = async (tx) => {
          await effect(tx, 'half');
          await db.inside(tx, cut);
        };
        await assert.rejects(sqlOnce(db.client, { key: 'cut' }, work));
        assert.deepEqual(await effects(), []);
        // As many as the pool has connections: none of them is a broken one.
        const calls = Array.from({ length: 12 }, (_, n) => sqlOnce(db.client, { key: `cut-${n}` }, () => n));
        assert.equal((await Promise.all(calls)).length, 12);
        assert.equal((await sqlOnce(db.client, { key: 'cut' }, () => 1)).repeated, false);
      });
    }

    it('deletes keys in slices, when they are old enough', async () => {
      const table = 'forgetful';
      await sqlOnce.migrate(db.client, table);
      for (const key of ['1', '2', '3']) await sqlOnce(db.client, { table, key }, () => 1);
      assert.equal(await sqlOnce.forget(db.client, { table, olderThanMs: 3_600_000 }), 0);
      const past = { postgres: `now() - interval '2 hours'`, mysql: 'now() - interval 2 hour', sqlite: `'2020-01-01'` };
      await db.rows(`UPDATE forgetful SET at = ${past[kind]}`);
      assert.equal(await sqlOnce.forget(db.client, { table, olderThanMs: 3_600_000, limit: 2 }), 2);
      assert.equal(await sqlOnce.forget(db.client, { table, olderThanMs: 3_600_000, limit: 2 }), 1);
      assert.equal((await sqlOnce(db.client, { table, key: '1' }, () => 1)).repeated, false);
    });
  });
}
