// examples/idempotency, as programs of their own over real servers.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Redis from 'ioredis';
import pg from 'pg';
import { postgresDatabase } from '../support/postgres.js';
import { redisServer } from '../support/redis.js';
import { START_MS } from './support/databases.js';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../bin/everyonce.js', import.meta.url));

describe('examples/idempotency', () => {
  let url;
  let pool;
  const programs = [];
  before(async function () {
    this.timeout(START_MS);
    const { host, port, user, database } = await postgresDatabase();
    url = `postgres://${user}@${host}:${port}/${database}`;
    pool = new pg.Pool({ connectionString: url });
  });
  after(async () => {
    for (const { child, exited } of programs) {
      child.kill('SIGKILL');
      await exited;
    }
    await pool.end();
  });

  /** Until the program has said its first line. */
  const start = async (name, env) => {
    const file = fileURLToPath(new URL(`../../examples/idempotency/${name}`, import.meta.url));
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, DATABASE_URL: url, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const program = { child, exited: event(child, 'exit') };
    programs.push(program);
    const [line] = await Promise.race([
      event(createInterface({ input: child.stdout }), 'line'),
      program.exited.then(([code]) => Promise.reject(new Error(`${name} ended (${code})`))),
    ]);
    return { ...program, line };
  };

  it('express: an order that is asked for twice is made once', async function () {
    this.timeout(START_MS);
    const { line, child, exited } = await start('express.js', { PORT: '0' });
    const root = /http:\S+/.exec(line)[0];
    const ask = async (user, key, item) => {
      const response = await fetch(`${root}/orders`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${user}`,
          'Content-Type': 'application/json',
          ...(key && { 'Idempotency-Key': key }),
        },
        body: JSON.stringify({ item }),
      });
      return [response.status, await response.json()];
    };
    const made = [201, { order: '1', item: 'tea' }];
    assert.deepEqual(await ask('alice', 'k1', 'tea'), made);
    assert.deepEqual(await ask('alice', 'k1', 'tea'), made);
    assert.equal((await ask('alice', 'k1', 'coffee'))[0], 422);
    assert.equal((await ask('alice', undefined, 'tea'))[0], 400);
    assert.deepEqual(await ask('bob', 'k1', 'milk'), [201, { order: '2', item: 'milk' }]);
    const list = await fetch(`${root}/orders`, { headers: { Authorization: 'Bearer alice' } });
    assert.deepEqual(await list.json(), [{ id: '1', item: 'tea' }]);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });

  it('redis-streams: entries that come twice, and one whose worker was killed, are booked once; poison is put aside', async function () {
    this.timeout(START_MS);
    const { port } = await redisServer();
    const redis = new Redis(port, '127.0.0.1');
    try {
      await redis.xgroup('CREATE', 'payments', 'ledger', '0', 'MKSTREAM');
      const add = (bizId, amount) => redis.xadd('payments', '*', 'bizId', bizId, 'amount', amount);
      for (const n of [1, 2, 1, 3, 2]) await add(`order-${n}`, n);
      await add('order-poison', 'no number');
      // A worker that took two entries and died.
      await redis.xreadgroup('GROUP', 'ledger', 'dead-worker', 'COUNT', 2, 'STREAMS', 'payments', '>');
      const env = { REDIS_URL: `redis://127.0.0.1:${port}`, IDLE_MS: '0', STREAM: 'payments' };
      const { child, exited } = await start('redis-streams.js', env);
      const [[, [[, fields]]]] = await redis.xread('BLOCK', 0, 'STREAMS', 'payments:dead', '0');
      assert.equal(fields[fields.indexOf('bizId') + 1], 'order-poison');
      child.kill('SIGTERM');
      assert.deepEqual(await exited, [0, null]);
      assert.equal((await redis.xpending('payments', 'ledger'))[0], 0);
      const { rows } = await pool.query('SELECT biz_id, amount FROM ledger ORDER BY amount');
      assert.deepEqual(
        rows,
        [1, 2, 3].map((n) => ({ biz_id: `order-${n}`, amount: n })),
      );
    } finally {
      redis.disconnect();
    }
  });

  it('tokens: under the same faults the plain form loses effects, the right one has each once', async function () {
    this.timeout(START_MS);
    const { port } = await redisServer();
    const file = fileURLToPath(new URL('../../examples/idempotency/tokens/worker.js', import.meta.url));
    const env = { ...process.env, DATABASE_URL: url, REDIS_URL: `redis://127.0.0.1:${port}`, LEASE_MS: '300' };
    const say = (args, more) => run(process.execPath, [file, ...args], { env: { ...env, ...more } });
    /** Ten messages, each twice; a worker that is killed in its fourth handler, and one whose handlers throw at first. */
    const outcomeOf = async (form) => {
      await say([form, 'issue', '10']);
      await assert.rejects(say([form, 'work'], { DIE_AT: '4' }), { signal: 'SIGKILL' });
      const { stdout } = await say([form, 'work'], { FAIL_FIRST: '1' });
      return JSON.parse(stdout);
    };
    assert.deepEqual(await outcomeOf('right'), { messages: 20, effects: 10, ids: 10 });
    const { rows } = await pool.query(
      'SELECT count(DISTINCT receipt)::int AS receipts, min(fence) > 0 AS fenced FROM delivered_right',
    );
    assert.deepEqual(rows, [{ receipts: 10, fenced: true }]);
    // Three were done before the fourth died; all that failed first were taken for repeats when they came again.
    assert.deepEqual(await outcomeOf('plain'), { messages: 20, effects: 3, ids: 3 });
  });

  it('consumer: what is published twice or by a killed server is booked once; what failed is replayed by the command line', async function () {
    this.timeout(START_MS);
    await pool.query('CREATE TABLE account (name text PRIMARY KEY, balance int NOT NULL)');
    await pool.query("INSERT INTO account VALUES ('shop', 0)");
    const data = mkdtempSync(join(tmpdir(), 'everyonce-example-'));
    const env = { DATA: data, PORT: '0', SERVICE_KEY: 'a-service-key-of-enough-bytes-for-it' };
    const pay = async (line, id, body) => {
      const response = await fetch(`${/http:\S+/.exec(line)[0]}/everyonce/publish`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${env.SERVICE_KEY}`,
          'Idempotency-Key': id,
          'Content-Type': 'application/json',
        },
        body: JSON.stringify({ conv: 'dm:alice:bob', from: 'alice', type: 'payment', body }),
      });
      assert.equal(response.status, 200, await response.text());
    };
    const balance = async (name) =>
      (await pool.query('SELECT balance FROM account WHERE name = $1', [name])).rows[0].balance;
    try {
      const first = await start('consumer.js', env);
      for (const id of ['payment-1', 'payment-1', 'payment-2']) {
        await pay(first.line, id, { order: 'o1', account: 'shop', amount: 5 });
      }
      first.child.kill('SIGKILL');
      await first.exited;
      const second = await start('consumer.js', env);
      await pay(second.line, 'payment-3', { order: 'o2', account: 'new', amount: 7 });
      await pay(second.line, 'payment-4', { order: 'o3', account: 'shop', amount: 1 });
      // The conversation goes on when the third is put aside: then both are through.
      const cli = (...args) =>
        run(process.execPath, [CLI, 'dead-letters', ...args, '--data', data, '--group', 'ledger']);
      let letters = [];
      while (letters.length === 0)
        letters = (await cli('list', '--json')).stdout.split('\n').filter(Boolean).map(JSON.parse);
      assert.match(letters[0].error, /there is no account new/);
      await assert.rejects(cli('replay', letters[0].id), /there is no account new/);
      await pool.query("INSERT INTO account VALUES ('new', 0)");
      await cli('replay', letters[0].id);
      assert.equal(await balance('new'), 7);
      second.child.kill('SIGTERM');
      assert.deepEqual(await second.exited, [0, null]);
      assert.equal(await balance('shop'), 6);
      assert.equal((await cli('list')).stdout, '');
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });
});
