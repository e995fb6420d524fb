// The databases that the SQL functions are tested on, each by every kind of client that they take.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import mysqlCallbacks from 'mysql2';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { mariadbDatabase } from '../../support/mariadb.js';
import { postgresDatabase } from '../../support/postgres.js';

/** Starting a server and making a database takes seconds on a busy machine. */
export const START_MS = 60_000;

/**
 * @typedef {object} Opened
 * @property {any} client what is given to the function under test
 * @property {(text: string) => Promise<any[]>} rows of a statement, on a connection of its own
 * @property {(tx: any, text: string) => Promise<any>} inside what a statement inside a transaction is in this driver
 * @property {() => Promise<any>} another client of the same database
 * @property {() => Promise<void>} close
 */

/** @param {(address: any) => any} make @returns {() => Promise<Opened>} */
const postgres = (make) => async () => {
  const address = await postgresDatabase();
  const side = new pg.Pool({ ...address, max: 4 });
  const all = [side];
  const another = async () => {
    const client = await make(address);
    all.push(client);
    return client;
  };
  return {
    client: await another(),
    another,
    rows: async (text) => (await side.query(text)).rows,
    inside: (tx, text) => tx.query(text),
    close: async () => void (await Promise.all(all.map((one) => one.end()))),
  };
};

/** @param {(address: any) => any} make @param {boolean} [callbacks] @returns {() => Promise<Opened>} */
const mariadb =
  (make, callbacks = false) =>
  async () => {
    const address = await mariadbDatabase();
    const side = mysql.createPool({ ...address, connectionLimit: 4 });
    const all = [side];
    const another = async () => {
      const client = await make(address);
      all.push(callbacks ? client.promise() : client);
      return client;
    };
    return {
      client: await another(),
      another,
      rows: async (text) => (await side.query(text))[0],
      inside: (tx, text) => (callbacks ? tx.promise() : tx).query(text),
      close: async () => void (await Promise.all(all.map((one) => one.end()))),
    };
  };

/** @returns {Promise<Opened>} */
async function sqlite() {
  const directory = mkdtempSync(join(tmpdir(), 'everyonce-sqlite-'));
  const path = join(directory, 'test.db');
  const side = new Sqlite(path);
  side.pragma('journal_mode = WAL');
  side.pragma('synchronous = OFF');
  const all = [side];
  const another = async () => {
    const client = new Sqlite(path);
    all.push(client);
    return client;
  };
  const ask = (db, text) => {
    const statement = db.prepare(text);
    return statement.reader ? statement.all() : [statement.run()];
  };
  return {
    client: await another(),
    another,
    rows: async (text) => ask(side, text),
    inside: async (tx, text) => ask(tx, text),
    close: async () => {
      for (const one of all) one.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function pgClient(address) {
  const client = new pg.Client(address);
  await client.connect();
  return client;
}

/** @type {Record<string, { kind: string, pool: boolean, open: () => Promise<Opened> }>} */
export const DATABASES = {
  'pg Pool': { kind: 'postgres', pool: true, open: postgres((address) => new pg.Pool({ ...address, max: 12 })) },
  'pg Client': { kind: 'postgres', pool: false, open: postgres(pgClient) },
  'mysql2 promise pool': { kind: 'mysql', pool: true, open: mariadb((address) => mysql.createPool(address)) },
  'mysql2 callback pool': {
    kind: 'mysql',
    pool: true,
    open: mariadb((address) => mysqlCallbacks.createPool(address), true),
  },
  'mysql2 connection': { kind: 'mysql', pool: false, open: mariadb((address) => mysql.createConnection(address)) },
  'better-sqlite3': { kind: 'sqlite', pool: false, open: sqlite },
};

/** A point that tests let others wait at. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { open, opened };
}
