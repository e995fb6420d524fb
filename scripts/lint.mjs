// npm run lint [-- name…]: every check of form, or those named: types eslint prettier clang-format clang-tidy.
import { checks } from './lib/checks.mjs';
import { step } from './lib/progress.mjs';

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in checks));
if (unknown.length > 0) {
  console.error(`no such check: ${unknown.join(' ')}; there are: ${Object.keys(checks).join(' ')}`);
  process.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(checks)) {
  await step(name, checks[name]).catch(() => (process.exitCode = 1));
}
