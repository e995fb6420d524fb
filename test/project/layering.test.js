// Rooms import downward only: the table of docs/architecture.md, as a test over the include and import lines.
import assert from 'node:assert/strict';
import { listFiles, readText } from '../../scripts/lib/files.mjs';
import { importsOf, includesOf } from '../../scripts/lib/includes.mjs';

/**
 * @typedef {object} Room
 * @property {RegExp} ours files of this project that the room may name
 * @property {RegExp} others packages, headers of libraries
 */

/** Standard C++ headers have no dot and no slash. */
const std = '^[a-z_0-9]+$';
/** Files, folders and locks of the operating system. */
const posix = '^(unistd|fcntl|dirent|sys/[a-z]+)\\.h$';

/** @type {Record<string, Room>} */
const nativeRooms = {
  'src/core': { ours: /^src\/core\//, others: new RegExp(`${std}|^simdjson\\.h$|^xxhash\\.h$|^boost/`) },
  'src/log': { ours: /^src\/(core|log)\//, others: new RegExp(`${std}|${posix}|^rocksdb/|^boost/|^xxhash\\.h$`) },
  'src/store': { ours: /^src\/(core|log|store)\//, others: new RegExp(`${std}|${posix}`) },
  'src/redis': {
    ours: /^src\/(core\/|redis\/|log\/(log|feed|relay|refusal)\.h)/,
    others: new RegExp(`${std}|${posix}|^hiredis/|^uv\\.h$`),
  },
  'src/migrate': { ours: /^src\/(core|log|store|redis|migrate)\//, others: new RegExp(`${std}|^uv\\.h$`) },
  'src/tls': { ours: /^src\/(tls\/|redis\/(tls_session|redis_error)\.h)/, others: new RegExp(`${std}|^openssl/`) },
  'src/engine': {
    ours: /^src\/(core\/|engine\/|log\/(log|feed|relay)\.h)/,
    others: new RegExp(`${std}|^boost/|^xxhash\\.h$`),
  },
  'src/runtime': { ours: /^src\/(core|log|engine|runtime)\//, others: new RegExp(`${std}|${posix}|^uv\\.h$|^boost/`) },
  'src/addon': { ours: /^src\//, others: new RegExp(`${std}|^(napi|node_api|uv)\\.h$`) },
};

const noNode = /^$/;
/** @type {Record<string, Room>} */
const scriptRooms = {
  'lib/protocol': { ours: /^lib\/protocol\//, others: noNode },
  'lib/client': { ours: /^lib\/(client|protocol)\//, others: noNode },
  'lib/server': { ours: /^lib\/(server|protocol)\//, others: /^(node:|ws$|jose$|prom-client$)/ },
  'lib/primitives': {
    ours: /^lib\/(primitives\/|protocol\/|server\/(native|redis-options|redis-tls)\.js$)/,
    others: /^node:/,
  },
  'lib/idempotency': {
    // server.js by consumer/alone.js, when it is asked for a consumer without a server
    ours: /^lib\/(idempotency\/|primitives\/|protocol\/|server\/(native|redis-options|server)\.js$)/,
    others: /^node:/,
  },
  'lib/checker': { ours: /^lib\/checker\//, others: /^node:/ },
  'lib/torture': {
    ours: /^lib\/(torture|checker|client|protocol)\/|^lib\/client-node\.js$/,
    others: /^(node:|ws$)/,
  },
  'lib/cli': {
    ours: /^lib\/(cli|server|protocol|torture)\/|^lib\/index\.js$|^lib\/checker\/judge\.js$/,
    others: /^node:|^jose$/,
  },
};

/** The client's outbox for Node is the client's by subject, and loaded by lib/index.js alone. */
const clientForNode = /^lib\/client\/(node\/|file[-_]outbox)/;

/** @param {string} room @param {RegExp} wanted */
const filesOf = (room, wanted) => listFiles(room, (name) => wanted.test(name));

describe('layering', () => {
  for (const [room, allowed] of Object.entries(nativeRooms)) {
    it(`${room} includes only what lies below it`, () => {
      for (const file of filesOf(room, /\.(cc|h)$/)) {
        const { ours, others } = includesOf(file);
        for (const name of ours) assert.match(name, allowed.ours, `${file} includes "${name}"`);
        for (const name of others) assert.match(name, allowed.others, `${file} includes <${name}>`);
      }
    });
  }

  for (const [room, allowed] of Object.entries(scriptRooms)) {
    it(`${room} imports only what lies below it`, () => {
      for (const file of filesOf(room, /\.js$/)) {
        const others = clientForNode.test(file) ? /^node:/ : allowed.others;
        for (const name of importsOf(file)) {
          assert.match(name, name.startsWith('lib/') ? allowed.ours : others, `${file} imports ${name}`);
        }
      }
    });
  }

  it('every file is in a room of the table; lib itself holds entry points only', () => {
    const rooms = { ...nativeRooms, ...scriptRooms };
    for (const file of [...filesOf('src', /./), ...filesOf('lib', /./)]) {
      if (!/^lib\/[a-z-]+\.js$/.test(file))
        assert.ok(file.split('/').slice(0, 2).join('/') in rooms, `${file} is in no room`);
    }
  });

  it('only native.js loads the addon', () => {
    const loaders = filesOf('lib', /\.js$/).filter((file) =>
      /everyonce\.node\b|process\.dlopen/.test(readText(file) ?? ''),
    );
    assert.deepEqual(
      loaders.filter((file) => file !== 'lib/server/native.js'),
      [],
    );
  });

  it('no include or import leads to a file that is not there', () => {
    for (const file of filesOf('src', /\.(cc|h)$/)) {
      for (const name of includesOf(file).ours) assert.ok(readText(name) !== undefined, `${file} includes "${name}"`);
    }
    for (const file of [...filesOf('lib', /\.js$/), ...filesOf('bin', /\.js$/)]) {
      for (const name of importsOf(file).filter((one) => /^(lib|bin)\//.test(one))) {
        assert.ok(readText(name) !== undefined, `${file} imports ${name}`);
      }
    }
  });
});
