// Puts the scripts of lua/ into a C++ source, each with the hash that EVALSHA calls it by, so that the .lua files are the
// one place where they stand.
//   node scripts/embed-lua.mjs OUT.cc     writes it (binding.gyp calls this)
//   node scripts/embed-lua.mjs --list     prints the files that it is made of
// A line `-- @include NAME` is replaced by lua/shared/NAME.lua, the first time that it comes; these may include others.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { listFiles, root } from './lib/files.mjs';

const isLua = (/** @type {string} */ name) => name.endsWith('.lua');

/**
 * @param {string} path relative to the root
 * @param {Set<string>} included
 * @returns {string}
 */
function expand(path, included) {
  const text = readFileSync(join(root, path), 'utf8');
  return text.replace(/^-- @include ([a-z_]+)\n/gm, (_line, name) => {
    if (included.has(name)) return '';
    included.add(name);
    return expand(`lua/shared/${name}.lua`, included);
  });
}

/** Comments on lines of their own cost memory in every server and tell it nothing. @param {string} text */
function strip(text) {
  return text.replace(/^[ \t]*--.*\n/gm, '').replace(/^[ \t]*\n/gm, '');
}

/** @returns {{ name: string, sha1: string, text: string }[]} all scripts as a server gets them, by name */
export function luaScripts() {
  return listFiles('lua', isLua)
    .filter((path) => dirname(path) === 'lua')
    .map((path) => {
      const text = strip(expand(path, new Set()));
      return { name: basename(path, '.lua'), sha1: createHash('sha1').update(text).digest('hex'), text };
    });
}

/** @returns {string} the C++ source */
function source() {
  const entries = luaScripts().map(({ name, sha1, text }) => {
    // Long literals are cut: compilers need not take more than 64 KiB in one.
    const pieces = text.match(/[^]{1,8000}/g) ?? [''];
    const literals = pieces.map((piece) => `R"lua(${piece})lua"`).join('\n');
    return `    {"${name}", "${sha1}",\n     ${literals}},`;
  });
  return [
    '// Made by scripts/embed-lua.mjs out of lua/. Not to be edited.',
    '#include "redis/lua_scripts.h"',
    'namespace everyonce {',
    'namespace {',
    'constexpr LuaScript kScripts[] = {',
    ...entries,
    '};',
    '}  // namespace',
    'const LuaScript* FindLuaScript(std::string_view name) {',
    '  for (const LuaScript& script : kScripts) {',
    '    if (script.name == name) return &script;',
    '  }',
    '  return nullptr;',
    '}',
    '}  // namespace everyonce',
    '',
  ].join('\n');
}

const [argument] = process.argv.slice(2);
if (import.meta.url === `file://${process.argv[1]}`) {
  if (argument === '--list') {
    for (const path of listFiles('lua', isLua)) console.log(path);
  } else if (argument) {
    mkdirSync(dirname(argument), { recursive: true });
    writeFileSync(argument, source());
  } else {
    console.error('usage: node scripts/embed-lua.mjs OUT.cc | --list');
    process.exitCode = 1;
  }
}
