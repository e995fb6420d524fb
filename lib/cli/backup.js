// `everyonce backup`: a consistent copy of a store, in a directory of its own.

import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { EveryonceError } from '../protocol/errors.js';
import { STORE_FILE_NAME } from '../server/control-path.js';
import { DEFAULTS } from '../server/defaults.js';
import { openDirectory } from './store.js';

/** @typedef {{ out: (line: string) => void, err: (line: string) => void }} Say */

const FOLDER = 'rocksdb';
const PROGRESS_MS = 1000;
/** A file system, or two of them, on which files can't be linked. */
const NO_LINKS = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * @param {string[]} args
 * @param {Say} say
 */
export async function backup(args, say) {
  const { values } = parseArgs({ args, options: { data: { type: 'string' }, to: { type: 'string' } }, strict: true });
  const { data = DEFAULTS.data, to } = values;
  if (!to) throw new EveryonceError('BAD_OPTION', '--to must be given: the directory to copy to', { option: 'to' });
  await needRoom(data, to);
  const directory = await openDirectory(data);
  try {
    say.err(`copying ${data} (${directory.isRunning ? 'of a running server' : 'no server has it open'}) …`);
    const { files, bytes } = await copyStore(await directory.snapshot(), resolve(to), say);
    say.out(`backup of ${data} is in ${to}: ${files} files, ${inUnits(bytes)}`);
    say.out(`to use it: everyonce serve --data ${to}  (it begins new epochs at its first start)`);
  } finally {
    await directory.close();
  }
}

/**
 * @param {string} data
 * @param {string} to
 */
async function needRoom(data, to) {
  const inside = relative(resolve(data), resolve(to));
  const isInside = inside === '' || (inside !== '..' && !inside.startsWith(`..${sep}`));
  if (isInside) refuse(`--to ${to} lies in the store that is to be copied: choose a directory elsewhere`);
  if (!existsSync(to)) return;
  if (!(await stat(to)).isDirectory()) refuse(`--to ${to} is a file: choose a new or an empty directory`);
  const [first] = await readdir(to);
  if (first !== undefined) refuse(`--to ${to} is not empty (it has ${first}): choose a new or an empty directory`);
}

/** @param {string} message @returns {never} */
function refuse(message) {
  throw new EveryonceError('BACKUP_REFUSED', message, { option: 'to' });
}

/**
 * The file that makes it a store comes last: a copy that was cut off is not taken for one.
 *
 * @param {string} from a store that nobody changes
 * @param {string} to
 * @param {Say} say
 */
async function copyStore(from, to, say) {
  const isNew = !existsSync(to);
  try {
    const made = await mkdir(to, { recursive: true, mode: 0o700 });
    await mkdir(join(to, FOLDER), { mode: 0o700 });
    const copied = await copyFolder(join(from, FOLDER), join(to, FOLDER), say);
    const draft = join(to, `${STORE_FILE_NAME}.new`);
    await copyDurably(join(from, STORE_FILE_NAME), draft);
    await rename(draft, join(to, STORE_FILE_NAME));
    for (let dir = to; ; dir = dirname(dir)) {
      await sync(dir);
      if (dir === dirname(made ?? to)) break;
    }
    return copied;
  } catch (cause) {
    const left = isNew ? [to] : [FOLDER, STORE_FILE_NAME, `${STORE_FILE_NAME}.new`].map((name) => join(to, name));
    for (const path of left) await rm(path, { recursive: true, force: true }).catch(() => {});
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (cause);
    const why = code === 'ENOENT' ? `${message}; was the server stopped meanwhile?` : message;
    throw new EveryonceError('BACKUP_REFUSED', `the copy in ${to} was not finished and is removed: ${why}`, { cause });
  }
}

/**
 * @param {string} from
 * @param {string} to
 * @param {Say} say
 */
async function copyFolder(from, to, say) {
  const names = await readdir(from);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(from, name))).size));
  const all = sizes.reduce((sum, size) => sum + size, 0);
  let bytes = 0;
  let toldMs = performance.now();
  for (const [i, name] of names.entries()) {
    // Tables are never written again: where they can be shared they need no second room.
    const isLinked = name.endsWith('.sst') && (await tryLink(join(from, name), join(to, name)));
    if (!isLinked) await copyDurably(join(from, name), join(to, name));
    bytes += sizes[i];
    if (performance.now() - toldMs < PROGRESS_MS) continue;
    toldMs = performance.now();
    say.err(`copied ${inUnits(bytes)} of ${inUnits(all)}`);
  }
  await sync(to);
  return { files: names.length, bytes };
}

/**
 * @param {string} from
 * @param {string} to
 */
async function tryLink(from, to) {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(/** @type {NodeJS.ErrnoException} */ (error).code ?? '')) return false;
    throw error;
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
async function copyDurably(from, to) {
  await copyFile(from, to);
  await sync(to);
}

/** @param {string} path of a file or a directory */
async function sync(path) {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @param {number} bytes */
function inUnits(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return `${i === 0 ? bytes : bytes.toFixed(1)} ${units[i]}`;
}
