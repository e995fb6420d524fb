// A RabbitMQ consumer. The broker gives again what was not acked when the connection went: so ack after the commit, never before.
//
// RABBITMQ_URL (amqp://127.0.0.1:5672), DATABASE_URL (postgres://postgres@127.0.0.1/postgres), QUEUE (payments) and RETRY_MS (1000) may
// be set. A message's `messageId` is the business id: the broker gives messages none of its own.
import amqp from 'amqplib';
import pg from 'pg';
import { sqlOnce } from '../../../lib/idempotency/index.js'; // in your project: 'everyonce/idempotency'

const { RABBITMQ_URL = 'amqp://127.0.0.1:5672' } = process.env;
const { DATABASE_URL = 'postgres://postgres@127.0.0.1/postgres', QUEUE = 'payments', RETRY_MS = '1000' } = process.env;
const MAX_ATTEMPTS = 5;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', (error) => console.error(`database: ${error.message}`));
await pool.query('CREATE TABLE IF NOT EXISTS paid (biz_id text NOT NULL, amount int NOT NULL)');
await sqlOnce.migrate(pool);

const connection = await amqp.connect(RABBITMQ_URL);
const channel = await connection.createConfirmChannel();
// What fails waits in `later`, and comes back when its time is up; what is given up lies in `dead`.
await channel.assertQueue(QUEUE, { durable: true });
await channel.assertQueue(`${QUEUE}.dead`, { durable: true });
await channel.assertQueue(`${QUEUE}.later`, {
  durable: true,
  messageTtl: Number(RETRY_MS),
  deadLetterExchange: '',
  deadLetterRoutingKey: QUEUE,
});
await channel.prefetch(8);

const underWay = new Set();
const { consumerTag } = await channel.consume(QUEUE, (message) => {
  if (message === null) return; // the queue was deleted
  const work = take(message).finally(() => underWay.delete(work));
  underWay.add(work);
});
console.log(`working on ${QUEUE}`);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await channel.cancel(consumerTag);
    await Promise.all(underWay);
    await connection.close();
    await pool.end();
  });
}

/** @param {import('amqplib').ConsumeMessage} message */
async function take(message) {
  const { messageId, headers = {} } = message.properties;
  try {
    if (!messageId) throw Object.assign(new Error('a message without messageId'), { final: true });
    const once = { key: `paid ${messageId}`, fingerprint: message.content };
    await sqlOnce(pool, once, async (tx) => {
      const { amount } = JSON.parse(message.content.toString());
      await tx.query('INSERT INTO paid VALUES ($1, $2)', [messageId, amount]);
    });
    channel.ack(message); // only now. `redelivered` is a hint, and is not asked
  } catch (error) {
    await again(message, Number(headers.attempts ?? 0) + 1, error);
  }
}

/**
 * Puts it elsewhere, and acks it here when the broker has it there: if the process dies in between it is in both, and the key of
 * sqlOnce tells.
 *
 * @param {import('amqplib').ConsumeMessage} message @param {number} attempts @param {any} error
 */
async function again(message, attempts, error) {
  const isFinal = error.final === true || error.code === 'MISMATCH' || attempts >= MAX_ATTEMPTS;
  console.error(`${message.properties.messageId}, attempt ${attempts}: ${error.message}`);
  const headers = { ...message.properties.headers, attempts, error: String(error.message).slice(0, 500) };
  const options = { ...message.properties, headers, persistent: true };
  channel.sendToQueue(`${QUEUE}.${isFinal ? 'dead' : 'later'}`, message.content, options);
  await channel.waitForConfirms();
  channel.ack(message);
}
