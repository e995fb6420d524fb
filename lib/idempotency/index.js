/**
 * `everyonce/idempotency`: what the server accepted has its effect once in the application's database, though handlers throw,
 * processes die and queues redeliver. docs/idempotency.md says which of these ways to choose. No native code is loaded by importing
 * it.
 */
export { postgres, sqlite } from './archive.js';
export { compareAndSet } from './compare-and-set.js';
export { Consumer } from './consumer.js';
export { Lock } from './lock.js';
export { once } from './once.js';
export { idempotencyMiddleware } from './middleware.js';
export { publishInTransaction } from './outbox.js';
export { OutboxRelay } from './outbox-relay.js';
export { withRowLock } from './row-lock.js';
export { sqlOnce } from './sql-once.js';
export { tokens } from './tokens.js';
export { transition } from './transition.js';
export { EveryonceError } from '../protocol/errors.js';
