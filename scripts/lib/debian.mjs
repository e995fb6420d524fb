// The Debian packages that the project needs: which are missing, and how they are installed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cppSources } from './files.mjs';
import { run } from './run.mjs';

/** The compiler, and what the addon links. Also in README.md, "By hand". */
const forBuild = [
  'build-essential',
  'python3',
  'pkg-config',
  'librocksdb-dev',
  'libboost-dev',
  'libsimdjson-dev',
  'libxxhash-dev',
  'libhiredis-dev',
];

/** What only the tests and the linters need. The servers are started by the tests, on free ports. */
const forTests = [
  'libgtest-dev',
  'libgmock-dev',
  'clang-format',
  'clang-tidy',
  'chromium',
  'git',
  'postgresql',
  'mariadb-server',
  'redis-server',
  'openssl', // the command: certificates for the tests of TLS
];

/** @typedef {'start' | 'test'} Profile */

/** @param {Profile} profile @returns {string[]} */
export function packagesFor(profile) {
  if (profile === 'start') return forBuild;
  // The runtime's native tests alone link a libuv of their own; in the addon it is Node's.
  const runtimeTests = cppSources(['test/native/runtime']).length > 0 ? ['libuv1-dev'] : [];
  return [...forBuild, ...forTests, ...runtimeTests];
}

/**
 * @param {string[]} packages
 * @returns {Map<string, string> | undefined} the versions of those that are installed; undefined on a system without dpkg,
 *   where nothing can be said
 */
function installedVersions(packages) {
  const format = '${Package} ${Version} ${db:Status-Status}\n';
  const answer = spawnSync('dpkg-query', ['-W', `-f=${format}`, ...packages], { encoding: 'utf8' });
  if (answer.error) return undefined;
  const lines = answer.stdout.split('\n').filter((line) => line.endsWith(' installed'));
  return new Map(lines.map((line) => /** @type {[string, string]} */ (line.split(' ').slice(0, 2))));
}

/** @param {Profile} profile @returns {string[] | undefined} the packages that are not there; undefined: can't tell */
export function missingPackages(profile) {
  const installed = installedVersions(packagesFor(profile));
  return installed && packagesFor(profile).filter((name) => !installed.has(name));
}

/** @param {string[]} packages @returns {boolean} where nothing can be said, too */
export function isInstalled(packages) {
  const installed = installedVersions(packages);
  return installed === undefined || packages.every((name) => installed.has(name));
}

/** @returns {string} so that a build can tell when a library below it has changed */
export function libraryVersions() {
  return JSON.stringify([...(installedVersions(forBuild) ?? [])].sort());
}

/** @param {string[]} packages @returns {string} what to type where setup may not do it itself */
export function installLine(packages) {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  return `${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${packages.join(' ')}`;
}

/** @returns {string[] | undefined} what comes before apt-get; undefined where we may not install */
export function privilege() {
  if (!existsSync('/usr/bin/apt-get')) return undefined;
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined;
}

/**
 * @param {string[]} packages
 * @param {string[]} prefix as from privilege()
 * @param {(line: string) => void} onLine
 */
export async function installPackages(packages, prefix, onLine) {
  const apt = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-o', 'DPkg::Lock::Timeout=300'];
  const [command, ...args] = [...prefix, ...apt];
  // Old lists may still do, so the installation decides.
  const update = await run(command, [...args, 'update'], { onLine, allowFailure: true });
  try {
    await run(command, [...args, 'install', '-y', '--no-install-recommends', ...packages], { onLine });
  } catch (error) {
    if (update.code !== 0 && error instanceof Error) error.message += ' (apt-get update had failed before it)';
    throw error;
  }
}
