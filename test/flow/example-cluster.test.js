// `npm start -- --cluster` (examples/chat/cluster.js), started as it stands: two server processes over a Redis Cluster of
// its own, one of which is killed while people talk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../../scripts/lib/files.mjs';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';

const DM = 'dm:alice:bob';

/** @param {Record<string, string>} env */
function start(env) {
  const child = spawn(process.execPath, [join(root, 'examples/chat/server.js'), '--cluster'], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit').then(([code]) => code);
  onCleanUp(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const lines = [];
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const line = async (wanted) => {
    for (;;) {
      const found = lines.map((text) => wanted.exec(text)).find(Boolean);
      if (found) return found;
      await once(reader, 'line');
    }
  };
  return { child, exited, line, lines, said: () => said };
}

const isAlive = (pid) => existsSync(`/proc/${pid}`);

describe('flow: npm start -- --cluster', function () {
  this.timeout(90_000);
  afterEach(cleanUp);

  it('survives the death of a server, and leaves nothing behind', async () => {
    const tmp = makeDirectory();
    const example = start({ TMPDIR: tmp });
    const port = Number((await example.line(/^everyonce listening on http:\/\/localhost:(\d+)$/))[1]);
    const pids = example.lines
      .map((text) => /^(?:server \d|master|replica) +pid (\d+)/.exec(text)?.[1])
      .filter(Boolean);
    assert.equal(pids.length, 8);
    // The door leads to the servers in turn.
    const alice = await login({ port }, 'alice');
    const bob = await login({ port }, 'bob');
    await alice.say(DM, 'message-0001', 'hi', { n: 1 });
    assert.equal((await bob.hear(DM, 1))[0].body, 'hi');
    process.kill(Number(pids[0]), 'SIGKILL');
    const code = await Promise.race([alice.closed, bob.closed]);
    assert.equal(code, 1006);
    // Until the door has heard of it, it may lead there once more.
    await example.line(/is gone; the other one goes on/);
    const again = await Promise.all(['alice', 'bob'].map((user) => login({ port }, user, { device: `${user}-2` })));
    assert.equal((await again[0].say(DM, 'message-0002', 'still here', { n: 1 })).seq, 2);
    // A device that has not got everything is told by a head.
    await again[1].take(({ seq, head }) => seq === 2 || head === 2);
    example.child.kill('SIGTERM');
    assert.equal(await example.exited, 0);
    assert.deepEqual(pids.filter(isAlive), []);
    assert.deepEqual(readdirSync(tmp), []);
  });

  it('says what to install where there is no redis-server', async () => {
    const example = start({ PATH: makeDirectory() });
    assert.equal(await example.exited, 1);
    assert.match(example.said(), /apt-get install redis-server/);
  });
});
