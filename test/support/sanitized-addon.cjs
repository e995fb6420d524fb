// Required before anything else (NODE_OPTIONS), in tests under a sanitizer: where the addon is asked for, the one of
// build/$EVERYONCE_BUILD is given, in processes that tests start, too.
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
