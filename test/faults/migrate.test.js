// The long form of test/flow/migrate-failover.test.js belongs to npm run faults.
if (process.env.EVERYONCE_LONG) await import('../flow/migrate-failover.test.js');
