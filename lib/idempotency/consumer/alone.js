/** The log of a Redis for a Consumer whose process has no server: one is made for it, which nobody connects to. */
import { EveryonceError } from '../../protocol/errors.js';

/** What is asked before anything is opened, or only once it is. */
const AT_ONCE = new Set(['onNews', 'onReplay', 'onClose', 'report']);

/**
 * @param {unknown} redis as createServer takes it; it is looked at when the first is asked
 * @returns {{ feeds: import('../../server/feeds.js').Feeds, close: () => Promise<void> }}
 */
export function feedsOfRedis(redis) {
  /** @type {any} */
  let server;
  /** @type {Promise<any> | undefined} */
  let opening;
  let isClosed = false;
  const counts = { handled: 0, repeated: 0, failed: 0, parked: 0 };

  const open = async () => {
    if (isClosed) throw new EveryonceError('CLOSED', 'the consumer is stopped');
    opening ??= makeServer(redis);
    try {
      server = await opening;
    } catch (error) {
      opening = undefined; // the next call tries again
      throw error;
    }
    return server.feeds;
  };
  const feeds = new Proxy(/** @type {any} */ ({ counts: () => counts }), {
    get(known, name) {
      if (name in known) return known[name];
      if (AT_ONCE.has(String(name))) return (/** @type {any[]} */ ...args) => server?.feeds[name](...args);
      return async (/** @type {any[]} */ ...args) => (await open())[name](...args);
    },
  });
  const close = async () => {
    isClosed = true;
    await (await opening?.catch(() => undefined))?.close();
  };
  return { feeds, close };
}

/** Loaded here, so that who imports the kit alone loads no server. @param {unknown} redis */
async function makeServer(redis) {
  const { createServer } = await import('../../server/server.js');
  return createServer({ redis: /** @type {any} */ (redis), insecure: true });
}
