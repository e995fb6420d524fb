// The examples of docs/primitives run as printed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { listFiles, readText, root } from '../../scripts/lib/files.mjs';
import { redisServer } from '../support/redis.js';

const pages = listFiles('docs/primitives', (name) => name.endsWith('.md')).filter(
  (page) => !page.endsWith('README.md'),
);

describe('docs/primitives', function () {
  this.timeout(30_000);
  /** @type {string} */
  let folder;

  before(() => {
    // Inside the package, so that `everyonce` is this package.
    mkdirSync(join(root, 'build'), { recursive: true });
    folder = mkdtempSync(join(root, 'build', 'primitives-'));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const page of pages) {
    it(`${page}: its examples run`, async () => {
      const blocks = [...(readText(page) ?? '').matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
      assert.ok(blocks.length > 0, `${page} has no example`);
      for (const [i, code] of blocks.entries()) {
        const file = join(folder, `example-${i}.mjs`);
        writeFileSync(file, code);
        await promisify(execFile)(process.execPath, [file], { cwd: folder });
        if (!code.includes('REDIS_URL')) continue;
        const { host, port } = await redisServer();
        const env = { ...process.env, REDIS_URL: `redis://${host}:${port}` };
        const told = await promisify(execFile)(process.execPath, [file], { cwd: folder, env });
        assert.equal(told.stderr, '', `${page} on Redis`);
      }
    });
  }

  it('has a page for every class of lib/primitives that everyonce exports, and a row for it', () => {
    const exported = [...(readText('lib/index.js') ?? '').matchAll(/from '\.\/primitives\/([a-z-]+)\.js'/g)];
    const names = exported.map(([, name]) => name);
    assert.ok(names.length >= 5);
    for (const name of names) {
      assert.ok(pages.includes(`docs/primitives/${name}.md`), `docs/primitives/${name}.md is missing`);
      assert.ok(readText('docs/primitives/README.md')?.includes(`(${name}.md)`), `the list lacks ${name}`);
    }
  });
});
