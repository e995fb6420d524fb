// Many connections to a server that say nothing: none at all, or an upgrade and then nothing.
import { connect } from 'node:net';

/** Connections that are being opened at once: a listening socket's queue is not long. */
const openingAtOnce = 100;
const upgrade = (/** @type {number} */ port) =>
  `GET /everyonce HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: everyonce.v1\r\n\r\n`; // prettier-ignore

/**
 * Opens so many, as fast as the server takes them.
 *
 * @param {number} port of loopback
 * @param {number} count
 * @param {boolean} upgrades whether each becomes a WebSocket before it falls silent
 * @returns {Promise<{ mostOpen: number, endings: Record<string, number> }>} when the server has closed all: how many were open at
 *   once, and how they ended, by close code or HTTP status; `error`: cut, or never let in
 */
export async function fallSilent(port, count, upgrades) {
  /** @type {Record<string, number>} */
  const endings = {};
  let open = 0;
  let mostOpen = 0;
  let started = 0;
  let closed = 0;
  await new Promise((resolve) => {
    const next = () => {
      if (started === count) return;
      started += 1;
      const socket = connect(port, '127.0.0.1');
      let isOpen = false;
      let last = Buffer.alloc(0);
      const isIn = () => {
        if (isOpen) return;
        isOpen = true;
        mostOpen = Math.max(mostOpen, (open += 1));
        next();
      };
      socket.on('connect', () => (upgrades ? socket.write(upgrade(port)) : isIn()));
      socket.on('data', (bytes) => {
        if (upgrades) isIn();
        last = Buffer.from(bytes);
      });
      socket.on('error', () => {});
      // Whoever is closed closes, too.
      socket.on('end', () => socket.end());
      socket.on('close', () => {
        const how = endingOf(last);
        endings[how] = (endings[how] ?? 0) + 1;
        if (isOpen) open -= 1;
        else next();
        closed += 1;
        if (closed === count) resolve(undefined);
      });
    };
    for (let i = 0; i < openingAtOnce; i++) next();
  });
  return { mostOpen, endings };
}

/** @param {Buffer} last what came last */
function endingOf(last) {
  const status = /^HTTP\/1\.1 (\d+)/.exec(last.toString('latin1'))?.[1];
  if (status && status !== '101') return status;
  // A close frame: it may have come in one piece with the answer to the upgrade.
  const at = last.lastIndexOf(0x88);
  return at >= 0 && last.length >= at + 4 ? String(last.readUInt16BE(at + 2)) : 'error';
}
