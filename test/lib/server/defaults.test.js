import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DEFAULTS, DRAIN, EDGE, LIMITS } from '../../../lib/server/defaults.js';

const page = readFileSync(new URL('../../../docs/server.md', import.meta.url), 'utf8');

/** The row of docs/server.md that begins with `name`, as cells. */
function row(name) {
  const line = page.split('\n').find((each) => each.startsWith(`| \`${name}\``));
  assert.ok(line, `docs/server.md has no row for ${name}`);
  return line.split('|').slice(1, -1).map((cell) => cell.trim()); // prettier-ignore
}

describe('docs/server.md', () => {
  for (const [name, { value, min, max, unit }] of Object.entries(LIMITS)) {
    it(`says limits.${name} as it is`, () =>
      assert.deepEqual(row(`limits.${name}`).slice(1, 5), [value, unit, min, max].map(String)));
  }

  it('says the defaults as they are', () => {
    for (const [name, value] of Object.entries({
      data: `\`'${DEFAULTS.data}'\``,
      'durability.fsync': `\`${DEFAULTS.fsync}\``,
      'retention.everyMs': `\`${DEFAULTS.retentionEveryMs}\``,
      'dedup.windowMs': `\`${DEFAULTS.dedupWindowMs}\``,
      'dedup.tokenTtlMs': `\`${DEFAULTS.tokenTtlMs}\``,
    })) {
      assert.equal(row(name)[1], value, name);
    }
  });

  for (const [name, value] of Object.entries({ ...EDGE, ...DRAIN })) {
    it(`says ${name} as it is`, () => assert.equal(row(name)[1], String(value)));
  }
});
