// What a message costs when its effect is made idempotent, beside a bare INSERT of the same row in a transaction of its own:
//
//   node bench/idempotency.js [messages, default 2000] [at once, default 8]
//
// Servers are started for it, with fsync off: what is compared is work, and not the disk.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { Lock, compareAndSet, once, sqlOnce, tokens, transition, withRowLock } from '../lib/idempotency/index.js';
import { stopDaemons } from '../test/support/daemon.js';
import { mariadbDatabase } from '../test/support/mariadb.js';
import { postgresDatabase } from '../test/support/postgres.js';

const messages = Number(process.argv[2] ?? 2000);
const atOnce = Number(process.argv[3] ?? 8);

/** @param {(n: number) => unknown} handle @returns {Promise<{ us: number, cpuUs: number }>} per message */
async function measure(handle) {
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

/** @param {string} title @param {Record<string, (n: number) => unknown>} ways the first one is the bare one */
async function compare(title, ways) {
  let bare;
  for (const [name, handle] of Object.entries(ways)) {
    const { us, cpuUs } = await measure(handle);
    bare ??= us;
    const figures = `${us.toFixed(0).padStart(6)} µs  ×${(us / bare).toFixed(1).padStart(5)}  ${cpuUs.toFixed(0).padStart(5)} µs`;
    console.log(`${title.padEnd(12)} ${name.padEnd(34)} ${figures}`);
  }
}

console.log(
  `${messages} messages, ${atOnce} at once; wall time per message, beside the bare insert, CPU of this process`,
);

const pool = new pg.Pool({ ...(await postgresDatabase()), max: atOnce * 2 });
await sqlOnce.migrate(pool);
await pool.query(`CREATE TABLE effect (id int); CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL DEFAULT 1, op text,
  state text NOT NULL DEFAULT 'pending')`);
await pool.query('INSERT INTO item (id) SELECT generate_series(0, $1::int)', [messages]);
const store = { postgres: pool };
const run = once({ store, key: (n) => n }, () => {});
const t = tokens({ store });
const ids = [];
for (let n = 0; n < messages; n += 1000) ids.push(...(await t.issue('bench', 1000)));
const moves = { pending: { pay: 'paid' } };
const insert = (tx, n) => tx.query('INSERT INTO effect VALUES ($1)', [n]);
await compare('PostgreSQL', {
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
  'once, no effect': (n) => run(n),
  'once, all repeats': (n) => run(n),
  'tokens: claim, commit': async (n) => t.commit(await t.claim(ids[n])),
  Lock: (n) => new Lock({ store, name: `lock ${n}` }).with(() => {}),
  withRowLock: (n) => withRowLock(pool, { table: 'item', key: n }, (_, tx) => insert(tx, n)),
  compareAndSet: (n) => compareAndSet(pool, { table: 'item', key: n, version: 1, op: `op ${n}` }, {}),
  transition: (n) => transition(pool, { table: 'item', key: n, event: 'pay', moves }),
});
await run.close();
await pool.end();

const maria = mysql.createPool({ ...(await mariadbDatabase()), connectionLimit: atOnce });
await sqlOnce.migrate(maria);
await maria.query('CREATE TABLE effect (id int)');
await compare('MariaDB', {
  'bare INSERT': (n) => maria.execute('INSERT INTO effect VALUES (?)', [n]),
  sqlOnce: (n) => sqlOnce(maria, { key: n }, (tx) => tx.execute('INSERT INTO effect VALUES (?)', [n]).then(() => {})),
  'sqlOnce, all repeats': (n) => sqlOnce(maria, { key: n }, () => {}),
});
await maria.end();

const directory = mkdtempSync(join(tmpdir(), 'everyonce-bench-'));
const db = new Sqlite(join(directory, 'bench.db'));
db.pragma('journal_mode = WAL');
db.pragma('synchronous = OFF');
await sqlOnce.migrate(db);
db.exec('CREATE TABLE effect (id int)');
await compare('SQLite', {
  'bare INSERT': (n) => db.prepare('INSERT INTO effect VALUES (?)').run(n),
  sqlOnce: (n) => sqlOnce(db, { key: n }, (tx) => void tx.prepare('INSERT INTO effect VALUES (?)').run(n)),
  'sqlOnce, all repeats': (n) => sqlOnce(db, { key: n }, () => {}),
});
db.close();
rmSync(directory, { recursive: true });
await stopDaemons();
