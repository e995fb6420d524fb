// The articles' id service: ids over HTTP from the chat's own store.
//
//   GET /ids/segment/TAG   {"id":"1001"}    Leaf's segment mode
//   GET /ids/snowflake     {"id":"7203…"}   Leaf's snowflake mode, its worker number leased
//
// Ids are strings, since JSON takes numbers above 2^53 for others.
import { SegmentIds, Snowflake } from '../../lib/index.js';

const TAG = /^\/ids\/segment\/([A-Za-z0-9_.-]{1,64})$/;
/** Each tag keeps two segments in memory, and a row for ever: who asks for ever new ones is refused. */
const MAX_TAGS = 1000;

export class IdService {
  #store;
  /** @type {Map<string, SegmentIds>} */
  #segments = new Map();
  /** @type {Promise<Snowflake> | undefined} */
  #snowflake;

  /** @param {import('../../lib/index.js').Server} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   * @returns {boolean} false: it is none of ours
   */
  answer(request, response) {
    const [path] = (request.url ?? '/').split(/[?#]/, 1);
    if (!path.startsWith('/ids/')) return false;
    const tag = TAG.exec(path)?.[1];
    if (path !== '/ids/snowflake' && tag === undefined) reply(response, 404, { error: { code: 'NOT_FOUND' } });
    else if (request.method !== 'GET') reply(response, 405, { error: { code: 'BAD_METHOD' } });
    else void this.#give(tag, response);
    return true;
  }

  /** Gives the worker's number back. */
  async close() {
    for (const ids of this.#segments.values()) await ids.close();
    await (await this.#snowflake?.catch(() => undefined))?.close();
  }

  /**
   * @param {string | undefined} tag
   * @param {import('node:http').ServerResponse} response
   */
  async #give(tag, response) {
    try {
      reply(response, 200, { id: tag === undefined ? await this.#nextSnowflake() : await this.#nextOf(tag) });
    } catch (/** @type {any} */ error) {
      const { code = 'INTERNAL', message, retryable } = error;
      reply(response, retryable ? 503 : 500, { error: { code, message } });
    }
  }

  /** @param {string} tag */
  async #nextOf(tag) {
    let ids = this.#segments.get(tag);
    if (!ids) {
      if (this.#segments.size >= MAX_TAGS) throw Object.assign(new Error('too many tags'), { code: 'OVERLOADED' });
      ids = new SegmentIds({ store: this.#store, tag });
      this.#segments.set(tag, ids);
    }
    return ids.next();
  }

  async #nextSnowflake() {
    this.#snowflake ??= Snowflake.lease({ store: this.#store });
    try {
      return (await this.#snowflake).next();
    } catch (/** @type {any} */ error) {
      // A lease that was lost (a machine that slept) is taken anew by the next call.
      if (error.code === 'LEASE_EXPIRED') {
        await (await this.#snowflake).close();
        this.#snowflake = undefined;
      }
      throw error;
    }
  }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {object} body
 */
function reply(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}
