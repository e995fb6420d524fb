// One setup at a time per clone. The lock is a listening socket in Linux's abstract name space, named after the folder: the
// kernel gives it up when its process ends, however that ends, so there is never a stale one; and who waits is woken.
import { createHash } from 'node:crypto';
import net from 'node:net';
import { root } from './files.mjs';

/**
 * @param {() => void} onWait called once where another process holds the lock
 * @returns {Promise<() => void>} the lock is held until this is called, or the process ends
 */
export async function takeLock(onWait) {
  if (process.platform !== 'linux') return () => {};
  const path = `\0everyonce-setup-${createHash('sha256').update(root).digest('hex').slice(0, 32)}`;
  for (let waited = false; ; waited = true) {
    const server = await listen(path);
    if (server) return () => server.close();
    if (!waited) onWait();
    await untilClosed(path);
  }
}

/** @param {string} path @returns {Promise<net.Server | undefined>} undefined: in use */
function listen(path) {
  return new Promise((resolve, reject) => {
    // Those who wait hold a connection; it must not keep this process alive.
    const server = net.createServer((socket) => socket.unref().on('error', () => {}));
    server.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => resolve(server.unref()));
  });
}

/** @param {string} path @returns {Promise<void>} when the holder has gone */
function untilClosed(path) {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
  });
}
