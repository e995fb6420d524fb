/**
 * A WebSocket client that costs the generator next to nothing: a plain TCP socket, frames made by copying, no parsing
 * beyond a frame's length.
 */
import { connect } from 'node:net';

// All four bytes of the masking key are the same, so that a piece of text can be masked before its place in the frame is
// known; the key is not 0, which servers may skip.
const maskByte = 0x5a;

/** @param {string} text ASCII @returns {Buffer} as it goes over the wire */
export function masked(text) {
  const bytes = Buffer.from(text, 'latin1');
  for (let i = 0; i < bytes.length; i++) bytes[i] ^= maskByte;
  return bytes;
}

/** @param {Buffer[]} parts masked @returns {Buffer} one text frame, at most 64 KiB */
export function frameOf(...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header =
    length < 126 ? Buffer.from([0x81, 0x80 | length]) : Buffer.from([0x81, 0xfe, length >> 8, length & 255]);
  return Buffer.concat([header, Buffer.alloc(4, maskByte), ...parts]);
}

/** @param {string} text @returns {Buffer} */
export const textFrame = (text) => frameOf(masked(text));

/**
 * @param {{ port: number, path: string }} to
 * @param {(text: string) => void} onText called with each text frame, as Latin-1
 * @returns {Promise<import('node:net').Socket>} when the upgrade is answered
 */
export function openSocket({ port, path }, onText) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    /** @type {Buffer} */
    let rest = Buffer.alloc(0);
    let isOpen = false;
    socket.on('connect', () => {
      const lines = [
        `GET ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${port}`,
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Protocol: everyonce.v1',
      ];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (/** @type {Buffer} */ chunk) => {
      /** @type {Buffer} */
      let bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      if (!isOpen) {
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) return void (rest = bytes);
        if (!bytes.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101')))
          return void socket.destroy(new Error('no upgrade'));
        isOpen = true;
        bytes = bytes.subarray(end + 4);
        resolve(socket);
      }
      rest = takeFrames(bytes, socket, onText);
    });
  });
}

const opcodes = { text: 1, close: 8, ping: 9 };

/** @param {Buffer} bytes @param {import('node:net').Socket} socket @param {(text: string) => void} onText @returns {Buffer} what is not whole yet */
function takeFrames(bytes, socket, onText) {
  let at = 0;
  while (bytes.length - at >= 2) {
    let length = bytes[at + 1] & 127;
    let start = at + 2;
    if (length === 126) {
      if (bytes.length - at < 4) break;
      length = bytes.readUInt16BE(start);
      start += 2;
    } else if (length === 127) {
      if (bytes.length - at < 10) break;
      length = Number(bytes.readBigUInt64BE(start));
      start += 8;
    }
    if (bytes.length < start + length) break;
    const opcode = bytes[at] & 15;
    if (opcode === opcodes.text) onText(bytes.toString('latin1', start, start + length));
    else if (opcode === opcodes.ping) socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
    else if (opcode === opcodes.close) socket.destroy();
    at = start + length;
  }
  return at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
}
