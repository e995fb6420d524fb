// Redis for tests: one server per test process.
import { directoryFor, startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

/** @type {Promise<number> | undefined} */
let server;

/** @returns {Promise<{ host: string, port: number }>} */
export async function redisServer() {
  server ??= (async () => {
    const directory = directoryFor('redis', {});
    const port = await freePort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory];
    await startDaemon({ command: 'redis-server', args, directory, ready: /Ready to accept connections/ });
    return port;
  })();
  return { host: '127.0.0.1', port: await server };
}
