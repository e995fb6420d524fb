// A data directory for the command line: asked of the server that has it open, or opened here.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { once } from 'node:events';
import { EveryonceError, errorOf } from '../protocol/errors.js';
import { SNAPSHOT_PREFIX, STORE_FILE_NAME, socketOf } from '../server/control-path.js';
import { loadAddon } from '../server/native.js';
import { createServer } from '../server/server.js';

/**
 * @typedef {object} DataDirectory
 * @property {boolean} isRunning a server has it open
 * @property {(conv: string | null, after: string | number, limit: number) => Promise<any>} inspect a page, see
 *   src/log/inspect.h
 * @property {() => Promise<string>} snapshot makes a copy inside the data directory, gone at close; gives its path
 * @property {() => Promise<void>} close
 */

/**
 * @typedef {object} Groups consumer groups of a store, and what they have given up
 * @property {() => Promise<{ group: string, at: number }[]>} list
 * @property {(group: string, page: { after: string, limit: number }) =>
 *   Promise<{ letters: import('../server/feeds.js').Letter[], more: boolean }>} letters
 * @property {(group: string, mid: string) => Promise<void>} forget
 * @property {(group: string, mid: string) => Promise<void>} replay
 * @property {() => Promise<void>} close
 */

/**
 * @param {string} data
 * @returns {Promise<DataDirectory>}
 * @throws {EveryonceError} BAD_OPTION where there is no store; STORE_LOCKED, CONTROL_FAILED, STORE_CORRUPT …
 */
export async function openDirectory(data) {
  needStore(data);
  const socket = await reach(data);
  return socket ? new Running(data, socket) : openStopped(data);
}

/**
 * The groups of a data directory, asked of the server that has it open, or opened here.
 *
 * @param {string} data
 * @returns {Promise<Groups>} errors as of openDirectory
 */
export async function openGroups(data) {
  needStore(data);
  const socket = await reach(data);
  return socket ? new Running(data, socket) : groupsOf(createServer({ data, insecure: true }));
}

/**
 * @param {import('../server/server.js').Server} server closed with them
 * @returns {Groups}
 */
export function groupsOf(server) {
  const { feeds } = server;
  return {
    list: () => feeds.list(),
    letters: (group, page) => feeds.letters(group, page),
    forget: (group, mid) => feeds.forget(group, mid),
    async replay(group) {
      const message = `only a process with a consumer of the group ${group} can handle its messages: start it, or call its deadLetters.replay`;
      throw new EveryonceError('UNSUPPORTED', message);
    },
    close: () => server.close(),
  };
}

/** @param {string} data */
function needStore(data) {
  if (existsSync(join(data, STORE_FILE_NAME))) return;
  const message = `${data} holds no everyonce store: name a server's data directory`;
  throw new EveryonceError('BAD_OPTION', message, { option: 'data' });
}

/**
 * @param {string} data
 * @returns {Promise<import('node:net').Socket | null>} null: nobody listens
 */
async function reach(data) {
  const path = socketOf(data);
  if (path === null) return null;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (cause);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return null;
    const advice = code === 'EACCES' ? '; run this as the user that the server runs as' : '';
    throw new EveryonceError('CONTROL_FAILED', `the server of ${data} can't be asked: ${message}${advice}`, { cause });
  }
}

/** @param {string} data @returns {DataDirectory} */
function openStopped(data) {
  const { Store } = loadAddon();
  /** @type {import('../server/native.js').Store} */
  let store;
  try {
    store = new Store(resolve(data));
  } catch (cause) {
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (cause);
    const advice =
      code === 'STORE_LOCKED' ? ' (it does not answer on its socket file: if it just started, try again)' : '';
    throw new EveryonceError(code, message + advice, { cause, data, option: 'data' });
  }
  return new Stopped(data, store);
}

/** @implements {DataDirectory} */
class Stopped {
  isRunning = false;
  #data;
  #store;
  /** @type {string | undefined} */
  #snapshot;

  /**
   * @param {string} data
   * @param {import('../server/native.js').Store} store
   */
  constructor(data, store) {
    this.#data = data;
    this.#store = store;
  }

  /**
   * @param {string | null} conv
   * @param {string | number} after
   * @param {number} limit
   */
  async inspect(conv, after, limit) {
    return taken(JSON.parse(this.#store.inspect(conv, after, limit))).found;
  }

  async snapshot() {
    this.#snapshot = join(resolve(this.#data), `${SNAPSHOT_PREFIX}${randomUUID()}`);
    taken(JSON.parse(this.#store.checkpoint(this.#snapshot)));
    return this.#snapshot;
  }

  async close() {
    this.#store.close();
    if (this.#snapshot) await rm(this.#snapshot, { recursive: true, force: true });
  }
}

/** @param {Record<string, any>} packet */
function taken(packet) {
  if (packet.t === 'error') throw errorOf(packet);
  return packet;
}

/** @implements {DataDirectory} @implements {Groups} */
class Running {
  isRunning = true;
  #data;
  #socket;
  #buffered = '';
  #lastId = 0;
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /**
   * @param {string} data
   * @param {import('node:net').Socket} socket
   */
  constructor(data, socket) {
    this.#data = data;
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (text) => this.#read(String(text)));
    socket.on('close', () => {
      const error = new EveryonceError(
        'CONTROL_FAILED',
        `the server of ${data} went away before it answered: try again`,
      );
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** @param {string} text */
  #read(text) {
    const lines = (this.#buffered + text).split('\n');
    this.#buffered = lines.pop() ?? '';
    for (const line of lines) {
      const { id, ok, error, ...answer } = JSON.parse(line);
      const call = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (ok) call?.resolve(answer);
      else call?.reject(errorOf(error));
    }
  }

  /** @param {Record<string, any>} request @returns {Promise<any>} */
  #ask(request) {
    return new Promise((resolve_, reject) => {
      if (this.#socket.destroyed) {
        reject(new EveryonceError('CONTROL_FAILED', `the server of ${this.#data} went away`));
        return;
      }
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve: resolve_, reject });
      this.#socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  /**
   * @param {string | null} conv
   * @param {string | number} after
   * @param {number} limit
   */
  async inspect(conv, after, limit) {
    return (await this.#ask({ do: 'inspect', conv, after, limit })).found;
  }

  async snapshot() {
    const { name } = await this.#ask({ do: 'backup' });
    return join(resolve(this.#data), String(name));
  }

  async list() {
    return (await this.#ask({ do: 'groups' })).groups;
  }

  /** @param {string} group @param {{ after: string, limit: number }} page */
  async letters(group, page) {
    return this.#ask({ do: 'letters', group, ...page });
  }

  /** @param {string} group @param {string} mid */
  async forget(group, mid) {
    await this.#ask({ do: 'forget', group, mid });
  }

  /** @param {string} group @param {string} mid */
  async replay(group, mid) {
    await this.#ask({ do: 'replay', group, mid });
  }

  async close() {
    if (this.#socket.destroyed) return;
    const closed = new Promise((done) => this.#socket.once('close', done));
    this.#socket.end();
    await closed;
  }
}
