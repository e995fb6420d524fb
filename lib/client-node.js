// The client with what Node lacks in the browser's place: a WebSocket. (Node 22 has one; `ws` behaves the same everywhere.)

import { WebSocket } from 'ws';
import { Client as BrowserClient } from './client/index.js';

/** The same Client, with `ws` where no WebSocket is given. */
export class Client extends BrowserClient {
  /** @param {ConstructorParameters<typeof BrowserClient>[0]} options */
  constructor(options) {
    super({ ...options, WebSocket: options?.WebSocket ?? WebSocket });
  }
}
