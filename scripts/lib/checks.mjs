// The checks of form: eslint, prettier, clang-format, clang-tidy, and the types.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cppSources, hashFiles, listFiles, readText, root, writeText } from './files.mjs';
import { includeClosure } from './includes.mjs';
import { withLock } from './lock.mjs';
import { configureForTools } from './native.mjs';
import { CommandError, run } from './run.mjs';

const tools = join(root, 'node_modules/.bin');
const tidyCache = 'node_modules/.cache/everyonce/clang-tidy';
const tidyJobs = 2;
/**
 * Within `npm test` clang-tidy stops beginning new files after this; what it has passed is remembered, so the next run goes on.
 * `.ci/run` looks at all of them.
 */
const tidyTestMs = 20_000;

/** @returns {string[]} all C++ files, headers too */
export function cppFiles() {
  return ['src', 'test/native', 'bench/native'].flatMap((folder) =>
    listFiles(folder, (name) => /\.(cc|h)$/.test(name)),
  );
}

/** @typedef {(line: string) => void} OnLine */

/**
 * Each throws where it finds something; the result may be a remark. `brief`: within the time of `npm test`.
 * @type {Record<string, (onLine: OnLine, brief?: boolean) => Promise<unknown>>}
 */
export const checks = {
  types: (onLine) => run(join(tools, 'tsc'), ['-p', 'tsconfig.json'], { onLine }),
  eslint: (onLine) => run(join(tools, 'eslint'), ['--max-warnings', '0', '.'], { onLine }),
  prettier: (onLine) => run(join(tools, 'prettier'), ['--check', '--log-level', 'warn', '.'], { onLine }),
  'clang-format': async (onLine) => {
    const files = cppFiles();
    if (files.length > 0) await run('clang-format', ['--dry-run', '-Werror', ...files], { onLine });
  },
  'clang-tidy': clangTidy,
};

/**
 * Only files are looked at that have changed, or whose headers have, since they last passed.
 * @param {OnLine} onLine
 * @param {boolean} [brief]
 * @returns {Promise<string>}
 */
async function clangTidy(onLine, brief) {
  if (cppSources(['src']).length === 0) return '';
  const endMs = performance.now() + (brief ? tidyTestMs : Infinity);
  await withLock(() => configureForTools(onLine));
  const { output: version } = await run('clang-tidy', ['--version']);
  const stale = cppSources(['src'])
    .map((file) => ({ file, stamp: `${tidyCache}/${tidyHash(file, version)}` }))
    .filter(({ stamp }) => !existsSync(join(root, stamp)));
  /** @type {string[]} */
  const found = [];
  let done = 0;
  const worker = async () => {
    for (let next = stale.pop(); next; next = performance.now() < endMs ? stale.pop() : undefined) {
      const args = ['--quiet', '-p', 'build/Release', next.file];
      const { code, output } = await run('clang-tidy', args, { allowFailure: true });
      if (code === 0) writeText(next.stamp, next.file);
      else found.push(output);
      onLine(`${++done} files, ${next.file}`);
    }
  };
  await Promise.all(Array.from({ length: tidyJobs }, worker));
  if (found.length > 0) throw new CommandError('clang-tidy', `findings in ${found.length} files`, found.join('\n'));
  return stale.length > 0 ? `no time left for ${stale.length} files, \`npm run lint\` goes on` : '';
}

/** @param {string} file @param {string} version */
function tidyHash(file, version) {
  const files = [...includeClosure(file)].filter((path) => readText(path) !== undefined).sort();
  return hashFiles(['.clang-tidy', ...files], version);
}
