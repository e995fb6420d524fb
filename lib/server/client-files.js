// The browser's client, served by the server itself: `import { Client } from '/everyonce/client.js'` works without a
// bundler. client.js is a one-line module that names the real files under a hash of all of them; those never change under
// one name, so browsers may keep them for ever, while client.js is asked for again each time.

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';

const ROOT = new URL('../', import.meta.url);
/** Folders that browsers may see; nothing below them: lib/client/node is Node's. */
const FOLDERS = ['client', 'protocol'];
const NOT_FOR_BROWSERS = new Set(['client/file-outbox.js']);

/**
 * @typedef {object} ClientFile
 * @property {string} text
 * @property {string} etag
 * @property {boolean} immutable
 */

/** @type {Map<string, ClientFile> | undefined} */
let files;

/**
 * All files by their path below the server's path: `client.js`, `client/HASH/client/index.js` …
 *
 * @returns {Map<string, ClientFile>}
 */
export function clientFiles() {
  if (files) return files;
  /** @type {Map<string, string>} */
  const texts = new Map();
  for (const folder of FOLDERS) {
    for (const { name } of readdirSync(new URL(`${folder}/`, ROOT), { withFileTypes: true })) {
      const path = `${folder}/${name}`;
      if (name.endsWith('.js') && !NOT_FOR_BROWSERS.has(path))
        texts.set(path, readFileSync(new URL(path, ROOT), 'utf8'));
    }
  }
  const hash = createHash('sha256');
  for (const path of [...texts.keys()].sort())
    hash
      .update(path)
      .update('\0')
      .update(String(texts.get(path)));
  const version = hash.digest('base64url').slice(0, 16);
  const made = new Map();
  made.set('client.js', {
    text: `export * from './client/${version}/client/index.js';\n`,
    etag: `"${version}"`,
    immutable: false,
  });
  for (const [path, text] of texts) {
    made.set(`client/${version}/${path}`, { text, etag: `"${version}"`, immutable: true });
  }
  files = made;
  return made;
}
