// docs/idempotency.md: its programs are JavaScript, and import what there is; its links lead somewhere; its codes are the table's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { IDEMPOTENCY_CODES } from '../../lib/protocol/codes.js';
import * as kit from '../../lib/idempotency/index.js';
import { readText, root } from '../../scripts/lib/files.mjs';

const page = readText('docs/idempotency.md');

describe('docs/idempotency.md', () => {
  it('has programs that are modules, and import what there is', () => {
    const blocks = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1]);
    assert.ok(blocks.length > 4);
    for (const block of blocks) {
      const checked = spawnSync(process.execPath, ['--check', '--input-type=module', '-'], {
        input: block,
        encoding: 'utf8',
      });
      assert.equal(checked.status, 0, `${checked.stderr}\n${block}`);
      const [, names] = /import \{ ([^}]+) \} from 'everyonce\/idempotency'/.exec(block) ?? [];
      assert.ok(names, block);
      for (const name of names.split(', ')) assert.equal(typeof kit[name], 'function', name);
    }
  });

  it('has links that lead somewhere', () => {
    const anchors = [...page.matchAll(/^##+ (.+)$/gm)].map(([, title]) =>
      title
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, target] of page.matchAll(/\]\(([^)]+)\)/g)) {
      if (target.startsWith('#')) assert.ok(anchors.includes(target.slice(1)), target);
      else assert.ok(existsSync(join(root, dirname('docs/idempotency.md'), target)), target);
    }
  });

  it('names every code of the kit, and every function', () => {
    for (const code of Object.keys(IDEMPOTENCY_CODES)) assert.ok(page.includes(`\`${code}\``), code);
    for (const name of Object.keys(kit)) assert.ok(page.includes(name), name);
  });
});
