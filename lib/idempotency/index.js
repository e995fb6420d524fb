/**
 * `everyonce/idempotency`: once, sqlOnce, compareAndSet, withRowLock, transition, Lock, tokens and Consumer come with a
 * later release (see README.md, "What works"). The entry point is kept so that its name is settled; it exports nothing yet.
 */
export {};
