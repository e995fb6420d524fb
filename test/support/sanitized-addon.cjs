// Required before anything else (NODE_OPTIONS), in tests under the sanitizers, and in the Node processes that tests start: where the
// addon is asked for, the one of build/$EVERYONCE_BUILD is given. Other programs (redis-server, initdb and the like) get no preloaded
// library: it would replace their own memory allocator and judge what is not ours, and some never end under it.
const { ChildProcess } = require('node:child_process');
const Module = require('node:module');
const { basename, join, sep } = require('node:path');
const { isMainThread } = require('node:worker_threads');

const { EVERYONCE_BUILD } = process.env;
const released = join('build', 'Release', 'everyonce.node');
let given = false;
const resolve = Module._resolveFilename;
Module._resolveFilename = function (/** @type {string} */ request, /** @type {any[]} */ ...rest) {
  const wanted = EVERYONCE_BUILD && request.endsWith(sep + released);
  const path = wanted ? request.slice(0, -released.length) + join('build', EVERYONCE_BUILD, 'everyonce.node') : request;
  if (wanted) given = true;
  return resolve.call(this, path, ...rest);
};

// Tests that never came here have shown nothing.
if (isMainThread && basename(process.argv[1] ?? '') === 'mocha.js') {
  process.on('exit', () => {
    // Thrown: Mocha sets the exit code itself, after this.
    if (!given) throw new Error('no test has asked for the addon that is under the sanitizers');
  });
}

/** What a Node process needs, whatever environment a test gives it; LD_PRELOAD under a name that means nothing to others. */
const names = ['NODE_OPTIONS', 'EVERYONCE_BUILD', 'EVERYONCE_PRELOAD', 'ASAN_OPTIONS', 'UBSAN_OPTIONS'];
process.env.EVERYONCE_PRELOAD ??= process.env.LD_PRELOAD;
delete process.env.LD_PRELOAD;
const needed = names.map((name) => `${name}=${process.env[name] ?? ''}`);
needed.push(`LD_PRELOAD=${process.env.EVERYONCE_PRELOAD}`);

const spawn = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function (/** @type {{ file: string, envPairs?: string[] }} */ options) {
  if (options.file !== process.execPath) return spawn.call(this, options);
  const isNeeded = (/** @type {string} */ pair) => names.includes(pair.split('=', 1)[0]);
  const envPairs = [...(options.envPairs ?? []).filter((pair) => !isNeeded(pair)), ...needed];
  return spawn.call(this, { ...options, envPairs });
};
