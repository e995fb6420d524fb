// npm packages: installed exactly as package-lock.json says, and only when that has changed.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readText, root, writeText } from './files.mjs';
import { run } from './run.mjs';

const stamp = 'node_modules/.everyonce-lock';

/** @returns {string} */
function lockHash() {
  return createHash('sha256')
    .update(readText('package-lock.json') ?? '')
    .digest('hex');
}

/** @returns {boolean} whether node_modules is what the lock file says */
export function packagesAreInstalled() {
  const installed = readText('node_modules/.package-lock.json');
  if (installed === undefined) return false;
  if (readText(stamp) === lockHash()) return true;
  // Installed by hand: the same versions are as good. What is optional may be missing on this system.
  const present = JSON.parse(installed).packages;
  const wanted = JSON.parse(readText('package-lock.json') ?? '{"packages":{}}').packages;
  const same = Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' || (path in present ? present[path].integrity === entry.integrity : entry.optional === true),
  );
  if (same) writeText(stamp, lockHash());
  return same;
}

/** @param {(line: string) => void} onLine */
export async function installNpmPackages(onLine) {
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  const npm = process.env.npm_execpath;
  if (npm && /npm-cli\.c?js$/.test(npm)) await run(process.execPath, [npm, ...args], { onLine });
  else await run('npm', args, { onLine });
  writeText(stamp, lockHash());
}

/** What the tests need compiled: scripts of packages do not run by themselves. */
const compiledPackage = 'node_modules/better-sqlite3';

/** @returns {boolean} */
export function testPackagesAreBuilt() {
  const folder = join(root, compiledPackage);
  return !existsSync(folder) || existsSync(join(folder, 'build/Release/better_sqlite3.node'));
}

/** @param {(line: string) => void} onLine */
export async function buildTestPackages(onLine) {
  const args = ['rebuild', 'better-sqlite3'];
  const npm = process.env.npm_execpath;
  if (npm && /npm-cli\.c?js$/.test(npm)) await run(process.execPath, [npm, ...args], { onLine });
  else await run('npm', args, { onLine });
}
