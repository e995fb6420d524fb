// Real databases for the runs that kill workers: a new one for each run, with what the ways of ways.js need.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { plainTokens } from '../../../examples/idempotency/tokens/plain.js';
import { PostgresClaims } from '../../../lib/idempotency/claims/postgres.js';
import { sqlOnce } from '../../../lib/idempotency/index.js';
import { openClaims } from '../../../lib/primitives/claims.js';
import { mariadbDatabase } from '../../support/mariadb.js';
import { postgresDatabase } from '../../support/postgres.js';
import { redisServer } from '../../support/redis.js';

/** Tables, and one item per key. @type {Record<string, (keys: string[]) => Promise<{ address: any, effects: () => Promise<string[]>, close: () => any }>>} */
export const databases = {
  async postgres(keys) {
    const address = await postgresDatabase();
    const pool = new pg.Pool(address);
    await sqlOnce.migrate(pool);
    const claims = new PostgresClaims(pool);
    await claims.migrate();
    await pool.query(`CREATE TABLE effect (key text); CREATE TABLE record (id text PRIMARY KEY);
      CREATE TABLE item (id text PRIMARY KEY, version int NOT NULL DEFAULT 1, op text, state text NOT NULL DEFAULT 'pending', fence bigint NOT NULL DEFAULT 0,
        result text);
      CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO effect VALUES (NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER changed AFTER UPDATE OF version ON item FOR EACH ROW EXECUTE FUNCTION changed();`);
    await pool.query('INSERT INTO item (id) SELECT unnest($1::text[])', [keys]);
    await claims.issue({ keys: keys.map((key) => `token:${key}`), ttlMs: 3_600_000 });
    const effects = async () => (await pool.query('SELECT key FROM effect')).rows.map(({ key }) => key);
    return { address, effects, close: () => pool.end() };
  },
  /** Claims in Redis, effects in PostgreSQL. */
  async redis(keys) {
    const { host, port } = await redisServer();
    const redis = `redis://${host}:${port}`;
    const client = new Redis(port, host);
    await client.flushall();
    await plainTokens({ redis: client }).issue(keys);
    client.disconnect();
    const claims = openClaims({ redis });
    await claims.issue({ keys: keys.map((key) => `token:${key}`), ttlMs: 3_600_000 });
    await claims.close();
    const { address, ...rest } = await databases.postgres(keys);
    return { ...rest, address: { ...address, redis } };
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
