// A real redis-server for one test, on a free port, with nothing on disk but what it is told to keep; ended by cleanUp.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from '../../support/free-port.js';
import { makeDirectory, onCleanUp } from './servers.js';

/**
 * Says a command in the inline form, and gives the first line of the answer.
 *
 * @param {number} port
 * @param {string} command
 * @returns {Promise<string>}
 */
export async function say(port, command) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write(`${command}\r\n`);
    const [bytes] = await once(socket, 'data');
    return String(bytes).split('\r\n')[0];
  } finally {
    socket.destroy();
  }
}

/**
 * @param {...string} flags
 * @returns {Promise<{ port: number, url: string, kill: () => Promise<void>, start: () => Promise<void> }>}
 */
export async function startRedis(...flags) {
  const directory = makeDirectory();
  const port = await freePort();
  const all = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory, ...flags];
  /** @type {import('node:child_process').ChildProcess} */
  let child;
  const start = async () => {
    child = spawn('redis-server', all, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of /** @type {import('node:stream').Readable} */ (child.stdout)) {
      if (/Ready to accept connections/.test(String(line))) break;
    }
    child.stdout?.resume();
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  onCleanUp(kill);
  return { port, url: `redis://127.0.0.1:${port}`, kill, start };
}
