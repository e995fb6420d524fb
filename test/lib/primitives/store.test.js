// One store for everybody in a process, told apart from others.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { openClaims } from '../../../lib/primitives/claims.js';
import { Operation, StoreConnection, openStore } from '../../../lib/primitives/store.js';
import { createServer } from '../../../lib/server/server.js';
import { cleanUp, closing, makeDirectory, onCleanUp } from './support.js';

const run = promisify(execFile);
const module = new URL('../../../lib/primitives/store.js', import.meta.url).href;
const take = (/** @type {any} */ store, key = 'q') => store.run(Operation.TAKE, key, 1, Number.MAX_SAFE_INTEGER);

describe('a store', () => {
  afterEach(cleanUp);

  it('is asked by numbers that stand in both languages', () => {
    const header = readFileSync(new URL('../../../src/addon/store_operations.h', import.meta.url), 'utf8');
    const native = [...header.matchAll(/^ {2}k(\w+) = (\d+),$/gm)].map(([, name, number]) => [
      name.replace(/(?<=.)([A-Z])/g, '_$1').toUpperCase(),
      Number(number),
    ]);
    assert.deepEqual(Object.fromEntries(native), { ...Operation });
  });

  it('is opened once for a directory and shared, with a server too; the last one closes it', async () => {
    const data = makeDirectory();
    const server = createServer({ insecure: true, data });
    const byDirectory = openStore({ data });
    const byServer = openStore(server);
    const byOtherName = openStore({ data: `${data}/../${data.split('/').at(-1)}/` });
    assert.deepEqual([await take(byDirectory), await take(byServer), await take(byOtherName)], [1n, 2n, 3n]);
    await server.publish({ conv: 'dm:alice:bob', from: 'alice', id: 'message-1', body: 1 });
    await server.close();
    assert.equal(await take(byServer), 4n, 'the server has gone, the store has not');
    const again = createServer({ insecure: true, data });
    assert.equal((await again.publish({ conv: 'dm:alice:bob', from: 'alice', id: 'message-2', body: 1 })).seq, 2);
    await again.close();
    for (const one of [byDirectory, byServer, byOtherName]) await one.close();
    assert.equal(await take(closing(openStore({ data }))), 5n);
  });

  it('is STORE_LOCKED for another process, and free after close', async () => {
    const data = makeDirectory();
    const store = openStore({ data });
    const other = `import(${JSON.stringify(module)}).then(({ openStore }) => {
      try { openStore({ data: ${JSON.stringify(data)} }).close(); console.log('open'); }
      catch (error) { console.log(error.code, error.option); } })`;
    assert.equal((await run(process.execPath, ['-e', other])).stdout.trim(), 'STORE_LOCKED store');
    await store.close();
    assert.equal((await run(process.execPath, ['-e', other])).stdout.trim(), 'open');
  });

  it('in memory is the same for the same object', async () => {
    const memory = { memory: true };
    const [one, two] = [openStore(memory), openStore(memory)];
    const other = closing(openStore({ memory: true }));
    assert.deepEqual([await take(one), await take(two), await take(other)], [1n, 2n, 1n]);
    await one.close();
    await one.close(); // again, and it is still only its own
    await assert.rejects(take(one), { code: 'CLOSED' });
    assert.equal(await take(two), 3n);
    await two.close();
    assert.equal(await take(closing(openStore(memory))), 1n, 'what it held went with its last user');
  });

  it('is shared by worker threads, and outlives one that is ended in mid-answer', async () => {
    const data = makeDirectory();
    const store = closing(openStore({ data }));
    const source = `const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.module).then(async ({ openStore, Operation }) => {
        const store = openStore({ data: workerData.data });
        const take = () => store.run(Operation.TAKE, 'q', 1, 2 ** 53 - 1);
        for (let i = 0; i < 99; i++) await take();
        parentPort.postMessage(String(await take()));
        for (;;) await Promise.all(Array.from({ length: 50 }, take));
      });`;
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(source, { eval: true, workerData: { module, data } });
      const taken = [];
      const told = once(worker, 'message');
      for (let i = 0; i < 100; i++) taken.push(await take(store));
      await told;
      await worker.terminate();
      assert.equal(new Set(taken).size, 100);
    }
    const before = await take(store);
    assert.ok(before >= 601n, `${before}`);
    await store.close();
    assert.equal(await take(closing(openStore({ data }))), before + 1n);
  });

  it('lets a process end that has not closed it', async () => {
    const data = makeDirectory();
    const program = `import(${JSON.stringify(module)}).then(async ({ openStore, Operation }) => {
      const store = openStore({ data: ${JSON.stringify(data)} });
      console.log(await store.run(Operation.TAKE, 'q', 1, 9)); })`;
    assert.equal((await run(process.execPath, ['-e', program], { timeout: 8000 })).stdout.trim(), '1n');
    assert.equal((await run(process.execPath, ['-e', program], { timeout: 8000 })).stdout.trim(), '2n');
  });

  it('answers what is under way when it is closed, and refuses what comes after', async () => {
    const store = openStore({ data: makeDirectory() });
    const asked = Array.from({ length: 100 }, () => take(store));
    const closed = store.close();
    assert.equal((await Promise.all(asked)).at(-1), 100n);
    await closed;
    await store.close();
    await assert.rejects(take(store), { code: 'CLOSED' });
    assert.equal(store.stats().durable, true);
  });

  it('tells what it refused and why, and goes on', async () => {
    /** @type {any} */
    const answers = { 2: { code: 'unavailable', message: 'm' }, 3: { code: 'OVERLOADED', message: 'm', about: 7 } };
    answers[4] = { code: 'bad_request', message: 'm', field: 'next' };
    class Client {
      constructor(/** @type {any} */ _source, /** @type {any} */ onAnswers) {
        this.onAnswers = onAnswers;
      }
      submit(/** @type {number} */ id) {
        queueMicrotask(() => this.onAnswers([id, answers[id] ?? 1n]));
        return id !== 1;
      }
      stats = () => ({ durable: false });
      close() {}
      setTime() {}
    }
    const store = new StoreConnection({ memory: true }, {}, Client);
    await assert.rejects(take(store), { code: 'OVERLOADED', retryable: true });
    await assert.rejects(take(store), { code: 'UNAVAILABLE', retryable: true });
    await assert.rejects(take(store), { code: 'OVERLOADED', retryAfterMs: 7 });
    await assert.rejects(take(store), { code: 'INVALID_ARGUMENT', option: 'next' });
    assert.equal(await take(store), 1n);
    await store.close();
  });

  it('refuses what is no store, by name', () => {
    const refusals = /** @type {[any, string, string][]} */ ([
      [undefined, 'BAD_OPTION', 'store'],
      [{}, 'BAD_OPTION', 'store'],
      ['./data', 'BAD_OPTION', 'store'],
      [{ data: '' }, 'BAD_OPTION', 'store.data'],
      [{ data: 'a\0b' }, 'BAD_OPTION', 'store.data'],
      [{ data: 'a', memory: true }, 'BAD_OPTION', 'store'],
      [{ memory: 1 }, 'BAD_OPTION', 'store.memory'],
      [{ data: '/proc/everyonce' }, 'STORE_UNWRITABLE', 'store'],
    ]);
    for (const [store, code, option] of refusals) assert.throws(() => openStore(store), { code, option });
  });

  it("of a server that is closed is closed; one's own clock is for memory only", async () => {
    const server = createServer({ insecure: true, memory: true });
    await server.close();
    assert.throws(() => openStore(server), { code: 'CLOSED' });
    const store = openStore({ data: makeDirectory() }, { now: () => 1 });
    onCleanUp(() => store.close());
    await assert.rejects(take(store), { code: 'BAD_OPTION' });
  });

  it('is the same to claims of many users', async () => {
    const data = makeDirectory();
    const users = Array.from({ length: 8 }, () => closing(openClaims({ data })));
    const all = await Promise.all(
      users.map((claims, i) => claims.claim({ key: 'k', owner: `o${i}`, leaseMs: 60_000, keepMs: 1000 })),
    );
    assert.deepEqual(all.map(({ state }) => state).sort(), ['ACQUIRED', ...Array(7).fill('BUSY')]);
  });
});
