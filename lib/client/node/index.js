/** The client for Node, as the package root exports it: with `ws` where the platform has no WebSocket, and files. */
import { WebSocket } from 'ws';
import { Client as BrowserClient } from '../client.js';

export { FileOutbox } from '../file-outbox.js';
export { EveryonceError, IndexedDBOutbox, MemoryOutbox, dmConversation } from '../index.js';

export class Client extends BrowserClient {
  /** @param {import('../options.js').ClientOptions} options */
  constructor(options) {
    super({ ...options, WebSocket: options?.WebSocket ?? WebSocket });
  }
}
