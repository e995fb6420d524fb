/**
 * Paging through what this device missed, at the application's own pace (docs/protocol.md, Offline and history).
 */

import { DEFAULT_LIMITS } from '../protocol/index.js';

/**
 * @typedef {import('../protocol/index.js').Packet} Packet
 * @typedef {import('./inbox.js').Message} Message
 * @typedef {{ conv: string, epoch: number, from: number, to: number, reason: string }} Hole
 * @typedef {{ conv?: string, limit?: number, order?: 'oldest' | 'newest' }} OfflineOptions
 */

/** One page; iterating over it gives its messages. */
export class Page {
  /** @param {Message[]} items @param {Hole[]} holes */
  constructor(items, holes) {
    this.items = items;
    /** Numbers that were removed or are not visible. */
    this.holes = holes;
  }

  [Symbol.iterator]() {
    return this.items[Symbol.iterator]();
  }
}

/** @param {Packet} item @returns {Message} */
export function messageOf({ conv, epoch, seq, mid, from, device, id, type, body, at }) {
  return { conv, epoch, seq, mid, from, device, id, type, body, at };
}

/** @param {Packet[]} items */
export function pageOf(items) {
  const holes = items
    .filter((item) => item.t === 'hole')
    .map(({ conv, epoch, from, to, reason }) => ({ conv, epoch, from, to, reason }));
  return new Page(items.filter((item) => item.t === 'msg').map(messageOf), holes);
}

/**
 * Pages until there are no more. Asking for the next page acks the one before, so a loop that is left early leaves its
 * last page unacked, and gets it again next time.
 * @param {{ ask: (question: Packet) => Promise<Packet>, taken: (page: Packet) => void, finished: (conv?: string) => void }} host
 * @param {OfflineOptions} options
 * @returns {AsyncGenerator<Page, void, void>}
 */
export async function* offlinePages(host, { conv, limit = DEFAULT_LIMITS.page, order = 'oldest' }) {
  /** @type {Packet | null} */
  let before = null;
  for (;;) {
    const next = before?.next;
    /** @type {Packet} */
    const page = await host.ask({
      t: 'pull',
      order,
      limit,
      ...(conv === undefined ? {} : { conv }),
      ...(next === undefined ? {} : { next }),
    });
    if (before) host.taken(before);
    if (page.items.length > 0) yield pageOf(page.items);
    if (page.next === undefined) {
      host.taken(page);
      return host.finished(conv);
    }
    before = page;
  }
}
