/**
 * everyonce for Node: the server, and the client with `ws` and a file outbox. Importing it loads no native code; createServer
 * does.
 */
export { createServer, Server } from './server/server.js';
export { postgres, sqlite } from './idempotency/archive.js';
export { Client } from './client-node.js';
export { FileOutbox } from './client/file-outbox.js';
export { MemoryOutbox } from './client/outbox.js';
export { Snowflake } from './primitives/snowflake.js';
export { BloomFilter } from './primitives/bloom-filter.js';
export { RotatingBloom } from './primitives/rotating-bloom.js';
export { SegmentIds } from './primitives/segment-ids.js';
export { migrateLeafAlloc } from './primitives/segments/loaders.js';
export { Sequencer } from './primitives/sequencer.js';
export { Dedup } from './primitives/dedup.js';
export { OfflineStore } from './primitives/offline-store.js';
export { PackageReorder } from './primitives/package-reorder.js';
export { StreamReorder } from './primitives/stream-reorder.js';
export { EveryonceError } from './protocol/errors.js';
