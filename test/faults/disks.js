// Disks that fail: one whose syncs do, by a library that a server is started with, and one that is small.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('native/sync_fault.c', import.meta.url));

/**
 * @param {string} directory that the library is built in
 * @returns {{ env: Record<string, string>, fail: () => void, mend: () => void }} `env` of the server; from `fail` to `mend` its
 *   log can't be synced, and loses what could not be
 */
export function syncFaults(directory) {
  const library = join(directory, 'sync_fault.so');
  const compiled = spawnSync('gcc', ['-shared', '-fPIC', '-O1', source, '-o', library], { encoding: 'utf8' });
  if (compiled.status !== 0) throw new Error(`gcc: ${compiled.stderr || compiled.error}`);
  const fault = join(directory, 'fault');
  return {
    env: { LD_PRELOAD: library, EVERYONCE_SYNC_FAULT: fault },
    fail: () => writeFileSync(fault, ''),
    mend: () => rmSync(fault, { force: true }),
  };
}

/** Why no small disk can be mounted here; undefined: it can. @returns {string | undefined} */
export function noSmallDisk() {
  if (process.getuid?.() !== 0) return 'a small disk can be mounted by root alone';
  const tried = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/tmp'], { encoding: 'utf8' });
  return tried.status === 0 ? undefined : `no disk can be mounted here: ${(tried.stderr || tried.error || '').toString().trim()}`; // prettier-ignore
}

/**
 * @param {string} directory empty
 * @param {number} bytes of room
 * @returns {{ fill: () => void, empty: () => void, unmount: () => void }}
 */
export function mountSmallDisk(directory, bytes) {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`mount: ${mounted.stderr || mounted.error}`);
  const ballast = join(directory, 'ballast');
  return {
    fill: () => void spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64K'], { stdio: 'ignore' }),
    empty: () => rmSync(ballast, { force: true }),
    unmount: () => void spawnSync('umount', ['--lazy', directory]),
  };
}
