// examples/idempotency/queues/rabbitmq.js over a real broker: messages that come twice, a consumer that is killed, poison.
import assert from 'node:assert/strict';
import pg from 'pg';
import { postgresDatabase } from '../support/postgres.js';
import { packageOf, start, stopPrograms } from './programs.js';
import { rabbitmqServer } from './rabbitmq-server.js';

const START_MS = 120_000;

describe('RabbitMQ', function () {
  this.timeout(START_MS);
  /** @type {string} */
  let broker;
  let pool;
  /** @type {Record<string, string>} */
  let env;
  before(async () => {
    broker = await rabbitmqServer();
    const { host, port, user, database } = await postgresDatabase();
    const url = `postgres://${user}@${host}:${port}/${database}`;
    pool = new pg.Pool({ connectionString: url });
    env = { RABBITMQ_URL: broker, DATABASE_URL: url, RETRY_MS: '20' };
  });
  after(async () => {
    await stopPrograms();
    await pool.end();
  });

  it('pays once what comes twice, and what a killed consumer had; a poisoned message and another payload lie in .dead', async () => {
    const connection = await packageOf('amqplib').connect(broker);
    const channel = await connection.createConfirmChannel();
    const first = await start('rabbitmq.js', env);
    const put = (messageId, amount) => {
      const content = Buffer.from(JSON.stringify({ amount }));
      channel.sendToQueue('payments', content, { persistent: true, ...(messageId && { messageId }) });
    };
    const orders = 200;
    for (let repeat = 0; repeat < 2; repeat++) for (let n = 0; n < orders; n++) put(`order-${n}`, n);
    await channel.waitForConfirms();
    // In mid-work: some are paid, and up to eight are neither acked nor rejected.
    const payments = async () => Number((await pool.query('SELECT count(*) FROM paid')).rows[0].count);
    while ((await payments()) < 20);
    first.child.kill('SIGKILL');
    await first.exited;
    put('order-poison', 'no number');
    put('order-1', 99);
    put(undefined, 1);
    await channel.waitForConfirms();
    const second = await start('rabbitmq.js', env);

    const dead = [];
    await new Promise((resolve) => {
      channel.consume('payments.dead', (message) => {
        dead.push([message.properties.messageId, message.properties.headers.attempts]);
        channel.ack(message);
        if (dead.length === 3) resolve();
      });
    });
    assert.deepEqual(
      dead
        .sort(([, a], [, b]) => a - b || 0)
        .map(([id, attempts]) => `${id} ${attempts}`)
        .sort(),
      ['order-1 1', 'order-poison 5', 'undefined 1'],
    );
    // It ends what it has begun; all else was before those three.
    second.child.kill('SIGTERM');
    assert.deepEqual(await second.exited, [0, null]);
    const { messageCount } = await channel.checkQueue('payments');
    assert.equal(messageCount, 0);
    const { rows } = await pool.query('SELECT biz_id, amount FROM paid ORDER BY amount');
    assert.deepEqual(
      rows,
      Array.from({ length: orders }, (_, n) => ({ biz_id: `order-${n}`, amount: n })),
    );
    await connection.close();
  });
});
