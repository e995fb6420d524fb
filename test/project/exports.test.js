// The package as its users see it: import and require, types, and a client that runs in browsers.
import assert from 'node:assert/strict';
import { createRequire, isBuiltin } from 'node:module';
import { readText } from '../../scripts/lib/files.mjs';
import { importClosure } from '../../scripts/lib/includes.mjs';

const require = createRequire(import.meta.url);
/** By a name that tsc does not follow: the types are made later than it runs. */
const load = (/** @type {string} */ name) => import(name);
const manifest = JSON.parse(readText('package.json') ?? '');

describe('the package', () => {
  for (const name of ['everyonce', 'everyonce/client', 'everyonce/idempotency']) {
    it(`${name}: import and require give the same`, async () => {
      const imported = await load(name);
      const required = require(name);
      assert.deepEqual(
        Object.keys(required)
          .filter((key) => key !== '__esModule')
          .sort(),
        Object.keys(imported)
          .filter((key) => key !== 'module.exports')
          .sort(),
      );
      for (const key of Object.keys(imported)) assert.equal(required[key], imported[key], key);
    });
  }

  it('everyonce has what api.md names', async () => {
    const { createServer, Client, FileOutbox, MemoryOutbox } = await load('everyonce');
    for (const one of [createServer, Client, FileOutbox, MemoryOutbox]) assert.equal(typeof one, 'function');
  });

  it('everyonce has the native primitives of api.md that need no store', async () => {
    const { Snowflake, BloomFilter, RotatingBloom, PackageReorder, StreamReorder } = await load('everyonce');
    const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
    for (const one of [Snowflake, BloomFilter, RotatingBloom, PackageReorder, StreamReorder]) {
      for (const method of ['close', 'stats', dispose])
        assert.equal(typeof one.prototype[method], 'function', one.name);
    }
  });

  it('everyonce/client has what api.md names', async () => {
    const { Client, IndexedDBOutbox, MemoryOutbox } = await load('everyonce/client');
    for (const one of [Client, IndexedDBOutbox, MemoryOutbox]) assert.equal(typeof one, 'function');
  });

  it('everyonce/client leads to no Node built-in, no package and no native code', () => {
    const files = importClosure('lib/client/index.js');
    assert.ok(files.size > 2);
    for (const file of files) {
      assert.ok(!isBuiltin(file), file);
      assert.match(file, /^lib\/(client|protocol)\/[a-z/_-]+\.js$/);
      assert.doesNotMatch(readText(file) ?? '', /\b(process|Buffer|__dirname)\b\s*[.[(]/, `${file} uses a Node global`);
    }
  });

  it('publishes every file that its entry points and its install script lead to', () => {
    const published = (/** @type {string} */ path) =>
      manifest.files.some((/** @type {string} */ one) => path === one || path.startsWith(`${one}/`));
    const entries = [
      ...Object.values(manifest.exports).map((one) => (typeof one === 'string' ? one : one.default)),
      ...Object.values(manifest.bin),
      'scripts/install.mjs',
      'scripts/sources.mjs',
    ].map((path) => path.replace(/^\.\//, ''));
    for (const entry of entries) {
      assert.ok(readText(entry) !== undefined, `${entry} is missing`);
      for (const file of importClosure(entry)) {
        if (readText(file) !== undefined && file !== 'package.json')
          assert.ok(published(file), `${entry} leads to ${file}`);
      }
    }
  });
});
