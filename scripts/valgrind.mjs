// npm run test:valgrind [-- FILTER]: the native tests under valgrind, once before a release. It sees what the sanitizers' builds do
// not: the very code that is released, and the libraries that are not instrumented. Slow: tests that count time in real
// processes, and those that start servers, are left out.
import { build, isBuilt, outputOf } from './lib/native.mjs';
import { withLock } from './lib/lock.mjs';
import { run } from './lib/run.mjs';

const LEFT_OUT = [
  'Redis*',
  'EngineThread*',
  'StoreThread*',
  'LogConformance.*',
  'WalTail*',
  'RocksRetention*',
  '*Load*',
  '*Random*',
];
const [filter = `-${LEFT_OUT.join(':')}`] = process.argv.slice(2);

await withLock(async () => {
  const onLine = (/** @type {string} */ line) => console.log(line);
  if (!isBuilt('everyonce_tests', 'Release')) await build('everyonce_tests', 'Release', { onLine });
});
const checks = ['--error-exitcode=9', '--leak-check=full', '--errors-for-leak-kinds=definite', '--quiet'];
const args = [...checks, outputOf('everyonce_tests', 'Release'), `--gtest_filter=${filter}`];
const { code } = await run('valgrind', args, { onLine: (line) => console.log(line), allowFailure: true });
process.exitCode = code === 0 ? 0 : 1;
