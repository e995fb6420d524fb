/** Planted bugs: patches of a folder, and a copy of the project that they are planted in, one after the other. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { applyPatch, parsePatch } from './patch.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** What a build and a run need; `build`, so that only the changed file is compiled again. */
const copied = ['package.json', 'binding.gyp', 'bin', 'lib', 'src', 'lua', 'scripts', 'test', 'build'];
/** Of build/, what no run needs. */
const leftOut = ['Address', 'Thread', 'Fuzz', 'reports'].map((name) => join(root, 'build', name));

/**
 * @param {string[]} folders below the root
 * @param {string} [only] names, with commas between
 * @returns {{ name: string, patch: import('./patch.js').Patch }[]}
 */
export function readPatches(folders, only) {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.patch'))
      .map((file) => ({ name: basename(file, '.patch'), file: join(root, folder, file) }))
      .filter(({ name }) => !only || only.split(',').includes(name))
      .map(({ name, file }) => ({ name, patch: parsePatch(readFileSync(file, 'utf8')) })),
  );
}

/** @returns {string} a copy of the project that is gone when this process is */
export function copyTree() {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-mutants-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  for (const name of copied) {
    const from = join(root, name);
    const filter = (/** @type {string} */ path) => !leftOut.includes(path);
    if (existsSync(from)) cpSync(from, join(dir, name), { recursive: true, preserveTimestamps: true, filter });
  }
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

/** Runs `judge` with the bug planted. @template T @param {string} dir @param {import('./patch.js').Patch} patch @param {() => T} judge @returns {T} */
export function withPatch(dir, patch, judge) {
  const path = join(dir, patch.path);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, applyPatch(source, patch));
  try {
    return judge();
  } finally {
    writeFileSync(path, source);
  }
}

/** @param {string} dir @param {string[]} args of node @param {number} timeout ms */
export function runNode(dir, args, timeout) {
  const options = { cwd: dir, timeout, maxBuffer: 2 ** 28, encoding: /** @type {const} */ ('utf8') };
  const base = { CCACHE_BASEDIR: dir, CCACHE_NOHASHDIR: '1' };
  return spawnSync(process.execPath, args, { ...options, env: { ...process.env, ...base } });
}
