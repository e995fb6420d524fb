/**
 * An outbox in a directory, for Node: a message survives a crash, kill -9 and a power cut, and is sent once.
 * Never imported by lib/client/index.js, which runs in browsers.
 */
import { mkdir, open, readFile, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { EveryonceError } from '../protocol/index.js';
import { lockDirectory } from './node/file-lock.js';
import { decodeJournal, encodeJournal } from './node/journal.js';
import { JournalOutbox } from './outbox.js';

/** Directories that this process has open: a lock file can not tell two owners in one process apart. @type {Set<string>} */
const openDirectories = new Set();

/** @typedef {import('./outbox.js').Storage} Storage */

/** @implements {Storage} */
class FileStorage {
  /** @type {string} */
  #dir;
  #real = '';
  #registered = false;
  /** @type {{ release: () => void } | null} */
  #lock = null;
  /** @type {import('node:fs/promises').FileHandle | null} */
  #file = null;

  /** @param {string} dir */
  constructor(dir) {
    this.#dir = dir;
  }

  get #journal() {
    return join(this.#real, 'outbox.journal');
  }

  /** @returns {Promise<import('./outbox.js').Opened>} */
  async open() {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    this.#real = await realpath(this.#dir);
    if (openDirectories.has(this.#real)) {
      throw new EveryonceError('OUTBOX_LOCKED', `this process has the outbox in ${this.#dir} open already`, {
        option: 'dir',
      });
    }
    openDirectories.add(this.#real);
    this.#registered = true;
    try {
      this.#lock = lockDirectory(this.#real);
      return decodeJournal(await this.#read());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #read() {
    try {
      return await readFile(this.#journal);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    }
  }

  /**
   * @param {import('./outbox.js').OutboxRecord[]} records
   * @param {{ sync: boolean }} options
   */
  async write(records, { sync }) {
    const file = this.#file;
    if (!file) throw new EveryonceError('OUTBOX_FAILED', 'the journal is not open');
    await file.appendFile(encodeJournal(records));
    if (sync) await file.datasync();
  }

  /** The new journal is whole and durable before it takes the old one's name. @param {import('./outbox.js').OutboxRecord[]} records */
  async replace(records) {
    const draft = `${this.#journal}.new`;
    const file = await open(draft, 'w', 0o600);
    try {
      await file.appendFile(encodeJournal(records));
      await file.sync();
      await rename(draft, this.#journal);
    } catch (error) {
      await file.close();
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    await old?.close();
    const directory = await open(this.#real, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  async close() {
    await this.#file?.close();
    this.#file = null;
    this.#lock?.release();
    this.#lock = null;
    if (this.#registered) openDirectories.delete(this.#real);
    this.#registered = false;
  }
}

export class FileOutbox extends JournalOutbox {
  /**
   * @param {{ dir: string }} options `dir` is made where it is missing, and belongs to one outbox; a second process, or a
   *   second FileOutbox in this one, gets `OUTBOX_LOCKED` when its client opens it
   */
  constructor({ dir }) {
    if (typeof dir !== 'string' || dir === '')
      throw new EveryonceError('INVALID_ARGUMENT', 'dir must be a path', { option: 'dir' });
    super(new FileStorage(dir));
  }
}
