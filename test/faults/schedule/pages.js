/** Pulls of one device: pages one after the other, what each acks, and whether each is what a page must be. */

/** Pages of the largest run, many times over: a pull that never ends is a fault of its own. */
const maxPages = 3000;

/**
 * @param {any} page @param {{ limit: number, conv?: string, order?: string }} question
 * @returns {string[]} what is wrong with it
 */
export function checkPage({ items, covers, next }, { limit, conv, order }) {
  const wrong = [];
  if (items.length > limit) wrong.push(`${items.length} items, ${limit} were asked for`);
  if ((items.length === 0) !== (next === undefined)) wrong.push(`${items.length} items and next ${next}`);
  for (const { t, conv: of, seq, from } of items) {
    const place = t === 'hole' ? from : seq;
    const isCovered = covers.some(([each, , first, last]) => each === of && first <= place && place <= last);
    if (!isCovered) wrong.push(`${of} ${place} is not covered`);
    if (conv !== undefined && of !== conv) wrong.push(`${of} in a page of ${conv}`);
  }
  for (let i = 1; i < items.length; i++) {
    if (items[i].conv !== items[i - 1].conv) continue;
    const step = (items[i].seq ?? items[i].from) - (items[i - 1].seq ?? items[i - 1].from);
    if (order === 'newest' ? step >= 0 : step <= 0) wrong.push(`seq goes by ${step}, ${order}`);
  }
  return wrong;
}

/** @param {any} page @param {{ limit: number, after?: number, before?: number }} question @returns {string[]} */
export function checkHistory({ items }, { limit, after = 0, before = Infinity }) {
  const wrong = [];
  if (items.length > limit) wrong.push(`${items.length} items, ${limit} were asked for`);
  for (let i = 0; i < items.length; i++) {
    const [first, last] = [items[i].from, items[i].to];
    const [from, to] = items[i].t === 'hole' ? [first, last] : [items[i].seq, items[i].seq];
    if (from <= after || to >= before) wrong.push(`${from}..${to} is not between ${after} and ${before}`);
    const end = i > 0 ? (items[i - 1].to ?? items[i - 1].seq) : from - 1;
    if (from !== end + 1) wrong.push(`${from} after ${end}`);
  }
  return wrong;
}

export class PageChain {
  #device;
  /** The last page of a walk that may go on. @type {{ question: any, page: any } | null} */
  #last = null;

  /** @param {import('./device.js').Device} device */
  constructor(device) {
    this.#device = device;
  }

  clear() {
    this.#last = null;
  }

  /** One page. @param {{ conv?: string, limit: number, order: string, hold?: boolean, goOn?: boolean }} options `goOn`: with the last page's next */
  async pull({ goOn = false, ...question }) {
    const device = this.#device;
    const last = goOn ? this.#last : null;
    const asked = last ? { ...last.question, hold: question.hold } : question;
    this.#last = null;
    const page = await device.ask({ t: 'pull', ...asked, next: last?.page.next });
    if (page.t !== 'page') {
      if (page.code !== 'unknown_conv') device.problem(`pull: ${JSON.stringify(page)}`);
      return null;
    }
    // Pulling on with a page's next has acked that page, and nothing else.
    if (last) device.met(`next ${asked.order}${asked.hold ? ' hold' : ''}`);
    if (last && !asked.hold) for (const [conv, , from, to] of last.page.covers) device.confirm(conv, from, to);
    for (const item of page.items) {
      device.met(item.t === 'hole' ? 'hole' : 'paged');
      if (item.t === 'hole') device.receiver(item.conv).pass(item.from, item.to);
      else device.receiver(item.conv).see(item, 'page');
    }
    for (const [conv, , from, to] of page.covers) device.receiver(conv).pass(from, to);
    for (const wrong of checkPage(page, asked)) device.problem(`page of ${JSON.stringify(asked)}: ${wrong}`);
    if (page.next !== undefined) this.#last = { question: asked, page };
    return page;
  }

  async drain() {
    this.#last = null;
    for (let pages = 0; pages < maxPages; pages++) {
      const page = await this.pull({ limit: 50, order: 'oldest', goOn: pages > 0 });
      if (!page || page.items.length === 0) return;
    }
    this.#device.problem(`more than ${maxPages} pages`);
  }
}
