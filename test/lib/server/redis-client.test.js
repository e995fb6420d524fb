// The addon's client of Redis, on Node's own loop, with a real server. The client itself is tested in test/native/redis.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { loadAddon } from '../../../lib/server/native.js';
import { startRedis } from '../../flow/support/redis.js';
import { cleanUp, onCleanUp } from '../../flow/support/servers.js';

describe('the client of Redis', () => {
  afterEach(cleanUp);

  /** @param {...string} nodes */
  const open = (...nodes) => {
    const { Redis } = loadAddon();
    const client = new Redis({ nodes });
    onCleanUp(() => client.close());
    return client;
  };

  it('commands, pipelined in order, and scripts of lua/', async () => {
    const { url } = await startRedis();
    const client = open(url);
    assert.match((await client.describe()).version, /^[7-9]\./);
    const counts = await Promise.all(Array.from({ length: 100 }, () => client.command(['INCR', 'n'], 'n')));
    assert.deepEqual(
      counts,
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    assert.equal(await client.command(['GET', 'nothing'], 'nothing', true), null);
    await client.command(['SET', 'bytes', Buffer.from('ü')], 'bytes');
    assert.equal(await client.command(['GET', 'bytes'], 'bytes'), 'ü');
    const keys = ['idem:{a}:1', 'idem:{a}:fence'];
    const claim = (owner) => client.script('claim', keys, ['claim', owner, '10000', '', '3', '60000', '0']);
    const [state, fence, attempt] = await claim('one');
    assert.deepEqual([state, attempt], ['ACQUIRED', '1']);
    assert.equal((await claim('two'))[0], 'BUSY');
    const committed = await client.script('claim', keys, ['commit', 'one', fence, 'done', '60000']);
    assert.deepEqual(committed, ['COMMITTED', fence, '1', '0', '']);
    assert.deepEqual(await claim('two'), ['DONE', fence, '1', '0', 'done']);
  });

  it('the same script many times in one crossing; one failure is that of all', async () => {
    const { url } = await startRedis();
    const client = open(url);
    const call = (slot, ...names) => [names.map((name) => `{${slot}}${name}`), ['request', '60000']];
    const answers = await client.scripts('check', [...call('a', '1', '2', '1'), ...call('b', '1')]);
    assert.deepEqual(answers, ['110', '1']);
    await client.command(['SET', '{c}1', 'no hash'], '{c}1');
    await assert.rejects(client.scripts('check', [...call('d', '1'), ...call('c', '1')]), { code: 'REDIS_REFUSED' });
    assert.deepEqual(await client.scripts('check', call('d', '1')), ['1'], 'the other was done, and known again');
    for (const calls of [undefined, [], [['k']], [['k'], 'a'], [[1], []]]) {
      assert.throws(() => client.scripts('check', calls), { code: 'BAD_OPTION' });
    }
    assert.throws(() => client.scripts('nosuch', call('a', '1')), { code: 'BAD_OPTION' });
    client.close();
    await assert.rejects(client.scripts('check', call('a', '1')), { code: 'CLOSED' });
  });

  it('rejects with codes', async () => {
    const { url } = await startRedis();
    const client = open(url);
    await assert.rejects(client.command(['NOSUCH']), { code: 'REDIS_REFUSED' });
    const nobody = open('redis://127.0.0.1:1');
    await assert.rejects(nobody.describe(), { code: 'REDIS_UNREACHABLE' });
    const waiting = client.command(['PING']);
    client.close();
    await assert.rejects(waiting, { code: 'CLOSED' });
    await assert.rejects(client.command(['PING']), { code: 'CLOSED' });
    client.close();
  });

  it('throws at once on what can be no call', async () => {
    const { Redis } = loadAddon();
    assert.throws(() => new Redis({ nodes: [] }), { code: 'BAD_OPTION' });
    const { url } = await startRedis();
    const client = open(url);
    assert.throws(() => client.command([]), { code: 'BAD_OPTION' });
    assert.throws(() => client.command([1]), { code: 'BAD_OPTION' });
    assert.throws(() => client.script('nosuch', [], []), { code: 'BAD_OPTION' });
    assert.throws(() => client.script('claim', 'k', []), { code: 'BAD_OPTION' });
  });

  it('goes down with a worker that is ended while answers are under way', async () => {
    const { url } = await startRedis();
    const program = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.native).then(({ loadAddon }) => {
        const client = new (loadAddon().Redis)({ nodes: [workerData.url] });
        const go = () => client.command(['PING'], 'x', true).then(() => { parentPort.postMessage('up'); go(); });
        go(); go();
      });`;
    const native = new URL('../../../lib/server/native.js', import.meta.url).href;
    const worker = new Worker(program, { eval: true, workerData: { url, native } });
    await once(worker, 'message');
    assert.equal(await worker.terminate(), 1);
  });
});
