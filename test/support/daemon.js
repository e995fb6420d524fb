// A real database server for tests: in a directory of its own, on a free port, started once per test process on first use, and
// stopped when the process's tests are over.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Waits for the server ($2 and its arguments), and stops it by the signal $1 when this process closes its end of the pipe, or is
 * gone: however it ends, it leaves no server behind.
 */
const GUARD = `signal=$1; shift; exec 3<&0
"$@" </dev/null 3<&- & server=$!
(read _ <&3; kill -s "$signal" $server) >/dev/null 2>&1 & watch=$!
wait $server; code=$?; kill $watch 2>/dev/null; exit $code`;

/** @type {{ child: import('node:child_process').ChildProcess, directory: string }[]} */
const running = [];

/** As root, servers run as their own user: PostgreSQL refuses to be root. @param {string} name */
export function identityOf(name) {
  if (process.getuid?.() !== 0) return {};
  const number = (/** @type {string} */ flag) => {
    const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`there is no user ${name}; is the package installed? (npm run setup)`);
    return Number(stdout);
  };
  return { uid: number('-u'), gid: number('-g') };
}

/** @param {string} name @param {{ uid?: number, gid?: number }} identity @returns {string} */
export function directoryFor(name, { uid, gid }) {
  const directory = mkdtempSync(join(tmpdir(), `everyonce-${name}-`));
  if (uid !== undefined && gid !== undefined) chownSync(directory, uid, gid);
  return directory;
}

/**
 * Starts a server and waits until it has said that it takes connections.
 *
 * @param {object} daemon
 * @param {string} daemon.command
 * @param {string[]} daemon.args
 * @param {string} daemon.directory removed when it has stopped
 * @param {RegExp} daemon.ready what it says, on stdout or stderr
 * @param {NodeJS.Signals} [daemon.signal] that stops it at once
 * @param {{ uid?: number, gid?: number }} [daemon.identity]
 */
export async function startDaemon({ command, args, directory, ready, signal = 'SIGKILL', identity = {} }) {
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', signal.replace('SIG', ''), command, ...args], {
    ...identity,
    cwd: directory,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.push({ child, directory });
  let said = '';
  await new Promise((resolve, reject) => {
    const hear = (/** @type {Buffer} */ chunk) => {
      said = (said + chunk).slice(-20_000);
      if (ready.test(said)) resolve(undefined);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command} ended (${code}), having said:\n${said}`)));
  });
  // Whatever it says later is read and forgotten, or its pipe would fill.
  child.removeAllListeners('exit');
  child.unref();
  for (const stream of child.stdio) /** @type {import('node:net').Socket | null} */ (stream)?.unref();
}

/** Stops all that were started here. */
export async function stopDaemons() {
  for (const { child, directory } of running.splice(0)) {
    child.ref();
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.stdin?.end();
      await exited;
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

// Imported by a Mocha file: after all tests of the run.
if (typeof after === 'function') {
  after(async function stop() {
    this.timeout(60_000);
    await stopDaemons();
  });
}
