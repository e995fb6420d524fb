// Required before anything else (NODE_OPTIONS), in tests under the sanitizers, and in the Node processes that tests start: where the
// addon is asked for, the one of build/$EVERYONCE_BUILD is given. Other programs (redis-server and the like) are left alone: the
// preloaded library would replace their own memory allocator, and judge what is not ours.
const { ChildProcess } = require('node:child_process');
const Module = require('node:module');
const { join, sep } = require('node:path');

const { EVERYONCE_BUILD } = process.env;
const released = join('build', 'Release', 'everyonce.node');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (/** @type {string} */ request, /** @type {any[]} */ ...rest) {
  const wanted = EVERYONCE_BUILD && request.endsWith(sep + released);
  const path = wanted ? request.slice(0, -released.length) + join('build', EVERYONCE_BUILD, 'everyonce.node') : request;
  return resolve.call(this, path, ...rest);
};

const spawn = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function (/** @type {{ file: string, envPairs?: string[] }} */ options) {
  const envPairs = options.envPairs?.filter((pair) => !pair.startsWith('LD_PRELOAD='));
  return spawn.call(this, options.file === process.execPath ? options : { ...options, envPairs });
};
