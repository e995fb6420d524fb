// docs/guarantees.md and docs/found.md name the tests that show what they say: each is there, under that name.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readText, root } from '../../scripts/lib/files.mjs';

/** `path`: *title of a test in it, or a part of the title* */
const REFERENCE = /`(test\/[^`]+)`: \*([^*]+)\*/g;
/** A line of a table whose first cell says something, or goes on with the one above. */
const ROW = /^\| (?!---|promise |found )[^|]*\|/;

/** @param {string} path @param {string} title @returns {boolean} */
function hasTest(path, title) {
  const text = readText(path) ?? '';
  const native = /^(\w+)\.(\w+)$/.exec(title);
  if (path.endsWith('.cc') && native)
    return new RegExp(`^TEST(_F|_P)?\\(${native[1]}, ${native[2]}\\)`, 'm').test(text);
  const titles = [...text.matchAll(/\bit\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g)].map(([, , name]) => name);
  return titles.some((name) => name.replaceAll('\\', '').includes(title));
}

for (const page of ['docs/guarantees.md', 'docs/found.md']) {
  describe(page, () => {
    const text = readText(page) ?? '';

    it('names only tests that are there', () => {
      const references = [...text.matchAll(REFERENCE)];
      assert.ok(references.length > 10);
      const missing = references.filter(([, path, title]) => !hasTest(path, title)).map(([whole]) => whole);
      assert.deepEqual(missing, []);
    });

    it('has a test for every row', () => {
      const rows = text.split('\n').filter((line) => ROW.test(line));
      assert.ok(rows.length > 9);
      assert.deepEqual(
        rows.filter((row) => !row.match(REFERENCE)),
        [],
      );
    });
  });
}

describe('SECURITY.md', () => {
  it('names only files that are there', () => {
    const paths = [...(readText('SECURITY.md') ?? '').matchAll(/`(test\/[\w/.-]+)`/g)].map(([, path]) => path);
    assert.ok(paths.length > 15);
    assert.deepEqual(
      paths.filter((path) => !existsSync(join(root, path))),
      [],
    );
  });
});

describe('the check of these pages', () => {
  it('knows a title that is not there from one that is', () => {
    assert.ok(hasTest('test/project/guarantees.test.js', 'names only tests that are there'));
    assert.ok(!hasTest('test/project/guarantees.test.js', 'names only tests that are nowhere'));
    assert.ok(!hasTest('test/native/log/kv_test.cc', 'KvTest.NobodyWroteThis'));
  });
});
