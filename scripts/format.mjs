// npm run format: puts every file into the project's format.
import { join } from 'node:path';
import { cppFiles } from './lib/checks.mjs';
import { root } from './lib/files.mjs';
import { step } from './lib/progress.mjs';
import { run } from './lib/run.mjs';

await step('prettier', (onLine) => run(join(root, 'node_modules/.bin/prettier'), ['--write', '.'], { onLine }));
await step('clang-format', (onLine) => run('clang-format', ['-i', ...cppFiles()], { onLine }));
