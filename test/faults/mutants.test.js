// Every planted bug, here and of test/simulation, still fits the sources; that each is caught is `npm run mutants` and
// `npm run mutants:schedules`.
import assert from 'node:assert/strict';
import { readText } from '../../scripts/lib/files.mjs';
import { applyPatch, parsePatch } from './mutants/patch.js';
import { readPatches } from './mutants/planted.js';

const patches = readPatches(['test/faults/mutants', 'test/simulation/mutants']);
const names = patches.map(({ name }) => name);

describe('planted bugs', () => {
  for (const { name, patch } of patches) {
    it(`${name} applies, and changes something`, () => {
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
