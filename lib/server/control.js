// The socket file by which the command line asks a running server: `everyonce inspect`, `backup` and `dead-letters`. One
// JSON object a line each way, in order: {"id","do":"inspect","conv","after","limit"}, {"id","do":"backup"}, {"id","do":
// "groups"}, {"id","do":"letters","group","after","limit"}, {"id","do":"forget" or "replay","group","mid"}; answered by
// {"id","ok":true,…} or {"id","ok":false,"error":{"code","message"}}. Who may open the file may read everything: it is
// its owner's alone.

import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { EveryonceError } from '../protocol/errors.js';
import { POINTER_NAME, SNAPSHOT_PREFIX, SOCKET_NAME, fitsSocket } from './control-path.js';

const MAX_LINE_BYTES = 65_536;
const MAX_CONNECTIONS = 8;

/**
 * @typedef {import('node:net').Socket} Socket
 * @typedef {import('./requests.js').Packet} Packet
 * @typedef {{ snapshot?: string, buffered: string, asked: Promise<void> }} Peer
 */

/**
 * @typedef {object} Store what is asked; all reject with the engine's code
 * @property {(conv: string | null, after: string | number, limit: number) => Promise<Packet>} inspect
 * @property {(dir: string) => Promise<Packet>} checkpoint
 * @property {import('./feeds.js').Feeds} feeds
 */

export class Control {
  #data;
  #store;
  #warn;
  #server = createServer((socket) => this.#serve(socket));
  /** @type {Set<Socket>} */
  #sockets = new Set();
  /** Removals of copies that nobody fetches any more. @type {Set<Promise<void>>} */
  #removals = new Set();
  #snapshots = 0;
  /** What close has to remove. @type {string[]} */
  #files = [];
  /** @type {Promise<void> | undefined} */
  #opening;

  /**
   * @param {string} data
   * @param {Store} store
   * @param {(error: Error) => void} warn
   */
  constructor(data, store, warn) {
    this.#data = resolve(data);
    this.#store = store;
    this.#warn = warn;
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Listens. REQUIRES: this process holds the directory's lock, so what lies there is of nobody who lives.
   *
   * @returns {Promise<void>}
   * @throws {EveryonceError} CONTROL_FAILED; the server itself is none the worse
   */
  open() {
    return (this.#opening ??= this.#open().catch((cause) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `no socket file for backup and inspect in ${this.#data}: ${reason}`;
      throw new EveryonceError('CONTROL_FAILED', message, { cause });
    }));
  }

  async close() {
    await this.#opening?.catch(() => {});
    const closed = new Promise((done) => this.#server.close(done));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    for (const file of this.#files) await this.#remove(file);
    await Promise.all(this.#removals);
  }

  async #open() {
    for (const name of await readdir(this.#data)) {
      const isLeft = name.startsWith(SNAPSHOT_PREFIX) || name === SOCKET_NAME || name === POINTER_NAME;
      if (isLeft) await this.#remove(join(this.#data, name));
    }
    // Made in a directory that only we can enter, and moved when its mode is right: nobody else can ever open it.
    const beside = join(this.#data, `${SNAPSHOT_PREFIX}sock-`);
    const isNear = fitsSocket(`${beside}XXXXXX/s`) && fitsSocket(join(this.#data, SOCKET_NAME));
    const room = await mkdtemp(isNear ? beside : join(tmpdir(), 'everyonce-'));
    this.#files.push(room);
    const path = join(room, 's');
    if (!fitsSocket(path)) throw new Error(`its path, and that of ${path}, are too long for a socket`);
    this.#server.unref().listen(path);
    await once(this.#server, 'listening');
    this.#server.on('error', this.#warn);
    await chmod(path, 0o600);
    const place = join(this.#data, isNear ? SOCKET_NAME : POINTER_NAME);
    this.#files.push(place);
    if (isNear) {
      await rename(path, place);
      await this.#remove(room);
    } else await writeFile(place, `${path}\n`, { mode: 0o600 });
  }

  /** @param {Socket} socket */
  #serve(socket) {
    /** @type {Peer} */
    const peer = { buffered: '', asked: Promise.resolve() };
    this.#sockets.add(socket);
    socket.unref();
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (text) => {
      const lines = (peer.buffered + text).split('\n');
      peer.buffered = lines.pop() ?? '';
      if (peer.buffered.length > MAX_LINE_BYTES) return void socket.destroy();
      // What a peer may have waiting here is one chunk of requests, and one answer.
      socket.pause();
      for (const line of lines) peer.asked = peer.asked.then(() => this.#answer(socket, peer, line));
      void peer.asked.then(() => socket.resume());
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
      const removal = peer.asked.then(() => this.#drop(peer));
      this.#removals.add(removal);
      void removal.then(() => this.#removals.delete(removal));
    });
  }

  /**
   * @param {Socket} socket
   * @param {Peer} peer
   * @param {string} line
   */
  async #answer(socket, peer, line) {
    if (socket.destroyed) return;
    let id = null;
    let answer;
    try {
      const request = JSON.parse(line);
      id = request?.id ?? null;
      answer = { id, ok: true, ...(await this.#do(peer, request)) };
    } catch (error) {
      const { code = 'bad_request', message } = /** @type {EveryonceError} */ (error);
      answer = { id, ok: false, error: { code, message } };
    }
    if (socket.destroyed || socket.write(`${JSON.stringify(answer)}\n`)) return;
    const given = new AbortController();
    const taken = ['drain', 'close'].map((event) => once(socket, event, { signal: given.signal }));
    await Promise.race(taken).catch(() => {});
    given.abort();
    await Promise.allSettled(taken);
  }

  /**
   * @param {Peer} peer
   * @param {any} request
   */
  async #do(peer, request) {
    if (request?.do === 'inspect') {
      const { conv = null, after = conv === null ? '' : 0, limit = 100 } = request;
      return { found: (await this.#store.inspect(conv, after, limit)).found };
    }
    if (request?.do === 'backup') return { name: await this.#snapshot(peer) };
    const { group, mid, after = '0', limit = 100 } = request ?? {};
    const { feeds } = this.#store;
    switch (request?.do) {
      case 'groups':
        return { groups: await feeds.list() };
      case 'letters':
        return feeds.letters(group, { after, limit });
      case 'forget':
        await feeds.forget(group, mid);
        return {};
      case 'replay':
        await feeds.replay(group, mid);
        return {};
      default:
        throw new EveryonceError('bad_request', '"do" must be inspect, backup, groups, letters, forget or replay');
    }
  }

  /** A copy on the store's own file system, there as long as the peer is. @param {Peer} peer */
  async #snapshot(peer) {
    if (this.#snapshots > 0) {
      throw new EveryonceError('BACKUP_REFUSED', 'another backup of this server is being made; wait until it is done');
    }
    this.#snapshots += 1;
    const name = `${SNAPSHOT_PREFIX}${randomUUID()}`;
    peer.snapshot = name;
    try {
      await this.#store.checkpoint(join(this.#data, name));
    } catch (error) {
      await this.#drop(peer);
      throw error;
    }
    return name;
  }

  /** @param {Peer} peer */
  async #drop(peer) {
    if (peer.snapshot === undefined) return;
    const name = peer.snapshot;
    peer.snapshot = undefined;
    await this.#remove(join(this.#data, name));
    this.#snapshots -= 1;
  }

  /** @param {string} path */
  async #remove(path) {
    await rm(path, { recursive: true, force: true }).catch(this.#warn);
  }
}
