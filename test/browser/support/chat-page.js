// A tab with the example chat, as somebody uses it: by what is on the screen, and by the keyboard.
import assert from 'node:assert/strict';

/** What a browser says when the network is gone, which is what some tests are about. */
const NETWORK_ERROR = /Failed to load resource|WebSocket connection to|net::ERR_|service worker/i;

export class ChatPage {
  /** What went wrong in the page. @type {string[]} */
  errors = [];

  /** @param {import('playwright-core').Page} page @param {string} user */
  constructor(page, user) {
    this.page = page;
    this.user = user;
    page.on('pageerror', (error) => this.errors.push(String(error.stack ?? error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.errors.push(message.text());
    });
  }

  /**
   * @param {import('playwright-core').BrowserContext} context
   * @param {import('./chat-server.js').ChatServer} server
   * @param {string} user
   */
  static async open(context, server, user) {
    const chat = new ChatPage(await context.newPage(), user);
    await chat.page.goto(`${server.url}/?user=${user}`);
    await chat.isOnline();
    return chat;
  }

  async isOnline() {
    try {
      await this.page.waitForSelector('#status[data-state="online"]');
    } catch (error) {
      const status = await this.page.evaluate(() => document.body.innerText.slice(0, 200));
      throw new Error(`${this.user} is not online: ${status}\n${this.errors.join('\n')}`, { cause: error });
    }
  }

  isOffline() {
    return this.page.waitForSelector('#status:not([data-state="online"])');
  }

  /** @param {string} name */
  async chatWith(name) {
    await this.page.click('#new-chat');
    await this.page.fill('#dialog-name', name);
    await this.page.keyboard.press('Enter');
    await this.isOpen(name);
  }

  /** Chooses a conversation of the list. @param {string} title */
  async choose(title) {
    await this.page.click(`.row:has(.row-title:text-is("${title}"))`);
    await this.isOpen(title);
  }

  /** @param {string} title */
  isOpen(title) {
    return this.page.waitForSelector(`#thread-open:not([hidden]) #thread-title:text-is("${title}")`);
  }

  /** Types into the field and presses Enter. @param {...string} texts */
  async say(...texts) {
    for (const text of texts) {
      await this.page.fill('#text', text);
      await this.page.press('#text', 'Enter');
    }
  }

  /** The texts on screen, from top to bottom. */
  texts() {
    return this.page.$$eval('#messages .message .text', (nodes) => nodes.map((node) => node.textContent));
  }

  /** Resolves when exactly these stand on the screen, in this order. @param {string[]} expected */
  async shows(expected) {
    await this.#until(
      (wanted) => {
        const texts = [...document.querySelectorAll('#messages .message .text')].map((node) => node.textContent);
        return JSON.stringify(texts) === wanted;
      },
      JSON.stringify(expected),
      async () => assert.deepEqual(await this.texts(), expected, `${this.user}'s thread`),
    );
  }

  /** Resolves when this text stands on the screen. @param {string} text */
  hasText(text) {
    return this.page.waitForSelector(`#messages .message .text:text-is("${text}")`);
  }

  /** Resolves when an own message is in this state. @param {string} text @param {string} state */
  hasState(text, state) {
    return this.page.waitForSelector(`.message.own[data-state="${state}"]:has(.text:text-is("${text}"))`);
  }

  /** Resolves when the server has placed this many messages of the thread. @param {number} count */
  async hasPlaced(count) {
    await this.#until(
      (wanted) => document.querySelectorAll('#messages .message[data-seq]').length === wanted,
      count,
      async () => assert.fail(`${this.user} has ${JSON.stringify(await this.texts())}, not ${count} placed messages`),
    );
  }

  /**
   * @template T
   * @param {(arg: T) => boolean} condition in the page
   * @param {T} arg
   * @param {() => Promise<void>} explain fails with what there is instead
   */
  async #until(condition, arg, explain) {
    try {
      await this.page.waitForFunction(condition, arg);
    } catch (error) {
      await explain();
      throw error;
    }
  }

  /** Settings of the network panel: what happens to this tab's connection. @param {Record<string, number | boolean>} settings */
  network(settings) {
    return this.page.evaluate(async (values) => {
      const { network } = await import('/network.js');
      network.set(values);
    }, settings);
  }

  counters() {
    return this.page.evaluate(async () => ({ ...(await import('/network.js')).network.counters }));
  }

  device() {
    return this.page.$eval('#chat', (node) => node.dataset.device);
  }

  /** Lost, doubled, out of order: as the panel judges. */
  async verdict() {
    if (await this.page.isHidden('#network')) await this.page.click('#network-toggle');
    return this.page.$$eval('[data-verdict]', (nodes) => nodes.map((node) => Number(node.textContent)));
  }

  /** Nothing lost, doubled or swapped, and no error of the page's own. */
  async isSound() {
    assert.deepEqual(await this.verdict(), [0, 0, 0], `${this.user}: lost, doubled, out of order`);
    assert.deepEqual(
      this.errors.filter((error) => !NETWORK_ERROR.test(error)),
      [],
      `errors in ${this.user}'s page`,
    );
  }

  async close() {
    await this.page.context().close();
  }
}
