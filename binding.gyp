# The addon, what it shares with the programs that test and measure it, and three configurations: Release; Address, under
# AddressSanitizer and UndefinedBehaviorSanitizer at once; Thread, under ThreadSanitizer. Each has its own folder below build/.
# Sources are found by scripts/sources.mjs, so a new file needs no change here. `npm run build` is the usual way in; a plain
# `node-gyp rebuild` builds the addon alone.
{
  'variables': {
    # everyonce_tests needs GoogleTest, which `npm start` must not: it exists only where it is asked for.
    'build_tests%': '<!(node -p "process.env.EVERYONCE_TESTS === \'1\' ? 1 : 0")',
  },
  'target_defaults': {
    'include_dirs': ['src'],
    'cflags!': ['-Wno-unused-parameter'],
    # Designated initializers leave members at their defaults on purpose.
    'cflags': ['-Wall', '-Wextra', '-Wshadow', '-Wno-missing-field-initializers', '-fvisibility=hidden'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-fno-exceptions', '-fno-rtti'],
    'configurations': {
      'Release': {
        'cflags!': ['-O3'],
        'cflags': ['-O2', '-g1'],
      },
      # Under a sanitizer -Og: half of the compiler's time, and stacks that can be read.
      'Address': {
        'inherit_from': ['Release'],
        'cflags': ['-Og', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fsanitize-address-use-after-scope',
                   '-fno-sanitize-recover=all'],
        'ldflags': ['-fsanitize=address,undefined'],
      },
      'Thread': {
        'inherit_from': ['Release'],
        'cflags': ['-Og', '-fno-omit-frame-pointer', '-fsanitize=thread'],
        'ldflags': ['-fsanitize=thread'],
      },
    },
  },
  'targets': [
    {
      # The rules and the engine: no Node, no libuv.
      'target_name': 'everyonce_core',
      'type': 'static_library',
      'sources': ['<!@(node scripts/sources.mjs src/core src/log src/engine src/store)'],
      'cflags': ['-fPIC'],
      # The scripts of lua/, as a table in C++.
      'actions': [
        {
          'action_name': 'embed_lua',
          'inputs': ['scripts/embed-lua.mjs', '<!@(node scripts/embed-lua.mjs --list)'],
          'outputs': ['<(SHARED_INTERMEDIATE_DIR)/lua_scripts.cc'],
          'action': ['node', 'scripts/embed-lua.mjs', '<@(_outputs)'],
          'process_outputs_as_sources': 1,
        },
      ],
      # Everything a core header may include is a system header; nothing of Node's may leak in.
      'include_dirs!': ['<(node_root_dir)/include/node'],
      'direct_dependent_settings': {
        'libraries': ['-lrocksdb', '-lsimdjson', '-lxxhash'],
      },
    },
    {
      # What runs on a loop, compiled once for the addon and for the programs. All see Node's uv.h; a program links the system's
      # libuv, which may be older. That is sound: within libuv 1.x the handles keep their layout (test/native/runtime/libuv_test.cc
      # compares their sizes with those of the library in use), and a function that the older one lacks does not link.
      'target_name': 'everyonce_loop',
      'type': 'static_library',
      'dependencies': ['everyonce_core'],
      'export_dependent_settings': ['everyonce_core'],
      'sources': ['<!@(node scripts/sources.mjs src/redis src/migrate src/runtime)'],
      'cflags': ['-fPIC'],
      'direct_dependent_settings': {
        'libraries': ['-lhiredis'],
      },
    },
    {
      'target_name': 'everyonce',
      'dependencies': ['everyonce_core', 'everyonce_loop'],
      'sources': ['<!@(node scripts/sources.mjs src/tls src/addon)'],
      'defines': ['NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED',
                  # A worker that is being terminated can take no exception: without this it would take the process along.
                  'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      # As a system folder, so that our warning flags judge our own code only.
      'cflags_cc': ['-isystem', '<!(node -p "path.dirname(require.resolve(\'node-addon-api\'))")'],
    },
  ],
  'conditions': [
    ['build_tests==1', {
      'targets': [
        {
          'target_name': 'everyonce_tests',
          'type': 'executable',
          'dependencies': ['everyonce_core', 'everyonce_loop'],
          'sources': ['<!@(node scripts/sources.mjs test/native)'],
          # Half of the compiler's time would go into optimizing tests; what they test is in the libraries.
          # What most tests include comes first in each: scripts/lib/native.mjs compiles it into the first of these folders.
          'cflags_cc': ['-O0', '-include', 'support/precompiled.h'],
          'include_dirs': ['<(PRODUCT_DIR)/precompiled', 'test/native'],
          'libraries': ['-lgmock_main', '-lgmock', '-lgtest', '-lpthread', '-luv'],
        },
        {
          # bench/redis-command.js runs it.
          'target_name': 'everyonce_bench',
          'type': 'executable',
          'dependencies': ['everyonce_core', 'everyonce_loop'],
          'sources': ['<!@(node scripts/sources.mjs bench/native)'],
          'libraries': ['-luv'],
        },
        {
          # The engine on a disk that fails, or several on a store that they share, stepped by test/simulation.
          'target_name': 'everyonce_simulation',
          'dependencies': ['everyonce_core', 'everyonce_loop'],
          'sources': ['<!@(node scripts/sources.mjs test/simulation/native)', 'test/native/support/fault_kv.cc'],
          'include_dirs': ['test/native', 'test/simulation'],
          'defines': ['NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
          'cflags_cc': ['-isystem', '<!(node -p "path.dirname(require.resolve(\'node-addon-api\'))")'],
        },
      ],
    }],
  ],
}
