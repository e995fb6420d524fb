// Builds the addon (build/Release/everyonce.node); with --tests the native test program, with
// --simulation the addon of test/simulation, with --bench the program of bench/native, with --all everything that tests need.
// EVERYONCE_SANITIZE=address or =thread builds into build/Address or build/Thread instead.
import { withLock } from './lib/lock.mjs';
import { build, configurationFromEnvironment, hasSources, isBuilt, outputOf } from './lib/native.mjs';

/** @type {import('./lib/native.mjs').Target[]} */
let targets = ['everyonce'];
if (process.argv.includes('--tests')) targets = ['everyonce_tests'];
if (process.argv.includes('--simulation')) targets = ['everyonce_simulation'];
if (process.argv.includes('--bench')) targets = ['everyonce_bench'];
if (process.argv.includes('--all')) targets = ['everyonce', 'everyonce_tests', 'everyonce_simulation'];
try {
  const configuration = configurationFromEnvironment();
  for (const target of targets) {
    if (!hasSources(target)) {
      console.log(`${target}: no sources`);
    } else if (isBuilt(target, configuration)) {
      console.log(`${outputOf(target, configuration)} is up to date`);
    } else {
      await withLock(() => build(target, configuration, { onLine: (line) => console.log(line) }));
    }
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
