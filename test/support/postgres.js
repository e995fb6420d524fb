// PostgreSQL for tests: one server per test process, a database per caller.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { directoryFor, identityOf, startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

/** Debian keeps each version's programs in a folder of its own. @returns {string} */
function programs() {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  return join('/usr/lib/postgresql', versions[0], 'bin');
}

/** @type {Promise<number> | undefined} */
let server;

async function start() {
  const identity = identityOf('postgres');
  const directory = directoryFor('postgres', identity);
  const data = join(directory, 'data');
  const bin = programs();
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { ...identity, cwd: directory, encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stdout}${made.stderr}`);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
    // The machine does not lose power in these tests; what is killed are processes.
    fsync: 'off',
    shared_buffers: '32MB',
    max_connections: 200,
    deadlock_timeout: '100ms',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  await startDaemon({
    command: join(bin, 'postgres'),
    args: ['-D', data, ...args],
    directory,
    ready: /database system is ready to accept connections/,
    // Immediate shutdown: the postmaster takes its children along, which SIGKILL would not.
    signal: 'SIGQUIT',
    identity,
  });
  return port;
}

let made = 0;

/** @returns {Promise<{ host: string, port: number, user: string, database: string }>} of a new, empty database */
export async function postgresDatabase() {
  server ??= start();
  const address = { host: '127.0.0.1', port: await server, user: 'postgres' };
  const database = `test_${++made}`;
  const client = new pg.Client({ ...address, database: 'postgres' });
  await client.connect();
  await client.query(`CREATE DATABASE ${database}`);
  await client.end();
  return { ...address, database };
}
