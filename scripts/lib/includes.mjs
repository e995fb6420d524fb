// What a file names in its include or import lines.
import { dirname, posix } from 'node:path';
import { readText } from './files.mjs';

/**
 * @param {string} path of a C++ file, relative to the root
 * @returns {{ ours: string[], others: string[] }} ours: `#include "core/packet.h"` as src/core/packet.h; others: `<…>`
 */
export function includesOf(path) {
  const lines = (readText(path) ?? '').matchAll(/^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)/gm);
  const ours = [];
  const others = [];
  for (const [, quoted, angled] of lines) {
    if (angled) others.push(angled);
    else ours.push(['src', 'test/native', dirname(path)].map((at) => posix.join(at, quoted)).find(readText) ?? quoted);
  }
  return { ours, others };
}

/** @param {string} path of a C++ file @param {Set<string>} [seen] @returns {Set<string>} it, and all of ours it includes */
export function includeClosure(path, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const next of includesOf(path).ours) includeClosure(next, seen);
  return seen;
}

/**
 * @param {string} path of a JavaScript file, relative to the root
 * @returns {string[]} what it imports: a relative import as a path from the root, anything else as written. Types in JSDoc
 *   are not imports.
 */
export function importsOf(path) {
  const code = withoutComments(readText(path) ?? '');
  const statement = /^\s*(?:import\b|(?:import|export)\b[\w*{}$,\s]+?\bfrom\b)\s*(['"])([^'"\n]+)\1/gm;
  const call = /\b(?:import|require)\s*\(\s*(['"])([^'"\n]+)\1/g;
  const found = [...code.matchAll(statement), ...code.matchAll(call)];
  return found.map(([, , name]) => (name.startsWith('.') ? posix.join(dirname(path), name) : name));
}

/** @param {string} path of a JavaScript file @param {Set<string>} [seen] @returns {Set<string>} all it leads to */
export function importClosure(path, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  if (readText(path) !== undefined) for (const next of importsOf(path)) importClosure(next, seen);
  return seen;
}

/** @param {string} code @returns {string} enough for import lines: strings are kept, comments are not */
function withoutComments(code) {
  return code.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}
