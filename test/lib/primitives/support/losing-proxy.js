// A way to a server that can lose answers: what was asked arrives and is done, and the connection is gone before it is told.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * @param {number} port of the server
 * @returns {Promise<{ port: number, loseNext: () => void, lost: () => number, close: () => Promise<void> }>} `loseNext`: the
 *   next answer that comes from the server is thrown away with its connection
 */
export async function losingProxy(port) {
  const open = new Set();
  let losing = false;
  let lost = 0;
  const proxy = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const pair = [near, far];
    for (const socket of pair) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      if (!losing) {
        near.write(bytes);
        return;
      }
      losing = false;
      lost += 1;
      near.destroy();
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: /** @type {import('node:net').AddressInfo} */ (proxy.address()).port,
    loseNext: () => (losing = true),
    lost: () => lost,
    async close() {
      for (const socket of open) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
