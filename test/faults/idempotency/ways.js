// The ways to be idempotent, and naive forms, as what a worker does with one message: for the runs that kill workers. Each
// leaves a line in `effect` for each effect, in a table that would take it twice. `short`: in every run, the others in the long one.
// Only the driver that is needed is loaded: workers start often.
import { randomUUID } from 'node:crypto';
import { Lock, compareAndSet, once, sqlOnce, tokens, transition, withRowLock } from '../../../lib/idempotency/index.js';

/**
 * @typedef {object} Worker
 * @property {(key: string, mayThrow: (when: string) => void) => Promise<unknown>} handle what a message with this key is given to;
 *   `mayThrow` stands where a program may fail
 * @property {() => unknown} [close]
 */

/** @param {any} address */
async function postgres(address) {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({ ...address, max: 6 });
  return { pool, effect: (tx, key) => tx.query('INSERT INTO effect VALUES ($1)', [key]), close: () => pool.end() };
}

/** What a worker does with a token. @param {any} t @param {any} database @param {string} key @param {(when: string) => void} mayThrow */
async function withToken(t, { pool, effect }, key, mayThrow) {
  const claim = await t.claim(key, 400);
  if (claim.state === 'DONE') return claim.result;
  if (claim.state !== 'ACQUIRED' && claim.state !== 'TAKEOVER') throw new Error(claim.state);
  try {
    mayThrow('before');
    const { result } = await sqlOnce(pool, { key }, (tx) => effect(tx, key).then(() => randomUUID()));
    mayThrow('after');
    return await t.commit(claim, result);
  } catch (error) {
    await t.release(claim).catch(() => {});
    throw error;
  }
}

/** @typedef {'postgres' | 'mysql' | 'sqlite' | 'redis'} Kind */

