// Every way against a real database, by processes that throw and are killed in mid-work, with repeats: each key has its effect
// once, none is missing, and all repeats get one result. The naive forms fail the same run.
//
// Long (npm run faults): 8 processes, 10,000 messages each way, and all of them. EVERYONCE_SEED chooses the deliveries.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { sqlOnce } from '../../lib/idempotency/index.js';
import { PostgresClaims } from '../../lib/idempotency/claims/postgres.js';
import { mariadbDatabase } from '../support/mariadb.js';
import { postgresDatabase } from '../support/postgres.js';
import { mulberry } from '../lib/primitives/claim-conformance.js';
import { START_MS } from '../idempotency/support/databases.js';
import { killRun } from './idempotency/kill-run.js';
import { WAYS } from './idempotency/ways.js';

const LONG = Boolean(process.env.EVERYONCE_LONG);
const SEED = Number(process.env.EVERYONCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SIZE = LONG
  ? { keys: Number(process.env.EVERYONCE_KEYS ?? 10_000), processes: 8, kills: 40 }
  : { keys: 60, processes: 2, kills: 2 };
const REPEATS = 0.3;

/** Tables, and one item per key. @type {Record<string, (keys: string[]) => Promise<{ address: any, effects: () => Promise<string[]>, close: () => any }>>} */
const databases = {
  async postgres(keys) {
    const address = await postgresDatabase();
    const pool = new pg.Pool(address);
    await sqlOnce.migrate(pool);
    const claims = new PostgresClaims(pool);
    await claims.migrate();
    await pool.query(`CREATE TABLE effect (key text); CREATE TABLE record (id text PRIMARY KEY);
      CREATE TABLE item (id text PRIMARY KEY, version int NOT NULL DEFAULT 1, op text, state text NOT NULL DEFAULT 'pending', result text);
      CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO effect VALUES (NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER changed AFTER UPDATE OF version ON item FOR EACH ROW EXECUTE FUNCTION changed();`);
    await pool.query('INSERT INTO item (id) SELECT unnest($1::text[])', [keys]);
    await claims.issue({ keys: keys.map((key) => `token:${key}`), ttlMs: 3_600_000 });
    const effects = async () => (await pool.query('SELECT key FROM effect')).rows.map(({ key }) => key);
    return { address, effects, close: () => pool.end() };
  },
  async mysql() {
    const address = await mariadbDatabase();
    const pool = mysql.createPool(address);
    await sqlOnce.migrate(pool);
    await pool.query('CREATE TABLE effect (`key` VARCHAR(100))');
    const effects = async () => (await pool.query('SELECT `key` FROM effect'))[0].map(({ key }) => key);
    return { address, effects, close: () => pool.end() };
  },
  async sqlite() {
    const directory = mkdtempSync(join(tmpdir(), 'everyonce-sqlite-'));
    const path = join(directory, 'test.db');
    const db = new Sqlite(path);
    db.pragma('journal_mode = WAL');
    await sqlOnce.migrate(db);
    db.exec('CREATE TABLE effect (key TEXT)');
    const effects = async () =>
      db
        .prepare('SELECT key FROM effect')
        .all()
        .map(({ key }) => key);
    const close = () => {
      db.close();
      rmSync(directory, { recursive: true, force: true });
    };
    return { address: { path }, effects, close };
  },
};

describe(`processes that throw and are killed (seed ${SEED})`, () => {
  for (const [way, { kind, naive, short }] of Object.entries(WAYS)) {
    if (!LONG && !short) continue;
    it(`${way}: ${naive ? 'naive, loses or doubles' : 'each effect once, each repeat the same result'}`, async function () {
      this.timeout(LONG ? 30 * 60_000 : START_MS);
      const random = mulberry(SEED);
      const keys = Array.from({ length: SIZE.keys }, (_, n) => `key-${n}`);
      const deliveries = [...keys, ...keys.filter(() => random() < REPEATS)]
        .map((key) => ({ key, rank: random() }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ key }) => key);
      const db = await databases[kind](keys);
      try {
        const { processes, kills } = SIZE;
        const run = { way, address: db.address, deliveries, processes, inFlight: 4, kills, throwRate: 0.1, random };
        const { results, failures, kills: killed } = await killRun(run);
        const effects = await db.effects();
        const once = new Set(effects);
        const lost = keys.filter((key) => !once.has(key)).length;
        const doubled = effects.length - once.size;
        assert.equal(killed, kills);
        assert.ok(failures.size > 0, 'the run was too tame: nothing was thrown');
        if (naive) return assert.ok(lost + doubled > 0, 'the naive form came through');
        assert.deepEqual({ lost, doubled }, { lost: 0, doubled: 0 });
        const several = [...results].filter(([, answers]) => answers.size !== 1);
        assert.deepEqual(several, [], 'repeats got different results');
      } finally {
        await db.close();
      }
    });
  }
});
