// compareAndSet, withRowLock and transition on real databases.
import assert from 'node:assert/strict';
import { compareAndSet, sqlOnce, transition, withRowLock } from '../../lib/idempotency/index.js';
import { repeatedMove } from '../../lib/idempotency/transition.js';
import { DATABASES, START_MS, gate } from './support/databases.js';

const moves = {
  pending: { pay: 'paid', cancel: 'cancelled' },
  paid: { ship: 'shipped' },
  shipped: { deliver: 'delivered' },
};

for (const [title, { kind, pool, open }] of Object.entries(DATABASES)) {
  describe(`rows of the application on ${title}`, () => {
    /** @type {import('./support/databases.js').Opened} */
    let db;
    before(async function () {
      this.timeout(START_MS);
      db = await open();
      const columns = `id VARCHAR(40) NOT NULL PRIMARY KEY, version INT NOT NULL DEFAULT 1, op VARCHAR(40), n INT NOT NULL DEFAULT 0`;
      await db.rows(
        `CREATE TABLE item (${columns}, state VARCHAR(20) NOT NULL DEFAULT 'pending', tag VARCHAR(40) UNIQUE)`,
      );
    });
    after(() => db.close());
    beforeEach(async () => {
      await db.rows('DELETE FROM item');
      await db.rows(`INSERT INTO item (id) VALUES ('a')`);
    });
    const row = async (id = 'a') => (await db.rows(`SELECT * FROM item WHERE id = '${id}'`))[0];

    describe('compareAndSet', () => {
      const set = (options, changes) => compareAndSet(db.client, { table: 'item', key: 'a', ...options }, changes);

      it('changes what was not changed meanwhile, and says STALE with the current version else', async () => {
        assert.equal(await set({ version: 1 }, { n: 5 }), 2);
        await assert.rejects(set({ version: 1 }, { n: 6 }), { code: 'STALE', current: 2, key: 'a' });
        assert.equal(await set({ version: '2' }, { n: 7 }), '3');
        assert.equal(await set({ version: 3n }, { n: 8 }), 4n);
        assert.equal((await row()).n, 8);
        await assert.rejects(set({ version: 1, key: 'none' }, {}), { code: 'NOT_FOUND' });
      });

      it('knows its own change again by its operation id, when the answer was lost', async () => {
        assert.equal(await set({ version: 1, op: 'op-1' }, { n: 1 }), 2);
        assert.equal(await set({ version: 1, op: 'op-1' }, { n: 1 }), 2);
        await assert.rejects(set({ version: 1, op: 'op-2' }, { n: 2 }), { code: 'STALE', current: 2 });
        assert.deepEqual([(await row()).n, (await row()).version], [1, 2]);
      });

      it('lets one of many win each version', async () => {
        const answers = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => set({ version: 1 }, { n })));
        assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
        assert.equal((await row()).version, 2);
      });

      it('works inside a transaction of the application, and is rolled back with it', async () => {
        const failed = sqlOnce.migrate(db.client).then(() =>
          sqlOnce(db.client, { key: 'cas' }, async (tx) => {
            assert.equal(await compareAndSet(tx, { table: 'item', key: 'a', version: 1 }, { n: 1 }), 2);
            throw new Error('no');
          }),
        );
        await assert.rejects(failed, /^Error: no$/);
        assert.equal((await row()).version, 1);
      });

      it('refuses what it can not take', async () => {
        for (const changes of [null, [], { version: 3 }, { id: 'b' }, { n: undefined }]) {
          await assert.rejects(set({ version: 1 }, changes), { code: 'INVALID_ARGUMENT' });
        }
        for (const version of [undefined, 1.5, '1; DROP TABLE item', null]) {
          await assert.rejects(set({ version }, { n: 1 }), { code: 'INVALID_ARGUMENT', option: 'version' });
        }
        await assert.rejects(set({ version: 1 }, { 'n = 9, tag': 1 }), /n = 9, tag/);
        assert.equal((await row()).n, 0);
      });
    });

    describe('withRowLock', () => {
      const lock = (options, work, client = db.client) =>
        withRowLock(client, { table: 'item', key: 'a', ...options }, work);

      it('reads, decides and writes alone: no increment of 20 is lost', async () => {
        const add = async (found, tx) => db.inside(tx, `UPDATE item SET n = ${found.n + 1} WHERE id = 'a'`);
        await Promise.all(Array.from({ length: 20 }, () => lock({}, add)));
        assert.equal((await row()).n, 20);
      });

      it('makes the row where it is missing, once, and never locks nothing', async () => {
        await assert.rejects(
          lock({ key: 'new' }, () => 1),
          { code: 'NOT_FOUND' },
        );
        const add = async (found, tx) => db.inside(tx, `UPDATE item SET n = ${found.n + 1} WHERE id = 'new'`);
        await Promise.all(Array.from({ length: 12 }, () => lock({ key: 'new', create: () => ({ n: 100 }) }, add)));
        assert.equal((await row('new')).n, 112);
        assert.equal((await lock({ key: 'bare', create: true }, (found) => found)).n, 0);
      });

      it('takes the new row back where the work throws', async () => {
        const work = () => {
          throw new Error('no');
        };
        await assert.rejects(lock({ key: 'new', create: true }, work), /^Error: no$/);
        assert.equal(await row('new'), undefined);
      });

      it('does not take the conflict of another unique column for its own row', async () => {
        await db.rows(`UPDATE item SET tag = 'taken'`);
        await assert.rejects(lock({ key: 'new', create: { tag: 'taken' }, retries: 1 }, () => 1));
        assert.equal((await row()).n, 0);
        assert.equal(await row('new'), undefined);
      });

      it('refuses a connection that is inside a transaction', async () => {
        await assert.rejects(
          lock({}, (_, tx) => lock({}, () => 1, tx)),
          { code: 'IN_TRANSACTION' },
        );
        if (pool) return;
        await db.inside(db.client, 'BEGIN');
        await assert.rejects(
          lock({}, () => 1),
          { code: 'IN_TRANSACTION' },
        );
        await db.inside(db.client, 'ROLLBACK');
      });

      if (kind === 'postgres') {
        it('tells when the work caught an SQL error, after which COMMIT rolls back without an error', async () => {
          const work = async (_, tx) => {
            await tx.query(`UPDATE item SET n = 9 WHERE id = 'a'`);
            await tx.query('SELECT nonsense').catch(() => {});
            return 'all well';
          };
          await assert.rejects(lock({}, work), { code: 'ROLLED_BACK' });
          assert.equal((await row()).n, 0);
        });
      }
    });

    describe('transition', () => {
      const on = (event, options) => transition(db.client, { table: 'item', key: 'a', event, moves, ...options });

      it('moves on by an event; the same event again is none, also later', async () => {
        assert.deepEqual(await on('pay', { set: { n: 4 } }), { from: 'pending', to: 'paid', repeated: false });
        assert.deepEqual(await on('pay', { set: { n: 5 } }), { from: 'pending', to: 'paid', repeated: true });
        await on('ship');
        await on('deliver');
        for (const event of ['pay', 'ship', 'deliver']) assert.equal((await on(event)).repeated, true, event);
        assert.deepEqual([(await row()).state, (await row()).n], ['delivered', 4]);
      });

      it('refuses an event that the state does not allow', async () => {
        await assert.rejects(on('ship'), { code: 'IMPOSSIBLE', state: 'pending', event: 'ship' });
        await on('cancel');
        await assert.rejects(on('pay'), { code: 'IMPOSSIBLE', state: 'cancelled' });
        await assert.rejects(on('pay', { key: 'none' }), { code: 'NOT_FOUND' });
        await assert.rejects(on('fly'), { code: 'INVALID_ARGUMENT', option: 'event' });
        for (const wrong of [undefined, {}, { a: 1 }, { a: { b: 2 } }]) {
          await assert.rejects(on('pay', { moves: wrong }), { code: 'INVALID_ARGUMENT' });
        }
      });

      it('lets one of two opposite events win, and one of many equal ones', async () => {
        const other = await db.another();
        const answers = await Promise.allSettled(
          Array.from({ length: 12 }, (_, n) =>
            transition(n % 2 ? other : db.client, { table: 'item', key: 'a', event: n % 3 ? 'pay' : 'cancel', moves }),
          ),
        );
        const moved = answers.filter(({ value }) => value?.repeated === false);
        assert.equal(moved.length, 1);
        const refused = answers.filter(({ reason }) => reason);
        for (const { reason } of refused) assert.equal(reason.code, 'IMPOSSIBLE');
        assert.equal(refused.length, moved[0].value.to === 'paid' ? 4 : 8);
      });

      it('is rolled back with the transaction that it is part of', async () => {
        const work = async (_, tx) => {
          assert.equal((await transition(tx, { table: 'item', key: 'a', event: 'pay', moves })).to, 'paid');
          throw new Error('no');
        };
        await assert.rejects(withRowLock(db.client, { table: 'item', key: 'a' }, work), /^Error: no$/);
        assert.equal((await row()).state, 'pending');
      });
    });
  });
}

