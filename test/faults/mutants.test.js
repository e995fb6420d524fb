// Every planted bug of mutants/ still fits the sources; that each is caught is `npm run mutants`.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { readText } from '../../scripts/lib/files.mjs';
import { applyPatch, parsePatch } from './mutants/patch.js';

const folder = new URL('mutants/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.patch'));

describe('planted bugs', () => {
  for (const name of names) {
    it(`${name} applies, and changes something`, () => {
      const patch = parsePatch(readFileSync(new URL(name, folder), 'utf8'));
      const source = readText(patch.path) ?? '';
      assert.notEqual(applyPatch(source, patch), source);
      assert.ok(patch.about.endsWith('.'), 'its first line says what it does');
    });
  }

  it('there is one at least in dedupe, numbering, ranges, paging, fan-out and the client', () => {
    for (const kind of ['dedupe', 'numbering', 'ranges', 'paging', 'fanout', 'client']) {
      assert.ok(names.some((name) => name.startsWith(`${kind}-`)), kind); // prettier-ignore
    }
  });

  it('a patch that does not fit word for word, or fits twice, is refused', () => {
    const patch = parsePatch('It.\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n');
    assert.equal(applyPatch('a\nc\n', patch), 'b\nc\n');
    assert.throws(() => applyPatch('c\n', patch), /0 times/);
    assert.throws(() => applyPatch('a\na\n', patch), /2 times/);
  });
});
