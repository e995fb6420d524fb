// The project's files: where they are, and hashes over them. Node built-ins only.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * @param {string} folder relative to the root; a folder that does not exist holds nothing
 * @param {(name: string) => boolean} wanted
 * @returns {string[]} sorted paths, relative to the root
 */
export function listFiles(folder, wanted) {
  if (!existsSync(join(root, folder))) return [];
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) found.push(...listFiles(path, wanted));
    else if (wanted(entry.name)) found.push(path);
  }
  return found.sort();
}

/**
 * @param {string[]} paths relative to the root; the names count, too
 * @param {unknown} [extra] anything else that the result depends on
 * @returns {string} hex
 */
export function hashFiles(paths, extra) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(extra ?? null));
  for (const path of paths) {
    const content = readFileSync(join(root, path));
    hash.update(`\n${path}\n${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/**
 * @param {string} path relative to the root
 * @returns {string | undefined} the text, or undefined where there is no such file
 */
export function readText(path) {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return undefined;
  }
}

/** @param {string} path relative to the root @param {string} text */
export function writeText(path, text) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/**
 * @param {string[]} folders relative to the root
 * @returns {string[]} their .cc files
 */
export function cppSources(folders) {
  return folders.flatMap((folder) => listFiles(folder, (name) => name.endsWith('.cc')));
}

/** @returns {string[]} everything that the native build is made of */
export function nativeFiles() {
  const lua = [...listFiles('lua', () => true), 'scripts/embed-lua.mjs'];
  const tests = ['test/native', 'test/simulation/native', 'bench/native'].flatMap((folder) =>
    listFiles(folder, () => true),
  );
  return ['binding.gyp', ...listFiles('src', () => true), ...lua, ...tests];
}
