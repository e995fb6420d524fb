// One call from the engine, taken apart.

import { Kind } from './native.js';

/**
 * @typedef {object} BatchReceiver
 * @property {(connection: number, frames: Buffer) => void} write
 * @property {(connection: number, code: number) => void} close
 * @property {(connection: number, hello: { token: string | null, device: string }) => void} authenticate
 * @property {(question: number, asked: import('./authorize.js').Subject & { action: import('./authorize.js').Action }) => void} authorize
 * @property {(requestId: number, packet: Record<string, any> & { t: string }) => void} answer
 * @property {(event: Record<string, any> & { event: string }) => void} event
 * @property {() => boolean} wantsMessages whether events of messages are of use
 * @property {(question: number, holes: [string, number, number, number][]) => void} archive
 * @property {() => void} drained
 * @property {() => void} stopped
 */

const RECORD_FIELDS = 4;
/** How a message's event begins. Most servers have no listener for it, and then it is not even parsed. */
const MESSAGE_EVENT = Buffer.from('{"event":"message"');

/**
 * Calls the receiver once per record, in order.
 *
 * @param {Buffer} bytes
 * @param {Uint32Array} index
 * @param {BatchReceiver} receiver its methods do not throw: the rest of the batch would be lost
 */
export function dispatch(bytes, index, receiver) {
  for (let at = 0; at + RECORD_FIELDS <= index.length; at += RECORD_FIELDS) {
    const id = index[at + 1];
    const a = index[at + 2];
    const b = index[at + 3];
    switch (index[at]) {
      case Kind.WRITE:
        receiver.write(id, bytes.subarray(a, a + b));
        break;
      case Kind.CLOSE:
        receiver.close(id, a);
        break;
      case Kind.AUTHENTICATE:
        receiver.authenticate(id, parse(bytes, a, b));
        break;
      case Kind.AUTHORIZE:
        receiver.authorize(id, parse(bytes, a, b));
        break;
      case Kind.ANSWER:
        receiver.answer(id, parse(bytes, a, b));
        break;
      case Kind.EVENT:
        if (receiver.wantsMessages() || !isMessage(bytes, a, b)) receiver.event(parse(bytes, a, b));
        break;
      case Kind.ARCHIVE:
        receiver.archive(id, parse(bytes, a, b).holes);
        break;
      case Kind.DRAIN:
        receiver.drained();
        break;
      case Kind.STOPPED:
        receiver.stopped();
        break;
      default:
      // A newer addon's record that this version does not need.
    }
  }
}

/**
 * @param {Buffer} bytes
 * @param {number} offset
 * @param {number} length
 */
function isMessage(bytes, offset, length) {
  const end = offset + Math.min(length, MESSAGE_EVENT.length);
  return bytes.compare(MESSAGE_EVENT, 0, MESSAGE_EVENT.length, offset, end) === 0;
}

/**
 * @param {Buffer} bytes
 * @param {number} offset
 * @param {number} length
 * @returns {any}
 */
function parse(bytes, offset, length) {
  return JSON.parse(bytes.toString('utf8', offset, offset + length));
}
