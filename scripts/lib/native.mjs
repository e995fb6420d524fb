// The native build: gyp makes the Makefile, make does the rest. Nothing happens when nothing has changed.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { libraryVersions } from './debian.mjs';
import { cppSources, hashFiles, nativeFiles, readText, root, writeText } from './files.mjs';
import { run } from './run.mjs';

/** Address has UndefinedBehaviorSanitizer, too. @typedef {'Release' | 'Address' | 'Thread'} Configuration */
/** @typedef {'everyonce' | 'everyonce_tests' | 'everyonce_simulation' | 'everyonce_bench'} Target */

/** What EVERYONCE_SANITIZE may say. @type {Record<string, Configuration>} */
const sanitizers = { '': 'Release', address: 'Address', thread: 'Thread' };

/** @returns {Configuration} the configuration that the environment asks for */
export function configurationFromEnvironment() {
  const wanted = process.env.EVERYONCE_SANITIZE ?? '';
  const configuration = sanitizers[wanted];
  if (!configuration) throw new Error(`EVERYONCE_SANITIZE is "${wanted}"; it can be "address" or "thread"`);
  return configuration;
}

/**
 * @param {Target} target
 * @param {Configuration} configuration
 * @returns {string} the file that the target makes
 */
export function outputOf(target, configuration) {
  const isProgram = target === 'everyonce_tests' || target === 'everyonce_bench';
  return join(root, 'build', configuration, isProgram ? target : `${target}.node`);
}

/** @returns {boolean} whether there is something to make the target of; a young tree may lack it */
export function hasSources(/** @type {Target} */ target) {
  const folders = {
    everyonce: 'src/addon',
    everyonce_tests: 'test/native',
    everyonce_simulation: 'test/simulation',
    everyonce_bench: 'bench/native',
  };
  return cppSources([folders[target]]).length > 0;
}

/**
 * What a build depends on: the sources, this Node, the flags, and the system libraries' versions.
 * The addon does not depend on the tests.
 * @param {Target} target
 */
function fingerprint(target) {
  const files = nativeFiles().filter((path) => target !== 'everyonce' || !/^(test|bench)\//.test(path));
  const { CXX, CXXFLAGS, LDFLAGS } = process.env;
  return hashFiles(files, [process.version, process.arch, CXX, CXXFLAGS, LDFLAGS, libraryVersions()]);
}

/** @param {string} target @param {string} configuration */
function stampPath(target, configuration) {
  return `build/${configuration}/${target}.stamp`;
}

/**
 * @param {Target} target
 * @param {Configuration} configuration
 * @returns {boolean}
 */
export function isBuilt(target, configuration) {
  return (
    existsSync(outputOf(target, configuration)) && readText(stampPath(target, configuration)) === fingerprint(target)
  );
}

/**
 * Builds a target; make itself finds out which files are stale.
 * @param {Target} target
 * @param {Configuration} configuration
 * @param {{ onLine?: (line: string) => void }} [options]
 */
export async function build(target, configuration, options = {}) {
  // Taken first: a file that changes while the compiler runs makes the next build do it again.
  const before = fingerprint(target);
  const withTests = await configure(target !== 'everyonce', options);
  if (target === 'everyonce_tests') await precompile(configuration, options);
  const jobs = process.env.JOBS || String(availableParallelism());
  rmSync(join(root, stampPath(target, configuration)), { force: true });
  // make calls gyp by itself where binding.gyp is newer than the Makefile, as after a checkout.
  const env = { EVERYONCE_TESTS: withTests ? '1' : '0' };
  await run('make', ['-C', 'build', `BUILDTYPE=${configuration}`, '-j', jobs, target], { ...options, env });
  writeText(stampPath(target, configuration), before);
}

/**
 * Compiles the header that each native test begins with (binding.gyp), once for all of them. The compiler takes the result only
 * where it was made with the flags of the test at hand, and reads the header itself otherwise.
 * @param {Configuration} configuration
 * @param {{ onLine?: (line: string) => void }} options
 */
async function precompile(configuration, options) {
  const header = 'test/native/support/precompiled.h';
  const folder = `build/${configuration}/precompiled`;
  /** @type {{ file: string, command: string }[]} */
  const commands = JSON.parse(readText(`build/${configuration}/compile_commands.json`) ?? '[]');
  const test = commands.find(({ file }) => file.startsWith(join(root, 'test/native')));
  if (!test) return;
  const { CXX = 'g++', CXXFLAGS = '' } = process.env;
  const flags = test.command
    .slice(test.command.indexOf(' '), test.command.lastIndexOf(' -c '))
    .replace(/ "-I[^"]*\$\(builddir\)[^"]*"/, '')
    .replace(/ -include \S+/, '');
  const output = join(root, folder, 'support/precompiled.h.gch');
  // No warnings: of #pragma once, in what is the main file here only.
  const command = `${CXX} ${flags} ${CXXFLAGS} -w -x c++-header ${join(root, header)} -o ${output}`;
  const state = hashFiles([header], [command, libraryVersions()]);
  if (existsSync(output) && readText(`${folder}/stamp`) === state) return;
  mkdirSync(dirname(output), { recursive: true });
  await run('sh', ['-c', command], { ...options, cwd: join(root, 'build') });
  writeText(`${folder}/stamp`, state);
}

/**
 * Writes build/Makefile and build/Release/compile_commands.json, where the list of files or binding.gyp has changed.
 * Once the tests were asked for they stay in: taking them out again would only make gyp run more often.
 * @param {boolean} withTests
 * @param {{ onLine?: (line: string) => void }} options
 * @returns {Promise<boolean>} whether the tests are in
 */
async function configure(withTests, options) {
  const stamp = 'build/configure.stamp';
  const state = (/** @type {boolean} */ tests) =>
    hashFiles(['binding.gyp'], [nativeFiles().filter((path) => /\.(cc|lua)$/.test(path)), process.version, tests]);
  const known = existsSync(join(root, 'build/Makefile')) ? readText(stamp) : undefined;
  if (known === state(true)) return true;
  if (!withTests && known === state(false)) return false;
  const args = [nodeGyp(), 'configure', ...nodeDirectory(), '--', '-f', 'make', '-f', 'compile_commands_json'];
  await run(process.execPath, args, { ...options, env: { EVERYONCE_TESTS: withTests ? '1' : '0' } });
  writeText(stamp, state(withTests));
  return withTests;
}

/**
 * Writes compile_commands.json for clang-tidy and editors, with the tests in it.
 * @param {(line: string) => void} onLine
 */
export function configureForTools(onLine) {
  return configure(true, { onLine });
}

/** @returns {string} node-gyp's own script: the project's, or the one that npm brings for install scripts */
function nodeGyp() {
  try {
    return createRequire(join(root, 'package.json')).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    if (process.env.npm_config_node_gyp) return process.env.npm_config_node_gyp;
    throw new Error('node-gyp is not installed; run: npm run setup');
  }
}

/**
 * Node's packages bring the headers along; then nothing needs to be fetched. Headers of another version are not used.
 * @returns {string[]} node-gyp's option for it, or nothing: then node-gyp decides
 */
function nodeDirectory() {
  const prefix = resolve(process.execPath, '..', '..');
  try {
    const header = readFileSync(join(prefix, 'include/node/node_version.h'), 'utf8');
    const part = (/** @type {string} */ name) => header.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
    if (`v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` === process.version) return [`--nodedir=${prefix}`];
  } catch {
    // No headers beside this node.
  }
  return [];
}
