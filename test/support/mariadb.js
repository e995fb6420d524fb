// MariaDB for tests: one server per test process, a database per caller.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { directoryFor, identityOf, startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

/** @type {Promise<number> | undefined} */
let server;

async function start() {
  const identity = identityOf('mysql');
  const directory = directoryFor('mariadb', identity);
  const data = join(directory, 'data');
  const plain = ['--no-defaults', `--datadir=${data}`];
  const made = spawnSync(
    'mariadb-install-db',
    [...plain, '--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'],
    { ...identity, cwd: directory, encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.stdout}${made.stderr}`);
  const port = await freePort();
  await startDaemon({
    command: 'mariadbd',
    args: [
      ...plain,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${join(directory, 'socket')}`,
      `--pid-file=${join(directory, 'pid')}`,
      '--skip-name-resolve',
      // The machine does not lose power in these tests; what is killed are processes.
      '--innodb-flush-log-at-trx-commit=0',
      '--innodb-buffer-pool-size=32M',
      '--innodb-log-file-size=8M',
    ],
    directory,
    ready: /ready for connections/,
    identity,
  });
  return port;
}

let made = 0;

/** @returns {Promise<{ host: string, port: number, user: string, database: string }>} of a new, empty database */
export async function mariadbDatabase() {
  server ??= start();
  const address = { host: '127.0.0.1', port: await server, user: 'root' };
  const database = `test_${++made}`;
  const connection = await mysql.createConnection(address);
  await connection.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
  await connection.end();
  return { ...address, database };
}
