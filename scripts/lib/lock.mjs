// One setup or build at a time per clone. The lock is a listening socket in Linux's abstract name space, named after the folder:
// the kernel gives it up when its process ends, however that ends, so there is never a stale one; and who waits is woken.
import { createHash } from 'node:crypto';
import net from 'node:net';
import { root } from './files.mjs';

/**
 * @template T
 * @param {() => Promise<T>} work what no other process does in this folder meanwhile
 * @returns {Promise<T>}
 */
export async function withLock(work) {
  const release = await take();
  try {
    return await work();
  } finally {
    release();
  }
}

/** @returns {Promise<() => void>} the lock is held until this is called, or the process ends */
async function take() {
  if (process.platform !== 'linux') return () => {};
  const path = `\0everyonce-setup-${createHash('sha256').update(root).digest('hex').slice(0, 32)}`;
  for (let told = false; ; told = true) {
    const release = await listen(path);
    if (release) return release;
    if (!told) console.log('… another setup or build is running in this folder; waiting for it');
    await untilClosed(path);
  }
}

/** @param {string} path @returns {Promise<(() => void) | undefined>} undefined: somebody else has it */
function listen(path) {
  return new Promise((resolve, reject) => {
    /** Those who wait. @type {Set<net.Socket>} */
    const waiting = new Set();
    const server = net.createServer((socket) => {
      // They must not keep this process alive.
      waiting.add(socket.unref());
      socket.on('error', () => {}).on('close', () => waiting.delete(socket));
    });
    const release = () => {
      server.close();
      for (const socket of waiting) socket.destroy();
    };
    server.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => {
      server.unref();
      resolve(release);
    });
  });
}

/** @param {string} path @returns {Promise<void>} when the holder has let go, or has gone */
function untilClosed(path) {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
  });
}
