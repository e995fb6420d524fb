// Where a server of a data directory can be asked: the socket file's place, and how the command line finds it.

import { existsSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { EveryonceError } from '../protocol/errors.js';

/** In the data directory, mode 0600. */
export const SOCKET_NAME = 'everyonce.sock';
/** Beside where it would be: the path of a socket whose own place would be too long a path. */
export const POINTER_NAME = 'everyonce.sock.path';
/** Copies that a server has made for a backup that is being fetched. */
export const SNAPSHOT_PREFIX = 'everyonce.backup.';
/** What holds the store; see src/log/store_directory.h. */
export const STORE_FILE_NAME = 'everyonce.store';

/** The system keeps 104 bytes (macOS) or 108 (Linux) for a socket's path, its final zero included. */
const MAX_SOCKET_PATH_BYTES = 100;

/** @param {string} path */
export function fitsSocket(path) {
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;
}

/**
 * @param {string} dir a data directory
 * @returns {string | null} the path to connect to; null: no server has left one
 * @throws {EveryonceError} CONTROL_FAILED where the path is longer than a socket's may be
 */
export function socketOf(dir) {
  const own = join(resolve(dir), SOCKET_NAME);
  const pointer = join(resolve(dir), POINTER_NAME);
  let path = own;
  if (!existsSync(own)) {
    if (!existsSync(pointer)) return null;
    path = readFileSync(pointer, 'utf8').trim();
  }
  if (fitsSocket(path)) return path;
  // From another directory, or by another name, the same file may be nearer.
  const near = relative(process.cwd(), path);
  if (fitsSocket(near)) return near;
  throw new EveryonceError('CONTROL_FAILED', `${path} is too long for a socket's path: run this inside ${dir}`);
}