/** @type {Record<string, { kind: Kind, naive?: true, short?: true, open: (address: any) => Promise<Worker> }>} */
export const WAYS = {
  'sqlOnce, PostgreSQL': {
    kind: 'postgres',
    short: true,
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        const { result } = await sqlOnce(pool, { key }, async (tx) => {
          mayThrow('before');
          await effect(tx, key);
          mayThrow('after');
          return randomUUID();
        });
        mayThrow('late');
        return result;
      };
      return { handle, close };
    },
  },

  'sqlOnce, MariaDB': {
    kind: 'mysql',
    async open(address) {
      const { default: mysql } = await import('mysql2/promise');
      const pool = mysql.createPool({ ...address, connectionLimit: 6 });
      const handle = async (key, mayThrow) => {
        const { result } = await sqlOnce(pool, { key }, async (tx) => {
          mayThrow('before');
          await tx.execute('INSERT INTO effect VALUES (?)', [key]);
          mayThrow('after');
          return randomUUID();
        });
        mayThrow('late');
        return result;
      };
      return { handle, close: () => pool.end() };
    },
  },

  'sqlOnce, SQLite': {
    kind: 'sqlite',
    short: true,
    async open({ path }) {
      const { default: Sqlite } = await import('better-sqlite3');
      const db = new Sqlite(path);
      db.pragma('synchronous = OFF');
      const handle = async (key, mayThrow) => {
        const { result } = await sqlOnce(db, { key }, (tx) => {
          mayThrow('before');
          tx.prepare('INSERT INTO effect VALUES (?)').run(key);
          mayThrow('after');
          return randomUUID();
        });
        mayThrow('late');
        return result;
      };
      return { handle, close: () => db.close() };
    },
  },

  'once around sqlOnce': {
    kind: 'postgres',
    short: true,
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const run = once(
        { store: { postgres: pool }, key: ({ key }) => key, leaseMs: 400, maxAttempts: 1000 },
        async ({ key, mayThrow }) => {
          mayThrow('before');
          const { result } = await sqlOnce(pool, { key }, (tx) => effect(tx, key).then(() => randomUUID()));
          mayThrow('after');
          return result;
        },
      );
      return { handle: (key, mayThrow) => run({ key, mayThrow }), close: () => run.close().then(close) };
    },
  },

  'once on Redis around sqlOnce': {
    kind: 'redis',
    short: true,
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      const run = once(
        { store: { redis }, key: ({ key }) => key, leaseMs: 400, maxAttempts: 1000 },
        async ({ key, mayThrow }) => {
          mayThrow('before');
          const { result } = await sqlOnce(pool, { key }, (tx) => effect(tx, key).then(() => randomUUID()));
          mayThrow('after');
          return result;
        },
      );
      return { handle: (key, mayThrow) => run({ key, mayThrow }), close: () => run.close().then(close) };
    },
  },

  'tokens around sqlOnce': {
    kind: 'postgres',
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const t = tokens({ store: { postgres: pool } });
      return { handle: (key, mayThrow) => withToken(t, { pool, effect }, key, mayThrow), close };
    },
  },

  'tokens on Redis around sqlOnce': {
    kind: 'redis',
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      const t = tokens({ store: { redis } });
      const handle = (key, mayThrow) => withToken(t, { pool, effect }, key, mayThrow);
      return { handle, close: () => t.close().then(close) };
    },
  },

  'Lock on Redis, fence at the row': {
    kind: 'redis',
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      /** Who has the lock may have lost it: the row takes no fence below its own, and is done once. */
      const work = async (key, fence, mayThrow) => {
        const tx = await pool.connect();
        try {
          await tx.query('BEGIN');
          mayThrow('before');
          const take = 'UPDATE item SET result = $3, fence = $2 WHERE id = $1 AND result IS NULL AND fence <= $2';
          const { rowCount } = await tx.query(take, [key, fence, randomUUID()]);
          if (rowCount === 1) await effect(tx, key);
          mayThrow('after');
          await tx.query('COMMIT');
          return (await pool.query('SELECT result FROM item WHERE id = $1', [key])).rows[0].result;
        } catch (error) {
          await tx.query('ROLLBACK');
          throw error;
        } finally {
          tx.release();
        }
      };
      const handle = async (key, mayThrow) => {
        const lock = new Lock({ store: { redis }, name: key, leaseMs: 400 });
        try {
          return await lock.with(({ fence }) => work(key, fence, mayThrow));
        } finally {
          await lock.close();
        }
      };
      return { handle, close };
    },
  },

  withRowLock: {
    kind: 'postgres',
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const handle = (key, mayThrow) =>
        withRowLock(pool, { table: 'item', key, create: true }, async (row, tx) => {
          if (row.result) return row.result;
          mayThrow('before');
          await effect(tx, key);
          const result = randomUUID();
          await tx.query('UPDATE item SET result = $1 WHERE id = $2', [result, key]);
          mayThrow('after');
          return result;
        });
      return { handle, close };
    },
  },

  compareAndSet: {
    kind: 'postgres',
    async open(address) {
      const { pool, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        mayThrow('before');
        // The effect is the change itself; a trigger of the table writes it down.
        const version = await compareAndSet(pool, { table: 'item', key, version: 1, op: key }, { result: 'set' });
        mayThrow('after');
        return version;
      };
      return { handle, close };
    },
  },

  transition: {
    kind: 'postgres',
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const moves = { pending: { pay: 'paid' }, paid: { ship: 'shipped' } };
      const handle = async (key, mayThrow) => {
        const tx = await pool.connect();
        try {
          await tx.query('BEGIN');
          const { to, repeated } = await transition(tx, { table: 'item', key, event: 'pay', moves });
          mayThrow('before');
          if (!repeated) await effect(tx, key);
          mayThrow('after');
          await tx.query('COMMIT');
          return to;
        } catch (error) {
          await tx.query('ROLLBACK');
          throw error;
        } finally {
          tx.release();
        }
      };
      return { handle, close };
    },
  },

  'check and delete': {
    kind: 'postgres',
    naive: true,
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        const { rowCount } = await pool.query('DELETE FROM item WHERE id = $1', [key]);
        mayThrow('before');
        if (rowCount === 1) await effect(pool, key);
        mayThrow('after');
        return 'taken';
      };
      return { handle, close };
    },
  },

  "the article's token set": {
    kind: 'redis',
    short: true,
    naive: true,
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      const { Redis } = await import('ioredis');
      const { plainTokens } = await import('../../../examples/idempotency/tokens/plain.js');
      const client = new Redis(redis);
      const plain = plainTokens({ redis: client });
      const handle = async (key, mayThrow) => {
        await plain.handle(key, async () => {
          mayThrow('before');
          await effect(pool, key);
          mayThrow('after');
        });
        return 'taken';
      };
      return { handle, close: () => close().then(() => client.disconnect()) };
    },
  },

  'once alone, its effect elsewhere': {
    kind: 'redis',
    naive: true,
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      const options = { store: { redis }, key: ({ key }) => key, leaseMs: 400, maxAttempts: 1000 };
      const run = once(options, async ({ key, mayThrow }) => {
        mayThrow('before');
        await effect(pool, key);
        mayThrow('after');
        return randomUUID();
      });
      return { handle: (key, mayThrow) => run({ key, mayThrow }), close: () => run.close().then(close) };
    },
  },

  'Lock alone': {
    kind: 'redis',
    naive: true,
    async open({ redis, ...address }) {
      const { pool, effect, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        const lock = new Lock({ store: { redis }, name: key, leaseMs: 400 });
        try {
          await lock.with(async () => {
            mayThrow('before');
            await effect(pool, key);
            mayThrow('after');
          });
          return 'done';
        } finally {
          await lock.close();
        }
      };
      return { handle, close };
    },
  },

  'state looked at, then changed': {
    kind: 'postgres',
    naive: true,
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        const { rows } = await pool.query('SELECT state FROM item WHERE id = $1', [key]);
        if (rows[0].state === 'paid') return 'paid';
        mayThrow('before');
        await effect(pool, key);
        mayThrow('after');
        await pool.query("UPDATE item SET state = 'paid' WHERE id = $1", [key]);
        return 'paid';
      };
      return { handle, close };
    },
  },

  'record after the effect': {
    kind: 'postgres',
    short: true,
    naive: true,
    async open(address) {
      const { pool, effect, close } = await postgres(address);
      const handle = async (key, mayThrow) => {
        const { rowCount } = await pool.query('SELECT 1 FROM record WHERE id = $1', [key]);
        if (rowCount === 1) return 'known';
        mayThrow('before');
        await effect(pool, key);
        mayThrow('after');
        await pool.query('INSERT INTO record VALUES ($1) ON CONFLICT DO NOTHING', [key]);
        return 'known';
      };
      return { handle, close };
    },
  },
};
