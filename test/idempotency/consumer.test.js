// Consumer: every accepted message once, in order of its conversation, shared over members, with retries, dead letters and lag.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { Consumer, EveryonceError } from '../../lib/idempotency/index.js';
import { cleanUp, onCleanUp, startServer } from '../flow/support/servers.js';
import { MemoryClaims } from './support/memory-claims.js';

/** Shortest back-off: nothing here waits for a clock. */
const AT_ONCE = { minBackoffMs: 1, maxBackoffMs: 2 };

/** @param {number} number */
const idOf = (number) => `message-${number}`;

/**
 * @param {any} chat
 * @param {string} conv
 * @param {number} from
 * @param {number} to
 */
async function publishSome(chat, conv, from, to) {
  const all = [];
  for (let number = from; number <= to; number++) {
    all.push(chat.publish({ conv, from: conv.split(':')[1], id: idOf(number), body: { number } }));
  }
  return Promise.all(all);
}

/** Counts what comes, and tells when there was enough. */
class Tally {
  /** @type {any[]} */
  messages = [];
  /** @type {{ count: number, resolve: () => void }[]} */
  #waiting = [];

  /** @param {any} message */
  add(message) {
    this.messages.push(message);
    for (const one of this.#waiting) if (this.messages.length >= one.count) one.resolve();
  }

  /** @param {number} count @returns {Promise<void>} */
  reaches(count) {
    return new Promise((resolve) => {
      if (this.messages.length >= count) resolve();
      else this.#waiting.push({ count, resolve });
    });
  }

  get numbers() {
    return this.messages.map((message) => message.body.number);
  }
}

/** @param {any} options */
async function startConsumer(options) {
  const consumer = new Consumer({ group: 'work', ...AT_ONCE, ...options });
  onCleanUp(() => consumer.stop());
  await consumer.start();
  return consumer;
}

/** Until the consumer has nothing left. @param {Consumer} consumer @param {number} [left] */
async function drained(consumer, left = 0) {
  while ((await consumer.lag()).messages > left);
}

describe('Consumer', () => {
  afterEach(cleanUp);
  /** @type {any} */
  let chat;
  /** @type {MemoryClaims} */
  let store;
  beforeEach(async () => {
    chat = await startServer({ memory: true });
    store = new MemoryClaims();
  });

  it('handles what was accepted before and what comes, in order, once', async () => {
    const accepted = await publishSome(chat, 'dm:ann:bob', 1, 3);
    const tally = new Tally();
    const told = [];
    const handler = (/** @type {any} */ message, /** @type {any} */ attempt) => {
      told.push(attempt);
      tally.add(message);
    };
    const consumer = await startConsumer({ server: chat, store, handler });
    await publishSome(chat, 'dm:ann:bob', 4, 5);
    await tally.reaches(5);
    await drained(consumer);
    assert.deepEqual(tally.numbers, [1, 2, 3, 4, 5]);
    const [{ seq, epoch, mid, at }] = accepted;
    assert.deepEqual(tally.messages[0], {
      ...{ conv: 'dm:ann:bob', epoch, seq, mid, from: 'ann', device: 'server', id: idOf(1), type: 'text' },
      ...{ body: { number: 1 }, at },
    });
    assert.equal(told[0].attempt, 1);
    assert.ok(told[0].fence >= 1);
    assert.equal(told[0].signal.aborted, false);
    await consumer.stop();
    const again = await startConsumer({ server: chat, store, handler });
    await publishSome(chat, 'dm:ann:bob', 6, 6);
    await tally.reaches(6);
    assert.deepEqual(tally.numbers, [1, 2, 3, 4, 5, 6]);
    await again.stop();
  });

  it('begins where it is told to', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) => tally.add(message);
    await startConsumer({ server: chat, store, handler, from: 'now' });
    await publishSome(chat, 'dm:ann:bob', 4, 4);
    await tally.reaches(1);
    assert.deepEqual(tally.numbers, [4]);
  });

