// The examples on the pages of docs/primitives run, and print what they say they do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = `${root}docs/primitives/`;

describe('docs/primitives', () => {
  for (const page of readdirSync(folder).filter((name) => name.endsWith('.md'))) {
    const text = readFileSync(folder + page, 'utf8');
    const [, example] = /```js\n([\s\S]*?)```/.exec(text) ?? [];
    it(`${page}: its example runs`, async function () {
      this.timeout(60_000);
      assert.ok(example, 'every page has an example');
      // Paths that an example names are made where nobody minds.
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', example], { cwd: root });
      const promised = [...example.matchAll(/console\.log\((?!.*for \().*\); \/\/ '?([^:'\n]+)/g)].map(([, one]) =>
        one.trim(),
      );
      for (const one of promised) assert.ok(stdout.includes(one), `${one}\nis not in what it printed:\n${stdout}`);
    });
  }
});
