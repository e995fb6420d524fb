// No file says where packages come from: that is the business of whoever installs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readText, root } from '../../scripts/lib/files.mjs';

/** Built from parts, so that this file does not name them either. */
const hosts = [
  ['registry', 'npmjs', 'org'],
  ['registry', 'yarnpkg', 'com'],
  ['npm', 'pkg', 'github', 'com'],
  ['registry', 'npmmirror', 'com'],
  ['deb', 'debian', 'org'],
].map((parts) => parts.join('.'));

describe('the tree', () => {
  it('names no registry host', () => {
    const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
    assert.ok(files.includes('package.json'));
    for (const file of files) {
      const text = readText(file) ?? '';
      for (const host of hosts) assert.ok(!text.includes(host), `${file} names ${host}`);
    }
  });

  it('has a lock file without addresses', () => {
    const { packages } = JSON.parse(readText('package-lock.json') ?? '');
    for (const [path, entry] of Object.entries(packages)) {
      assert.equal(entry.resolved, undefined, path);
      if (path !== '') assert.match(entry.integrity, /^sha512-/, path);
    }
  });
});
