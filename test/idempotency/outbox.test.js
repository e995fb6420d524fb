// publishInTransaction and OutboxRelay over PostgreSQL, with a real server where it matters.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import pg from 'pg';
import { EveryonceError, OutboxRelay, publishInTransaction, sqlOnce } from '../../lib/idempotency/index.js';
import { createServer } from '../../lib/index.js';
import { postgresDatabase } from '../support/postgres.js';
import { START_MS, gate } from './support/databases.js';

describe('the outbox of an application', () => {
  let pool;
  const relays = [];
  before(async function () {
    this.timeout(START_MS);
    pool = new pg.Pool({ ...(await postgresDatabase()), max: 20 });
    await OutboxRelay.migrate(pool);
    await OutboxRelay.migrate(pool);
    await sqlOnce.migrate(pool);
  });
  after(() => pool.end());
  afterEach(async () => {
    await Promise.all(relays.splice(0).map((relay) => relay.stop()));
    await pool.query('TRUNCATE everyonce_outbox');
  });

  const transaction = async (work) => {
    const tx = await pool.connect();
    try {
      await tx.query('BEGIN');
      const result = await work(tx);
      await tx.query('COMMIT');
      return result;
    } catch (error) {
      await tx.query('ROLLBACK');
      throw error;
    } finally {
      tx.release();
    }
  };
  const message = (n, conv = 'dm:alice:bob') => ({ conv, from: 'alice', id: `message-${n}`, body: { n } });
  const write = (n, conv) => transaction((tx) => publishInTransaction(tx, message(n, conv)));
  const relay = (publish, options = {}) => {
    const one = new OutboxRelay({ pool, publish, pollMs: 20, minBackoffMs: 1, maxBackoffMs: 5, ...options });
    one.on('error', (error) => one.stop().then(() => Promise.reject(error)));
    relays.push(one);
    one.start();
    return one;
  };
  /** Until a message is published and gone from the outbox. */
  const published = (one, n) =>
    new Promise((resolve) => one.on('published', ({ body }) => body.n === n && resolve(undefined)));
  /** A publisher that remembers, and says when it has had so many. */
  const collector = (wanted) => {
    const full = gate();
    const got = [];
    const publish = async ({ conv, body }) => {
      got.push(`${conv} ${body.n}`);
      if (got.length === wanted) full.open();
    };
    return { got, publish, full: full.opened };
  };

  it('publishes after the commit, in order, and forgets what is published; nothing after a rollback', async () => {
    await assert.rejects(
      transaction(async (tx) => {
        await publishInTransaction(tx, message(0));
        throw new Error('no');
      }),
    );
    for (const n of [1, 2, 3]) await write(n);
    const { got, publish, full } = collector(3);
    const one = relay(publish);
    await full;
    await one.stop();
    assert.deepEqual(got, ['dm:alice:bob 1', 'dm:alice:bob 2', 'dm:alice:bob 3']);
    assert.deepEqual(await one.lag(), { messages: 0, oldestMs: 0 });
  });

  it('is part of sqlOnce: the effect and its message are there together, once', async () => {
    const pay = () =>
      sqlOnce(pool, { key: 'order-7' }, async (tx) => {
        const { id } = await publishInTransaction(tx, { conv: 'dm:alice:bob', from: 'alice', body: 'paid' });
        return id;
      });
    const [a, b] = [await pay(), await pay()];
    assert.equal(a.result, b.result);
    const { rows } = await pool.query('SELECT id FROM everyonce_outbox');
    assert.deepEqual(rows, [{ id: a.result }]);
  });

  it('takes the same message again for the same, and another one of its id for a mistake', async () => {
    assert.deepEqual(await write(1), { id: 'message-1', repeated: false });
    assert.deepEqual(await write(1), { id: 'message-1', repeated: true });
    const other = transaction((tx) => publishInTransaction(tx, { ...message(1), body: 'other' }));
    await assert.rejects(other, { code: 'MISMATCH', id: 'message-1' });
  });

  it('lets transactions of one conversation commit in the order of their messages; of others at once', async () => {
    const [written, go] = [gate(), gate()];
    const first = transaction(async (tx) => {
      await publishInTransaction(tx, message(1));
      written.open();
      await go.opened;
    });
    await written.opened;
    await write(5, 'dm:alice:carol');
    let second = false;
    const later = write(2).then(() => (second = true));
    await waitsForLock(pool);
    assert.equal(second, false, 'the second waits for the first');
    const { got, publish, full } = collector(3);
    relay(publish);
    go.open();
    await Promise.all([first, later, full]);
    const bob = got.filter((line) => line !== 'dm:alice:carol 5');
    assert.deepEqual(bob, ['dm:alice:bob 1', 'dm:alice:bob 2']);
  });

  it('finds a message that becomes visible after later ones, where a relay that reads on from its position does not', async () => {
    const [written, go] = [gate(), gate()];
    const slow = transaction(async (tx) => {
      await publishInTransaction(tx, message(1, 'dm:alice:bob'), { ordered: false });
      written.open();
      await go.opened;
    });
    await written.opened;
    await write(2, 'dm:alice:carol');
    const naive = (await pool.query('SELECT position FROM everyonce_outbox ORDER BY position')).rows;
    const { got, publish, full } = collector(2);
    const one = relay(publish);
    await event(one, 'published');
    go.open();
    await slow;
    await full;
    assert.deepEqual(got, ['dm:alice:carol 2', 'dm:alice:bob 1']);
    assert.equal(naive.length, 1);
    const { rows } = await pool.query(
      `SELECT $1::bigint > last_value - 1 AS passed FROM everyonce_outbox_position_seq`,
      [naive[0].position],
    );
    assert.equal(rows[0].passed, true, 'the one that came late has the lower number');
  });

  it('shares conversations out over several relays: each message once, in order', async () => {
    const conversations = Array.from({ length: 12 }, (_, n) => `g:room-${n}`);
    for (let n = 0; n < 15; n++) await Promise.all(conversations.map((conv) => write(n, conv)));
    const { got, publish, full } = collector(180);
    const all = [1, 2, 3].map(() => relay(publish, { batch: 7 }));
    await full;
    await Promise.all(all.map((one) => one.stop()));
    assert.equal(new Set(got).size, 180);
    assert.equal(got.length, 180);
    for (const conv of conversations) {
      const order = got.filter((line) => line.startsWith(`${conv} `)).map((line) => Number(line.split(' ')[1]));
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
        conv,
      );
    }
  });

  it('backs off where publishing fails, keeps the order of that conversation, and goes on with others', async () => {
    for (const n of [1, 2]) await write(n);
    await write(3, 'dm:alice:carol');
    const { got, publish, full } = collector(3);
    let failures = 12;
    const one = relay(async (m) => {
      // More often than an untyped error may: this one is known to pass.
      if (m.body.n === 1 && failures-- > 0) throw new EveryonceError('unavailable');
      await publish(m);
    });
    await full;
    await one.stop();
    assert.deepEqual(got, ['dm:alice:carol 3', 'dm:alice:bob 1', 'dm:alice:bob 2']);
    assert.deepEqual(await one.parked(), []);
  });

  it('parks what is refused for good, and what fails too often; it can be looked at, retried and dropped', async () => {
    for (const n of [1, 2, 3]) await write(n);
    const { got, publish } = collector(1);
    let broken = true;
    const one = relay(
      async (m) => {
        if (broken && m.body.n === 1) throw new EveryonceError('forbidden');
        if (m.body.n === 2) throw new Error('always');
        await publish(m);
      },
      { maxAttempts: 2 },
    );
    await published(one, 3);
    assert.deepEqual(got, ['dm:alice:bob 3']);
    const parked = await one.parked();
    assert.deepEqual(
      parked.map(({ message: { body } }) => body.n),
      [1, 2],
    );
    assert.equal(parked[1].attempts, 2);
    assert.equal(parked[1].error, 'always');
    assert.equal((await one.lag()).messages, 0);
    broken = false;
    const again = published(one, 1);
    assert.equal(await one.retry(parked[0].position), true);
    await again;
    assert.equal(await one.drop(parked[1].position), true);
    assert.equal(await one.drop(parked[1].position), false);
    await assert.rejects(one.drop('1; DELETE'), { code: 'INVALID_ARGUMENT', option: 'position' });
  });

  it('publishes again what it could not delete, with the same id: the server stores it once', async function () {
    this.timeout(START_MS);
    const chat = createServer({ memory: true, insecure: true });
    try {
      await write(1);
      await write(2);
      // The first relay dies after it has published and before it could commit.
      const dying = new OutboxRelay({
        pool,
        publish: async (m) => {
          await chat.publish(m);
          await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE state = 'idle in transaction' AND datname = current_database()`);
        },
      });
      dying.start();
      await event(dying, 'error').catch((error) => error);
      await dying.stop();
      assert.equal((await pool.query('SELECT 1 FROM everyonce_outbox')).rowCount, 2);
      const one = new OutboxRelay({ pool, server: chat, pollMs: 20 });
      relays.push(one);
      const both = published(one, 2);
      one.start();
      await both;
      const { items } = await chat.history('dm:alice:bob', { limit: 10 });
      assert.deepEqual(
        items.map(({ seq, id, body }) => [seq, id, body]),
        [
          [1, 'message-1', { n: 1 }],
          [2, 'message-2', { n: 2 }],
        ],
      );
    } finally {
      await chat.close();
    }
  });

  it('refuses what it can not take', async () => {
    await assert.rejects(publishInTransaction(pool, message(1)), { code: 'INVALID_ARGUMENT', option: 'tx' });
    const client = await pool.connect();
    await assert.rejects(publishInTransaction(client, message(1)), { code: 'NOT_IN_TRANSACTION' });
    client.release();
    const bad = [
      { conv: 'nowhere' },
      { from: 'a b' },
      { id: 'short' },
      { type: 'system.x' },
      { body: undefined },
      { body: 1n },
    ];
    for (const over of bad) {
      const refused = transaction((tx) => publishInTransaction(tx, { ...message(1), ...over }));
      await assert.rejects(refused, { code: 'INVALID_ARGUMENT' }, Object.keys(over)[0]);
    }
    assert.throws(() => new OutboxRelay({ pool }), { option: 'server' });
    assert.throws(() => new OutboxRelay({ pool: {}, publish: () => {} }), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => new OutboxRelay({ pool, publish: () => {}, batch: 0 }), { option: 'batch' });
  });
});

/** Until somebody waits for a lock. */
async function waitsForLock(pool) {
  const text = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
  while ((await pool.query(text)).rowCount === 0) await new Promise((resolve) => setImmediate(resolve));
}
