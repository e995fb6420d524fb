import js from '@eslint/js';
import globals from 'globals';

/** In the browser there is no Node; layering.test.js judges what the imports lead to, this says it in the editor. */
const noNode = {
  'no-restricted-imports': [
    'error',
    { patterns: [{ group: ['node:*'], message: 'This file runs in browsers, too.' }] },
  ],
};

export default [
  { ignores: ['build/', 'types/', 'data/', '**/node_modules/'] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: 'module', globals: { ...globals.node } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
      'no-promise-executor-return': 'off',
      'no-self-compare': 'error',
      'no-unmodified-loop-condition': 'error',
      'no-unreachable-loop': ['error', { ignore: ['ForOfStatement'] }],
      'object-shorthand': 'error',
    },
  },
  {
    files: ['lib/protocol/**', 'lib/client/**'],
    ignores: ['lib/client/node/**', 'lib/client/file_outbox.js', 'lib/client/file-outbox.js'],
    languageOptions: { globals: { ...globals.browser } },
    rules: noNode,
  },
  {
    files: ['examples/**/public/**', 'test/browser/**'],
    languageOptions: { globals: { ...globals.browser, ...globals.serviceworker } },
  },
  { files: ['test/**'], languageOptions: { globals: { ...globals.mocha } } },
  { files: ['**/*.cjs'], languageOptions: { sourceType: 'commonjs' } },
];
