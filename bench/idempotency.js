// What a message costs when its effect is made idempotent, beside a bare INSERT of the same row in a transaction of its own.
// Servers are started for it, with fsync off: what is compared is work, and not the disk.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { Lock, compareAndSet, once, sqlOnce, tokens, transition, withRowLock } from '../lib/idempotency/index.js';
import { mariadbDatabase } from '../test/support/mariadb.js';
import { postgresDatabase } from '../test/support/postgres.js';
import { redisCluster, redisServer } from '../test/support/redis.js';

/** @typedef {{ messages: number, atOnce: number }} Load */
/** @typedef {Record<string, (n: number) => unknown>} Ways by name; the first one is the bare one */

/** Prints what each way of each database costs. @param {number} messages @param {number} atOnce */
export async function measureIdempotency(messages, atOnce) {
  const load = { messages, atOnce };
  const what = 'wall time per message, beside the bare insert, CPU of this process';
  console.log(`\n${messages} messages, ${atOnce} at once; ${what}`);
  await onPostgres(load);
  await onMariadb(load);
  await onSqlite(load);
}

/** @param {(n: number) => unknown} handle @param {Load} load @returns {Promise<{ us: number, cpuUs: number }>} per message */
async function measure(handle, { messages, atOnce }) {
  let next = 0;
  const worker = async () => {
    for (let n = next++; n < messages; n = next++) await handle(n);
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: atOnce }, worker));
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { us: (ms * 1000) / messages, cpuUs: (user + system) / messages };
}

/** @param {string} title @param {Load} load @param {Ways} ways @param {number} [bareUs] @returns {Promise<number>} the bare one's */
async function compare(title, load, ways, bareUs) {
  let bare = bareUs;
  for (const [name, handle] of Object.entries(ways)) {
    const { us, cpuUs } = await measure(handle, load);
    bare ??= us;
    const figures = `${us.toFixed(0).padStart(6)} µs  ×${(us / bare).toFixed(1).padStart(5)}  ${cpuUs.toFixed(0).padStart(5)} µs`;
    console.log(`${title.padEnd(15)} ${name.padEnd(34)} ${figures}`);
  }
  return bare ?? 0;
}

/** @param {Load} load */
async function onPostgres(load) {
  const pool = new pg.Pool({ ...(await postgresDatabase()), max: load.atOnce * 2 });
  await sqlOnce.migrate(pool);
  await pool.query(`CREATE TABLE effect (id int); CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL DEFAULT 1, op text,
    state text NOT NULL DEFAULT 'pending')`);
  await pool.query('INSERT INTO item (id) SELECT generate_series(0, $1::int)', [load.messages]);
  const moves = { pending: { pay: 'paid' } };
  const insert = (/** @type {any} */ tx, /** @type {number} */ n) => tx.query('INSERT INTO effect VALUES ($1)', [n]);
  const bareUs = await compare('PostgreSQL', load, {
    'bare INSERT': (n) => insert(pool, n),
    'bare BEGIN, INSERT, COMMIT': async (n) => {
      const tx = await pool.connect();
      await tx.query('BEGIN');
      await insert(tx, n);
      await tx.query('COMMIT');
      tx.release();
    },
    sqlOnce: (n) => sqlOnce(pool, { key: n }, (tx) => insert(tx, n).then(() => {})),
    'sqlOnce, all repeats': (n) => sqlOnce(pool, { key: n }, () => {}),
    withRowLock: (n) => withRowLock(pool, { table: 'item', key: n }, (_, tx) => insert(tx, n)),
    compareAndSet: (n) => compareAndSet(pool, { table: 'item', key: n, version: 1, op: `op ${n}` }, {}),
    transition: (n) => transition(pool, { table: 'item', key: n, event: 'pay', moves }),
  });
  await onClaims('PostgreSQL', { postgres: pool }, load, bareUs);
  const { host, port } = await redisServer();
  await onClaims('Redis', { redis: `redis://${host}:${port}` }, load, bareUs);
  await onClaims('Redis Cluster', { redis: { nodes: (await redisCluster()).nodes, cluster: true } }, load, bareUs);
  await pool.end();
}

/** Those that need a store of claims. @param {string} title @param {any} store @param {Load} load @param {number} bareUs */
async function onClaims(title, store, load, bareUs) {
  const run = once({ store, key: (/** @type {number} */ n) => n }, () => {});
  const t = tokens({ store });
  /** @type {string[]} */
  const ids = [];
  for (let n = 0; n < load.messages; n += 1000) ids.push(...(await t.issue('bench', 1000)));
  const ways = {
    'once, no effect': (/** @type {number} */ n) => run(n),
    'once, all repeats': (/** @type {number} */ n) => run(n),
    'tokens: claim, commit': async (/** @type {number} */ n) => t.commit(await t.claim(ids[n])),
    Lock: async (/** @type {number} */ n) => {
      const lock = new Lock({ store, name: `lock ${n}` });
      await lock.with(() => {});
      await lock.close();
    },
  };
  await compare(title, load, ways, bareUs);
  await run.close();
  await t.close();
}

/** @param {Load} load */
async function onMariadb(load) {
  const pool = mysql.createPool({ ...(await mariadbDatabase()), connectionLimit: load.atOnce });
  await sqlOnce.migrate(pool);
  await pool.query('CREATE TABLE effect (id int)');
  const insert = (/** @type {any} */ tx, /** @type {number} */ n) => tx.execute('INSERT INTO effect VALUES (?)', [n]);
  await compare('MariaDB', load, {
    'bare INSERT': (n) => insert(pool, n),
    sqlOnce: (n) => sqlOnce(pool, { key: n }, (tx) => insert(tx, n).then(() => {})),
    'sqlOnce, all repeats': (n) => sqlOnce(pool, { key: n }, () => {}),
  });
  await pool.end();
}

/** @param {Load} load */
async function onSqlite(load) {
  const directory = mkdtempSync(join(tmpdir(), 'everyonce-bench-'));
  const db = new Sqlite(join(directory, 'bench.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  await sqlOnce.migrate(db);
  db.exec('CREATE TABLE effect (id int)');
  const insert = (/** @type {any} */ tx, /** @type {number} */ n) => tx.prepare('INSERT INTO effect VALUES (?)').run(n);
  await compare('SQLite', load, {
    'bare INSERT': (n) => insert(db, n),
    sqlOnce: (n) => sqlOnce(db, { key: n }, (tx) => void insert(tx, n)),
    'sqlOnce, all repeats': (n) => sqlOnce(db, { key: n }, () => {}),
  });
  db.close();
  rmSync(directory, { recursive: true });
}
