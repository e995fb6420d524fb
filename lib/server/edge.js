// What the server knows of whoever reads and writes sockets. One edge exists, `ws` in JavaScript (ws-edge.js); a native
// one can take its place behind the same names. Nothing above this line knows which one runs.

/**
 * Why a socket is not being read. Several may hold at once; it is read again when none is left.
 *
 * @enum {number}
 */
export const Pause = Object.freeze({
  /** the inbox, and so the engine, has no room */
  INBOX: 1,
  /** its hello waits for the `authenticate` hook */
  AUTHENTICATE: 2,
  /** it does not take what it was sent, so it may not ask for more */
  LAGGING: 4,
});

/**
 * One open WebSocket.
 *
 * @typedef {object} EdgeConnection
 * @property {(bytes: Uint8Array, shared: boolean) => void} write complete WebSocket frames; ignored once it is closing.
 *   `shared`: the bytes are part of a larger buffer that must not be kept alive by a slow peer
 * @property {(code: number, reason?: string) => void} close sends a close frame after what was written; idempotent. It is
 *   read no more. `reason`: for a person, at most 123 bytes
 * @property {() => void} terminate cuts it
 * @property {(reason: number) => void} pause stops reading, for a reason of `Pause`; frames that are already here still
 *   come
 * @property {(reason: number) => void} resume takes one reason away
 * @property {number} bufferedAmount bytes written and not yet taken by the operating system
 * @property {string} remoteAddress the one that limits count by; '' where it is not known
 * @property {boolean} isPaused
 */

/**
 * Who the edge tells. Calls for one connection come in order: opened, any of frame and lagging, closed (once).
 *
 * @typedef {object} EdgeHandler
 * @property {(edge: EdgeConnection, request: import('node:http').IncomingMessage) => number} opened returns the integer
 *   by which the connection is named from now on, or 0 where the handler has closed it already
 * @property {(id: number, frame: Uint8Array) => void} frame one text message; not kept
 * @property {(id: number, lagging: boolean) => void} lagging more than `limits.buffered` is waiting, or no longer
 * @property {(id: number, code: number) => void} closed it is closed or closing: nothing comes or goes any more
 */

export {};
