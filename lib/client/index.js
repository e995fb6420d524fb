/** `everyonce/client`: for browsers and Node, with no native code and no Node built-in. */
export { Client } from './client.js';
export { JournalOutbox, MemoryOutbox } from './outbox.js';
export { IndexedDBOutbox } from './indexeddb-outbox.js';
export { EveryonceError, dmConversation } from '../protocol/index.js';
