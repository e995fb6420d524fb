/** What the figures were measured on. */
import { statfsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** Magic numbers of statfs(2). @type {Record<number, string>} */
const fileSystems = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
};

/**
 * @param {string} dir where the store lies
 * @returns {{ cores: number, cpu: string, memoryGiB: number, kernel: string, node: string, fileSystem: string }}
 */
export function describeMachine(dir) {
  const { type } = statfsSync(dir);
  return {
    cores: cpus().length,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fileSystem: fileSystems[type] ?? `0x${type.toString(16)}`,
  };
}
