// Work behind the chat: every message of type `payment` that the server accepts is booked in PostgreSQL once, in order within its
// conversation, through throws, crashes and restarts. What can't be booked is put aside and looked at by the command line.
//
// DATABASE_URL, DATA (./data), PORT (8080) and SERVICE_KEY may be set.
import pg from 'pg';
import { createServer } from '../../lib/index.js'; // in your project: 'everyonce'
import { Consumer, sqlOnce } from '../../lib/idempotency/index.js'; // … and 'everyonce/idempotency'

const { DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres', DATA = './data', PORT = '8080' } = process.env;
const { SERVICE_KEY = 'a-key-of-the-shop-for-tests-and-examples' } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', (error) => console.error(`database: ${error.message}`));
await pool.query('CREATE TABLE IF NOT EXISTS account (name text PRIMARY KEY, balance int NOT NULL)');
await sqlOnce.migrate(pool);

// --insecure as for the command line: the token is the user's name, on loopback only.
const chat = createServer({ data: DATA, insecure: true, serviceKey: SERVICE_KEY });

const ledger = new Consumer({
  server: chat,
  group: 'ledger',
  // The business's own id, where there is one: two messages for one order are one payment.
  bizId: (message) => (message.type === 'payment' ? `order ${message.body.order}` : message.mid),
  maxAttempts: 3,
  minBackoffMs: 20,
  handler: async ({ type, body }) => {
    if (type !== 'payment') return;
    // A process that dies between this commit and the note that the message is handled runs it again: the key tells.
    await sqlOnce(pool, { key: `ledger ${body.order}` }, async (tx) => {
      const book = 'UPDATE account SET balance = balance + $2 WHERE name = $1';
      const { rowCount } = await tx.query(book, [body.account, body.amount]);
      if (rowCount === 0) throw new Error(`there is no account ${body.account}`);
    });
  },
});
ledger.on('parked', ({ mid }, error) => {
  console.error(`${mid} is put aside: ${error.message}`);
  console.error(`  npx everyonce dead-letters replay ${mid} --data ${DATA} --group ledger`);
});
await ledger.start();
const { port } = await chat.listen(Number(PORT));
console.log(`listening on http://127.0.0.1:${port}`);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await chat.close(); // stops the consumer first, which ends what it has begun
    await pool.end();
  });
}
