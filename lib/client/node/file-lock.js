/**
 * A lock of a directory against other processes, that a killed owner does not keep for ever.
 *
 * The owner is the process named in `lock.<generation>`. A lock is made by link(), which is atomic and never shows half
 * a file. A dead owner's lock is not removed and made anew, which two processes could do at once, but outdone by the next
 * generation, which only one can make. Whoever made one and then sees another living owner steps back.
 */
import { linkSync, readFileSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EveryonceError } from '../../protocol/index.js';

const NAME = /^lock\.(\d{1,15})$/;
const TRIES = 16;

/** @typedef {{ pid: number, start: string }} Owner `start`: when the process began, so that a reused pid is told apart */

/**
 * @param {number} pid
 * @returns {string} '' where the system does not tell
 */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    // The command name, in parentheses, may hold anything; field 22 is the 20th after it.
    return `${boot}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return '';
  }
}

/** @param {Owner} owner */
function isAlive({ pid, start }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
  }
  return start === '' || startOf(pid) === '' || startOf(pid) === start;
}

/** @param {string} file @returns {Owner | null} null where it is gone or no lock */
function readOwner(file) {
  try {
    const owner = JSON.parse(readFileSync(file, 'utf8'));
    return Number.isSafeInteger(owner?.pid) ? { pid: owner.pid, start: String(owner.start ?? '') } : null;
  } catch {
    return null;
  }
}

/** @param {string} file */
function remove(file) {
  try {
    unlinkSync(file);
  } catch {
    // Someone else removed it.
  }
}

/**
 * @param {string} dir an existing directory
 * @returns {{ release: () => void }}
 * @throws {EveryonceError} `OUTBOX_LOCKED`, with the owner's `pid`
 */
export function lockDirectory(dir) {
  const own = { pid: process.pid, start: startOf(process.pid) };
  const draft = join(dir, `lock-draft.${process.pid}.${Math.random().toString(36).slice(2)}`);
  writeFileSync(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const generations = generationsIn(dir);
      refuseIfOwned(dir, generations);
      const mine = join(dir, `lock.${Math.max(0, ...generations) + 1}`);
      if (!link(draft, mine)) continue;
      const others = generationsIn(dir).filter((generation) => join(dir, `lock.${generation}`) !== mine);
      try {
        refuseIfOwned(dir, others);
      } catch (error) {
        remove(mine);
        throw error;
      }
      for (const generation of others) remove(join(dir, `lock.${generation}`));
      return { release: () => remove(mine) };
    }
    throw new EveryonceError('OUTBOX_LOCKED', `others keep taking the lock of ${dir}`, { option: 'dir' });
  } finally {
    remove(draft);
  }
}

/** @param {string} dir */
const generationsIn = (dir) => readdirSync(dir).flatMap((name) => (NAME.test(name) ? Number(name.slice(5)) : []));

/** @param {string} dir @param {number[]} generations */
function refuseIfOwned(dir, generations) {
  for (const generation of generations) {
    const owner = readOwner(join(dir, `lock.${generation}`));
    if (owner && isAlive(owner)) {
      throw new EveryonceError('OUTBOX_LOCKED', `process ${owner.pid} has the outbox in ${dir} open`, {
        option: 'dir',
        pid: owner.pid,
      });
    }
  }
}

/** @param {string} from @param {string} to @returns {boolean} false where `to` is there already */
function link(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}