  it('tries again what throws, and keeps the order meanwhile', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    const tally = new Tally();
    /** @type {number[]} */
    const attempts = [];
    const handler = (/** @type {any} */ message, /** @type {any} */ { attempt }) => {
      if (message.body.number === 2) attempts.push(attempt);
      if (message.body.number === 2 && attempt < 4) throw new Error('not yet');
      tally.add(message);
    };
    const consumer = await startConsumer({ server: chat, store, handler });
    await tally.reaches(3);
    await drained(consumer);
    assert.deepEqual(tally.numbers, [1, 2, 3]);
    assert.deepEqual(attempts, [1, 2, 3, 4]);
    assert.deepEqual(chat.feeds.counts('work'), { handled: 3, repeated: 0, failed: 3, parked: 0 });
  });

  it('parks what can not be handled, and goes on; it is listed, replayed, dropped', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 4);
    const tally = new Tally();
    let isMended = false;
    const handler = (/** @type {any} */ message, /** @type {any} */ { attempt }) => {
      if (message.body.number === 3) throw Object.assign(new Error('never'), { final: true });
      if (message.body.number === 2 && !isMended) throw new TypeError(`no: ${attempt}`);
      tally.add(message);
    };
    const consumer = new Consumer({ server: chat, store, group: 'work', ...AT_ONCE, maxAttempts: 3, handler });
    onCleanUp(() => consumer.stop());
    /** @type {any[]} */
    const parked = [];
    consumer.on('parked', (message, error) => parked.push([message.body.number, error.message]));
    await consumer.start();
    await tally.reaches(2);
    await drained(consumer);
    assert.deepEqual(tally.numbers, [1, 4]);
    assert.deepEqual(parked, [
      [2, 'no: 3'],
      [3, 'never'],
    ]);
    const letters = await consumer.deadLetters.list();
    assert.deepEqual(
      letters.map(({ attempts, error, message, id }) => [attempts, error, message.body.number, id === message.mid]),
      [
        [3, 'TypeError: no: 3', 2, true],
        [1, 'never', 3, true],
      ],
    );
    assert.deepEqual(await consumer.deadLetters.list({ limit: 1 }), letters.slice(0, 1));
    assert.deepEqual(await consumer.deadLetters.list({ after: letters[0].id }), letters.slice(1));
    await assert.rejects(consumer.deadLetters.replay(letters[0].id), TypeError);
    assert.equal((await consumer.deadLetters.list())[0].attempts, 4);
    isMended = true;
    await consumer.deadLetters.replay(letters[0].id);
    assert.deepEqual(tally.numbers, [1, 4, 2]);
    await consumer.deadLetters.drop(letters[1].id);
    assert.deepEqual(await consumer.deadLetters.list(), []);
    await assert.rejects(consumer.deadLetters.replay(letters[0].id), { code: 'NOT_FOUND' });
    await assert.rejects(consumer.deadLetters.drop('abc'), { code: 'INVALID_ARGUMENT' });
  });

  it('waits for a message that fails where it is not to be parked, and others go on', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 2);
    await publishSome(chat, 'dm:cid:dan', 1, 2);
    const tally = new Tally();
    let fails = true;
    const handler = (/** @type {any} */ message) => {
      if (fails && message.conv === 'dm:ann:bob') throw new Error('down');
      tally.add(message);
    };
    const options = { server: chat, store, handler, deadLetter: false, maxAttempts: 1, concurrency: 1 };
    const consumer = await startConsumer(options);
    await tally.reaches(2);
    assert.deepEqual(
      tally.messages.map(({ conv }) => conv),
      ['dm:cid:dan', 'dm:cid:dan'],
    );
    fails = false;
    await tally.reaches(4);
    await drained(consumer);
    assert.deepEqual(tally.numbers, [1, 2, 1, 2]);
    assert.deepEqual(await consumer.deadLetters.list(), []);
  });

  it('handles one of all messages with the same bizId', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 6);
    await publishSome(chat, 'dm:cid:dan', 1, 6);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) => tally.add(message);
    const bizId = (/** @type {any} */ message) => `order-${message.body.number % 3}`;
    const consumer = await startConsumer({ server: chat, store, handler, bizId });
    await drained(consumer);
    assert.deepEqual(tally.numbers.map((number) => number % 3).sort(), [0, 1, 2]);
    assert.deepEqual(chat.feeds.counts('work'), { handled: 3, repeated: 9, failed: 0, parked: 0 });
  });

  it('parks at once what has no bizId', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 2);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) => tally.add(message);
    const bizId = (/** @type {any} */ message) => (message.body.number === 1 ? undefined : 'fine');
    const consumer = await startConsumer({ server: chat, store, handler, bizId, batch: 10 });
    await tally.reaches(1);
    await drained(consumer);
    assert.deepEqual(
      (await consumer.deadLetters.list()).map(({ error }) => error.split(':')[0]),
      ['INVALID_ARGUMENT'],
    );
  });

  it('gives batches of one conversation, and finds the bad one in a batch', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 7);
    /** @type {number[][]} */
    const batches = [];
    const handler = (/** @type {any[]} */ messages, /** @type {any} */ { fences }) => {
      assert.equal(fences.length, messages.length);
      const numbers = messages.map((message) => message.body.number);
      if (numbers.includes(2)) throw new Error('bad');
      batches.push(numbers);
    };
    const consumer = await startConsumer({ server: chat, store, handler, batch: 3, maxAttempts: 3 });
    await drained(consumer);
    assert.deepEqual(batches, [[1], [3], [4, 5, 6], [7]]);
    assert.deepEqual(
      (await consumer.deadLetters.list()).map(({ message, attempts }) => [message.body.number, attempts]),
      [[2, 3]],
    );
  });

  it('keeps the order where one of a batch can not be claimed', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    let failures = 3; // as often as it is asked again
    const claim = store.claim.bind(store);
    store.claim = async (request) => {
      if (request.key.endsWith(':2') && failures-- > 0) throw new EveryonceError('STORE_FAILED');
      return claim(request);
    };
    const tally = new Tally();
    const handler = (/** @type {any[]} */ messages) => messages.forEach((message) => tally.add(message));
    const consumer = new Consumer({ server: chat, store, group: 'work', ...AT_ONCE, handler, batch: 3 });
    onCleanUp(() => consumer.stop());
    await consumer.start();
    await tally.reaches(3);
    assert.deepEqual(tally.numbers, [1, 2, 3]);
  });

  it('a message with the same bizId as another in its batch waits for the next', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 4);
    /** @type {number[][]} */
    const batches = [];
    const handler = (/** @type {any[]} */ messages) => batches.push(messages.map((message) => message.body.number));
    const bizId = (/** @type {any} */ message) => message.body.number % 2;
    const consumer = await startConsumer({ server: chat, store, handler, batch: 4, bizId });
    await drained(consumer);
    assert.deepEqual(batches, [[1, 2]]);
  });

  it('never has two members at one conversation, and loses nothing when one stops in the middle', async () => {
    const convs = Array.from({ length: 20 }, (_, index) => `dm:ann:u${index}`);
    for (const conv of convs) await publishSome(chat, conv, 1, 20);
    const tally = new Tally();
    const busy = new Set();
    const handler = async (/** @type {any} */ message) => {
      assert.ok(!busy.has(message.conv), `${message.conv} is handled by two`);
      busy.add(message.conv);
      await new Promise((resolve) => setImmediate(resolve));
      busy.delete(message.conv);
      tally.add(message);
    };
    const members = [];
    for (let index = 0; index < 3; index++)
      members.push(await startConsumer({ server: chat, store, handler, concurrency: 3 }));
    await tally.reaches(50);
    await members[0].stop();
    await tally.reaches(400);
    await drained(members[1]);
    assert.equal(tally.messages.length, 400);
    for (const conv of convs) {
      const seqs = tally.messages.filter((message) => message.conv === conv).map((message) => message.seq);
      assert.deepEqual(
        seqs,
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    }
  });

  it('stop waits for the handler that runs, and gives the rest back', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    const tally = new Tally();
    let goOn = () => {};
    const began = new Tally();
    const handler = async (/** @type {any} */ message) => {
      began.add(message);
      await new Promise((resolve) => (goOn = () => resolve(undefined)));
      tally.add(message);
    };
    const consumer = await startConsumer({ server: chat, store, handler });
    await began.reaches(1);
    const stopped = consumer.stop();
    goOn();
    await stopped;
    assert.deepEqual(tally.numbers, [1]);
    const next = await startConsumer({
      server: chat,
      store,
      handler: (/** @type {any} */ message) => tally.add(message),
    });
    await tally.reaches(3);
    assert.deepEqual(tally.numbers, [1, 2, 3], 'at once, without waiting for a lease');
    await next.stop();
    await assert.rejects(consumer.start(), { code: 'CLOSED' });
  });

  it('stop with a time limit aborts the signal of a handler that does not return, and counts it as not done', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 1);
    const began = new Tally();
    /** @type {AbortSignal | undefined} */
    let signal;
    const handler = (/** @type {any} */ message, /** @type {any} */ attempt) => {
      signal = attempt.signal;
      began.add(message);
      return new Promise(() => {});
    };
    const consumer = await startConsumer({ server: chat, store, handler });
    await began.reaches(1);
    await consumer.stop({ timeoutMs: 1 });
    assert.equal(signal?.aborted, true);
    const tally = new Tally();
    await startConsumer({ server: chat, store, handler: (/** @type {any} */ message) => tally.add(message) });
    await tally.reaches(1);
  });

  it('a handler that takes too long has failed', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 2);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) =>
      message.body.number === 1 ? new Promise(() => {}) : tally.add(message);
    const consumer = await startConsumer({ server: chat, store, handler, maxRunMs: 20, leaseMs: 100, maxAttempts: 1 });
    await tally.reaches(1);
    assert.match((await consumer.deadLetters.list())[0].error, /^TIMEOUT/);
  });

  it('tells its lag, alone and in the metrics, and holds the log until it is dropped', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) => {
      if (message.body.number > 2) throw new Error('no');
      tally.add(message);
    };
    const consumer = new Consumer({ server: chat, store, group: 'work', handler, ...AT_ONCE, maxAttempts: 1 });
    onCleanUp(() => consumer.stop());
    const before = await consumer.lag();
    assert.equal(before.messages, 3);
    assert.ok(before.oldestMs >= 0 && before.oldestMs < 60_000, String(before.oldestMs));
    await consumer.start();
    await event(consumer, 'parked');
    await drained(consumer);
    assert.deepEqual(await consumer.lag(), { messages: 0, oldestMs: 0 });
    const metrics = await chat.metrics();
    for (const line of [
      'everyonce_consumer_lag_messages{group="work"} 0',
      'everyonce_consumer_lag_seconds{group="work"} 0',
      'everyonce_consumer_dead_letters{group="work"} 1',
      'everyonce_consumer_handled_total{group="work"} 2',
      'everyonce_consumer_failed_total{group="work"} 1',
      'everyonce_consumer_parked_total{group="work"} 1',
    ]) {
      assert.ok(metrics.includes(`${line}\n`), line);
    }
    await consumer.stop();
    assert.deepEqual(
      (await chat.feeds.list()).map((/** @type {any} */ one) => one.group),
      ['work'],
    );
    await Consumer.drop(chat, 'work');
    assert.deepEqual(await chat.feeds.list(), []);
    await assert.rejects(Consumer.drop(chat, 'work'), { code: 'bad_request' });
  });

  it('goes on after errors of the store, and ends with the server', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 2);
    let failures = 3;
    const claim = store.claim.bind(store);
    store.claim = async (request) => {
      if (failures-- > 0) throw new Error('the store is away');
      return claim(request);
    };
    const tally = new Tally();
    const consumer = new Consumer({
      server: chat,
      store,
      group: 'work',
      ...AT_ONCE,
      handler: (message) => tally.add(message),
    });
    onCleanUp(() => consumer.stop());
    /** @type {string[]} */
    const told = [];
    consumer.on('error', (error) => told.push(error.code));
    await consumer.start();
    await tally.reaches(2);
    assert.deepEqual(tally.numbers, [1, 2]);
    assert.ok(told.length >= 1 && told.every((code) => code === 'STORE_FAILED'), String(told));
    await chat.close();
    await consumer.stop();
    await assert.rejects(consumer.lag(), { code: 'CLOSED' });
  });

  it('handles 10,000 messages of 100 conversations once each, in order, by two members', async function () {
    this.timeout(120_000);
    const convs = Array.from({ length: 100 }, (_, index) => `dm:ann:u${index}`);
    const tally = new Tally();
    const handler = (/** @type {any} */ message) => tally.add(message);
    const first = await startConsumer({ server: chat, store, handler, concurrency: 32 });
    await startConsumer({ server: chat, store, handler: (/** @type {any} */ all) => all.forEach(handler), batch: 20 });
    for (const conv of convs) await publishSome(chat, conv, 1, 100);
    await tally.reaches(10_000);
    await drained(first);
    /** @type {Map<string, number>} */
    const last = new Map();
    for (const { conv, seq } of tally.messages) {
      assert.equal(seq, (last.get(conv) ?? 0) + 1, conv);
      last.set(conv, seq);
    }
    assert.equal(tally.messages.length, 10_000);
  });

  it('calls a handler that bears repeats by itself without keeping anything, and gives bodies as they came', async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 3);
    /** @type {any[]} */
    const told = [];
    const tally = new Tally();
    const handler = (/** @type {any} */ message, /** @type {any} */ { attempt, fence }) => {
      told.push([message.seq, attempt, fence, message.body]);
      if (message.seq === 2 && attempt === 1) throw new Error('once more');
      tally.add(message);
    };
    const options = { server: chat, store, handler, idempotent: true, rawBodies: true };
    await startConsumer(options);
    await tally.reaches(3);
    assert.deepEqual(told, [
      [1, 1, 0, '{"number":1}'],
      [2, 1, 0, '{"number":2}'],
      [2, 2, 0, '{"number":2}'],
      [3, 1, 0, '{"number":3}'],
    ]);
    assert.equal(store.records.size, 0);
  });

  it("notes what was handled in the server's own store where none is given", async () => {
    await publishSome(chat, 'dm:ann:bob', 1, 4);
    const tally = new Tally();
    const handler = (/** @type {any} */ message, /** @type {any} */ { attempt }) => {
      if (message.body.number === 2 && attempt === 1) throw new Error('once more');
      tally.add([attempt, message.body.number]);
    };
    const bizId = (/** @type {any} */ message) => message.body.number % 3;
    const consumer = await startConsumer({ server: chat, handler, bizId });
    await drained(consumer);
    assert.deepEqual(tally.messages, [
      [1, 1],
      [2, 2],
      [1, 3],
    ]);
    assert.deepEqual(chat.feeds.counts('work'), { handled: 3, repeated: 1, failed: 1, parked: 0 });
  });

  it('refuses options by name', () => {
    const good = { server: chat, group: 'work', handler: () => {}, store };
    /** @type {[string, any, string?][]} */
    const bad = [
      ['server', {}],
      ['server', undefined],
      ['group', 'a b'],
      ['group', ''],
      ['handler', 3],
      ['from', 'end'],
      ['batch', 0],
      ['batch', 1001],
      ['concurrency', 1.5],
      ['maxAttempts', -1],
      ['deadLetter', 'yes'],
      ['bizId', 'id'],
      ['leaseMs', 1],
      ['keepMs', Infinity],
      ['minBackoffMs', '1'],
      ['maxBackoffMs', 1],
      ['maxRunMs', 2 ** 31],
      ['redis', 'redis://localhost', 'INVALID_ARGUMENT'],
      ['redis', 7, 'INVALID_ARGUMENT'],
      ['retries', 3],
      ['idempotent', 1],
      ['rawBodies', 'yes'],
    ];
    for (const [option, value, code = 'INVALID_ARGUMENT'] of bad) {
      assert.throws(() => new Consumer(/** @type {any} */ ({ ...good, [option]: value })), { code, option }, option);
    }
  });
});
