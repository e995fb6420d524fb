// The flow tests of the embedded store, as they are, on a real Redis: what a user sees is the same.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { root } from '../../scripts/lib/files.mjs';
import { startRedis } from './support/redis.js';
import { cleanUp } from './support/servers.js';

const FILES = ['messages', 'packages', 'api', 'http-calls', 'authorize', 'offline', 'tokens'];

describe('flow: the same on Redis', function () {
  this.timeout(240_000);
  afterEach(cleanUp);

  it(FILES.join(', '), async () => {
    const { url } = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
    const mocha = createRequire(join(root, 'package.json')).resolve('mocha/bin/mocha.js');
    const files = FILES.map((name) => `test/flow/${name}.test.js`);
    const child = spawn(process.execPath, [mocha, '--reporter', 'dot', ...files], {
      cwd: root,
      env: { ...process.env, EVERYONCE_FLOW_REDIS: url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    assert.equal(code, 0, said);
    assert.match(said, /\b[4-9]\d passing/);
  });
});
