import { once } from 'node:events';
import net from 'node:net';

/**
 * Below the ports that Linux gives to whoever asks for any, so that no connection takes one between its choice and its use; each
 * process has a range of its own, for those that run side by side.
 */
const FIRST = 10_000;
const LAST = 32_000;
const RANGE = 500;
const ranges = Math.floor((LAST - FIRST) / RANGE);
const first = FIRST + RANGE * (process.pid % ranges);
let next = 0;

/** @returns {Promise<number>} a port of the loopback address that was free a moment ago */
export async function freePort() {
  for (let tries = 0; tries < RANGE; tries++) {
    const port = first + (next++ % RANGE);
    const server = net.createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`no free port from ${first} to ${first + RANGE - 1}`);
}
