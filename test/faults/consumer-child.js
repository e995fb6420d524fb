// A Consumer in a process without a server, for the run that kills it: its effect is a row in a database file that all of
// them share, under the message's own id. Its orders are JSON in argv[2]; it ends when its parent lets go of it.
import Sqlite from 'better-sqlite3';
import { Consumer } from '../../lib/idempotency/index.js';

const { redis, group, file, leaseMs } = JSON.parse(process.argv[2]);
const database = new Sqlite(file, { timeout: 20_000 });
const tried = database.prepare('INSERT INTO tried (id) VALUES (?)');
const effect = database.prepare('INSERT OR IGNORE INTO effect (id, conv, number) VALUES (?, ?, ?)');

const consumer = new Consumer({
  redis,
  group,
  leaseMs,
  minBackoffMs: 5,
  maxBackoffMs: 50,
  maxAttempts: 1000,
  handler: async ({ conv, id, body }) => {
    tried.run(id);
    // Between the two is where a kill leaves something half done.
    await new Promise((resolve) => setImmediate(resolve));
    effect.run(id, conv, body.number);
  },
});
consumer.on('error', () => {}); // Redis is away: it goes on
for (;;) {
  try {
    await consumer.start();
    break;
  } catch (/** @type {any} */ error) {
    if (!error.retryable) throw error;
  }
}
process.send?.('started');
process.once('disconnect', () => void end());

async function end() {
  await consumer.stop();
  database.close();
}
