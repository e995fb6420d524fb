// A server on disk with a Consumer, for the test that kills them. Its orders are JSON in argv[2]; it says each step as a line of JSON.
import pg from 'pg';
import { Consumer } from '../../../lib/idempotency/index.js';
import { createServer } from '../../../lib/server/server.js';

const { address, data, convs, messages, leaseMs, hangAt, hang, batch, ownStore } = JSON.parse(process.argv[2]);
const pool = new pg.Pool(address);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const chat = createServer({ data, insecure: true, durability: { fsync: false } });
// The same ids each time: what was accepted before is a repeat.
for (const conv of convs) {
  const accepted = Array.from({ length: messages }, (_, n) =>
    chat.publish({ conv, from: conv.split(':')[1], id: `message-${n}`, body: { n } }),
  );
  await Promise.all(accepted);
}
say({ accepted: convs.length * messages });

let handled = 0;
const consumer = new Consumer({
  server: chat,
  store: ownStore ? undefined : { postgres: pool },
  group: 'work',
  leaseMs,
  batch,
  minBackoffMs: 1,
  maxBackoffMs: 5,
  handler: async (given, { attempt, fence }) => {
    const all = Array.isArray(given) ? given : [given];
    const call = ++handled;
    // From there on nobody gets further.
    if (call > hangAt) return forever();
    if (call === hangAt && hang === 'before') return dieHere({ attempt });
    for (const { conv, epoch, seq } of all) {
      const key = `${conv} ${epoch} ${seq}`;
      await pool.query('INSERT INTO naive (key, attempt, fence) VALUES ($1, $2, $3)', [key, attempt, fence]);
      await pool.query('INSERT INTO effect (key, conv, seq) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [
        key,
        conv,
        seq,
      ]);
    }
    if (call === hangAt && hang === 'after') return dieHere({ attempt });
  },
});
await consumer.start();
for (let lag; lag !== 0;) lag = (await consumer.lag()).messages;
await consumer.stop();
say({ drained: handled, parked: chat.feeds.counts('work').parked });
await chat.close();
await pool.end();

/** Says so, and waits for the kill. */
function dieHere(line) {
  say({ hanging: line });
  return forever();
}

function forever() {
  return new Promise(() => setInterval(() => {}, 1 << 30));
}
