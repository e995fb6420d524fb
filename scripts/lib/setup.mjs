// What `npm start` and `npm test` need on this machine, and how to get it. Uses Node's built-ins only: it runs first.
import { installLine, installPackages, missingPackages, packagesFor, privilege } from './debian.mjs';
import { withLock } from './lock.mjs';
import { build, hasSources, isBuilt } from './native.mjs';
import { buildTestPackages, installNpmPackages, packagesAreInstalled, testPackagesAreBuilt } from './npm.mjs';
import { elapsed, step } from './progress.mjs';

/** The oldest Node that can `require()` an ES module without a flag. */
const minimumNode = [20, 19];

/** Something is missing that setup may not, or can not, install. The message says what to do. */
export class SetupError extends Error {}

/**
 * Installs and builds what is missing, one setup at a time.
 * @param {import('./debian.mjs').Profile} profile
 * @param {{ quiet?: boolean }} [options] quiet: say nothing where nothing is missing
 * @throws {SetupError | Error} everything else than a SetupError has been printed already
 */
export async function setup(profile, options = {}) {
  const started = performance.now();
  checkNode();
  if (isReady(profile)) {
    if (!options.quiet) console.log(`everyonce: everything is installed and built (${elapsed(started)})`);
    return;
  }
  console.log(`everyonce: setting up for \`npm ${profile}\``);
  await withLock(async () => {
    await debianPackages(profile);
    if (!packagesAreInstalled()) {
      await step('npm packages', (onLine) => installNpmPackages(onLine), { hint: hints.npm });
    }
    // One large C file that keeps one core busy for more than a minute: beside the addon, and shown after it.
    const beside = profile === 'test' && !testPackagesAreBuilt() ? buildTestPackages(() => {}) : undefined;
    beside?.catch(() => {});
    if (hasSources('everyonce') && !isBuilt('everyonce', 'Release')) {
      await step('native addon', (onLine) => build('everyonce', 'Release', { onLine }), { hint: hints.build });
    }
    if (beside) await step('better-sqlite3', () => beside, { hint: hints.npm });
  });
  console.log(`everyonce: ready (${elapsed(started)})`);
}

const hints = {
  apt: 'Installing Debian packages failed. Once apt-get works again, the same command goes on from here.',
  npm: 'Installing npm packages failed. Is the registry of your npm configuration within reach? Then run the same command again.',
  build: 'The addon did not compile. `npm run build` shows the whole output; `rm -rf build` begins anew.',
};

/** @param {import('./debian.mjs').Profile} profile */
function isReady(profile) {
  if (missingPackages(profile)?.length || !packagesAreInstalled()) return false;
  if (profile === 'test' && !testPackagesAreBuilt()) return false;
  return !hasSources('everyonce') || isBuilt('everyonce', 'Release');
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < minimumNode[0] || (major === minimumNode[0] && minor < minimumNode[1])) {
    throw new SetupError(`everyonce needs Node ${minimumNode.join('.')} or newer; this is ${process.version}.`);
  }
}

/** @param {import('./debian.mjs').Profile} profile */
async function debianPackages(profile) {
  const missing = missingPackages(profile);
  if (!missing) {
    console.log(`This is no Debian system; see that it has the equivalent of: ${packagesFor(profile).join(' ')}`);
    return;
  }
  if (missing.length === 0) return;
  const prefix = privilege();
  if (!prefix) {
    throw new SetupError(
      `Debian packages are missing, and may not be installed from here. Run:\n\n  ${installLine(missing)}\n`,
    );
  }
  await step(`Debian packages: ${missing.join(' ')}`, (onLine) => installPackages(missing, prefix, onLine), {
    hint: hints.apt,
  });
}