describe('transition: what counts as a repeat', () => {
  const list = (table) =>
    Object.entries(table).flatMap(([from, events]) =>
      Object.entries(events).map(([event, to]) => ({ from, event, to })),
    );

  it('the state to which the event leads, and those that are not reached without it', () => {
    assert.deepEqual(repeatedMove(list(moves), 'pay', 'paid'), { from: 'pending', to: 'paid' });
    assert.deepEqual(repeatedMove(list(moves), 'pay', 'delivered'), { from: 'pending', to: 'paid' });
    assert.equal(repeatedMove(list(moves), 'ship', 'paid'), undefined);
  });

  it('not a state to which another way leads: who cancels before paying has not paid', () => {
    const shop = list({ pending: { pay: 'paid', cancel: 'cancelled' }, paid: { cancel: 'cancelled' } });
    assert.equal(repeatedMove(shop, 'pay', 'cancelled'), undefined);
    assert.deepEqual(repeatedMove(shop, 'cancel', 'cancelled'), { from: 'pending', to: 'cancelled' });
  });

  it('with cycles: what can not be known is no repeat, unless the initial state is named', () => {
    const door = list({ shut: { open: 'ajar' }, ajar: { push: 'wide' }, wide: { close: 'shut' } });
    assert.equal(repeatedMove(door, 'open', 'wide'), undefined);
    assert.deepEqual(repeatedMove(door, 'open', 'wide', 'shut'), { from: 'shut', to: 'ajar' });
  });
});

describe('two connections, in order', () => {
  for (const title of ['pg Pool', 'mysql2 promise pool', 'better-sqlite3']) {
    it(`${title}: who comes second sees what the first wrote`, async function () {
      this.timeout(START_MS);
      const db = await DATABASES[title].open();
      try {
        await db.rows('CREATE TABLE account (id VARCHAR(20) PRIMARY KEY, n INT NOT NULL DEFAULT 0)');
        const other = await db.another();
        const [started, go] = [gate(), gate()];
        const lock = { table: 'account', key: 'x', create: true };
        const first = withRowLock(db.client, lock, async (row, tx) => {
          started.open();
          await go.opened;
          await db.inside(tx, `UPDATE account SET n = 1 WHERE id = 'x'`);
          return row.n;
        });
        await started.opened;
        const second = withRowLock(other, lock, (row) => row.n);
        go.open();
        assert.deepEqual([await first, await second], [0, 1]);
      } finally {
        await db.close();
      }
    });
  }
});
