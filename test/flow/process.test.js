// The server as a process of its own: what it prints, how it ends, what it needs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer } from '../../lib/server/server.js';
import { closeServer, listening as otherListening } from '../lib/server/support/net.js';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, spawnServer, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const WORKER_PROGRAM = fileURLToPath(new URL('support/worker-program.js', import.meta.url));

describe('flow: process', function () {
  this.timeout(30_000);
  afterEach(cleanUp);

  it('says where it listens, serves, and on SIGTERM says bye, closes with 1012 and exits with 0', async () => {
    const { child, exited, listening } = spawnServer('--port', '0', '--insecure', '--data', join(makeDirectory(), 'd'));
    const port = await listening;
    const alice = await login({ port }, 'alice');
    assert.equal((await alice.say(DM, 'message-1', 'hi', { n: 1 })).seq, 1);
    child.kill('SIGTERM');
    const bye = await alice.take('bye');
    assert.deepEqual([bye.code, bye.after], ['drain', 500]);
    // What is sent while it drains is still answered.
    assert.equal((await alice.say(DM, 'message-2', 'hi', { n: 2 })).seq, 2);
    assert.equal(await alice.closed, 1012);
    const { code, out, err } = await exited;
    assert.deepEqual([code, out, err], [0, `everyonce listening on http://127.0.0.1:${port}\n`, '']);
  });

  it('keeps what it acked through kill -9', async () => {
    const data = join(makeDirectory(), 'd');
    const first = spawnServer('--port', '0', '--insecure', '--data', data);
    const alice = await login({ port: await first.listening }, 'alice');
    const acks = [];
    for (let n = 1; n <= 20; n++) acks.push(await alice.say(DM, `message-${n}`, n, { n }));
    first.child.kill('SIGKILL');
    await first.exited;
    const second = spawnServer('--port', '0', '--insecure', '--data', data);
    const again = await login({ port: await second.listening }, 'alice');
    for (let n = 1; n <= 20; n++) {
      assert.deepEqual(await again.say(DM, `message-${n}`, n, { n }), { ...acks[n - 1], dup: true });
    }
    assert.equal((await again.say(DM, 'message-21', 21, { n: 21 })).seq, 21);
  });

  it('says "safe":"memory" with --durability memory', async () => {
    const { listening } = spawnServer('--port', '0', '--insecure', '--durability', 'memory', '--data', join(makeDirectory(), 'd')); // prettier-ignore
    const alice = await login({ port: await listening }, 'alice');
    assert.equal((await alice.say(DM, 'message-1', 1, { n: 1 })).safe, 'memory');
  });

  describe('does not start', () => {
    const fails = async (says, exit, ...flags) => {
      const { code, out, err } = await spawnServer('--port', '0', ...flags).exited;
      assert.deepEqual([code, out], [exit, ''], err);
      assert.match(err, says);
      assert.equal(err.trim().split('\n').length, exit === 1 ? 1 : 2, err);
    };

    it('with wrong flags: 2', () => fails(/--jwt-secret, --jwks or --insecure/, 2));

    it('on a data directory that another process has open', async () => {
      const data = join(makeDirectory(), 'd');
      await spawnServer('--port', '0', '--insecure', '--data', data).listening;
      await fails(new RegExp(`${data}.*process`), 1, '--insecure', '--data', data);
    });

    it('on one that can not be written', async () => {
      const file = join(makeDirectory(), 'file');
      writeFileSync(file, 'not a directory');
      await fails(new RegExp(file), 1, '--insecure', '--data', join(file, 'd'));
      if (process.getuid?.() !== 0) {
        const closed = join(makeDirectory(), 'closed');
        mkdirSync(closed);
        chmodSync(closed, 0o500);
        await fails(new RegExp(closed), 1, '--insecure', '--data', join(closed, 'd'));
      }
    });

    it('on one of a newer version', async () => {
      const data = makeDirectory();
      writeFileSync(join(data, 'everyonce.store'), newerStoreFile());
      await fails(/newer version/, 1, '--insecure', '--data', data);
    });

    it('on a folder of something else', async () => {
      const data = makeDirectory();
      writeFileSync(join(data, 'holiday.jpg'), '');
      await fails(new RegExp(data), 1, '--insecure', '--data', data);
    });

    it('on a port in use, and lets the data go', async () => {
      const other = await otherListening();
      onCleanUp(() => closeServer(other));
      const data = join(makeDirectory(), 'd');
      const { code, err } = await spawnServer('--port', String(other.port), '--insecure', '--data', data).exited;
      assert.equal(code, 1);
      assert.match(err, /in use/);
      const server = createServer({ insecure: true, data });
      await server.close();
    });
  });

  describe('several servers', () => {
    it('live in one process, each with its own store and its own users', async () => {
      const [one, two] = [await startServer(), await startServer()];
      const [a1, a2] = [await login(one, 'alice'), await login(two, 'alice')];
      for (let n = 1; n <= 3; n++) assert.equal((await a1.say(DM, `message-${n}`, n, { n })).seq, n);
      assert.equal((await a2.say(DM, 'message-1', 1, { n: 1 })).seq, 1);
      await one.close();
      assert.equal((await a2.say(DM, 'message-2', 1, { n: 2 })).seq, 2);
    });

    it('do not share a directory, until one is closed', async () => {
      const data = join(makeDirectory(), 'd');
      const one = createServer({ insecure: true, data });
      assert.throws(() => createServer({ insecure: true, data }), { code: 'STORE_LOCKED', data });
      await one.close();
      const two = createServer({ insecure: true, data });
      await two.close();
    });

    it('open and close many times', async () => {
      const data = join(makeDirectory(), 'd');
      for (let i = 0; i < 20; i++) {
        const server = createServer({ insecure: true, data });
        const ack = await server.publish({ conv: DM, from: 'alice', id: `message-${i}`, body: i });
        assert.equal(ack.seq, i + 1);
        await server.close();
      }
    });
  });

  // In a process of its own: what goes wrong at a worker's end goes wrong for the whole process.
  it('runs in a worker thread, closed in order or cut off', async () => {
    const child = spawn(process.execPath, [WORKER_PROGRAM, join(makeDirectory(), 'd')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
    const [code, signal] = await once(child, 'close');
    assert.deepEqual([code, signal], [0, null], said);
  });
});

/** What InspectDirectory reads, of a format that does not exist yet. */
function newerStoreFile() {
  return 'everyonce store\nformat 999\nstate ready\n';
}
