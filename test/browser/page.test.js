// The page as people use it: by keyboard, on a phone, without a server, at its end or far above it.
import assert from 'node:assert/strict';
import { newProfile, person } from './support/browser.js';
import { ChatPage } from './support/chat-page.js';
import { ChatServer } from './support/chat-server.js';

const phone = { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true };

describe('the page', function () {
  this.timeout(60_000);
  const server = new ChatServer();
  before(() => server.start());
  after(() => server.remove());

  it('asks for a name, and says what is wrong with one', async () => {
    const profile = await newProfile();
    const page = await profile.newPage();
    await page.goto(server.url);
    await page.waitForSelector('#login-name:focus');
    await page.keyboard.type('not a name');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#login-error:not(:empty)');
    await page.fill('#login-name', 'rita');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#status[data-state="online"]');
    await page.reload();
    await page.waitForSelector('#me-name:text-is("rita")');
    await page.click('#logout');
    await page.waitForSelector('#login-name:focus');
    await profile.close();
  });

  it('works by keyboard: Enter, Shift+Enter, Escape, arrows', async () => {
    const sam = await person(server, 'sam');
    for (const name of ['tina', 'uwe', 'vera']) {
      await sam.chatWith(name);
      await sam.page.waitForSelector('#text:focus');
      await sam.page.keyboard.type('first');
      await sam.page.keyboard.press('Shift+Enter');
      await sam.page.keyboard.type('second');
      await sam.page.keyboard.press('Enter');
      await sam.hasState('first second', 'accepted');
      assert.deepEqual(await sam.texts(), ['first\nsecond']);
    }
    const focused = () => sam.page.evaluate(() => document.activeElement?.querySelector('.row-title')?.textContent);
    await sam.page.keyboard.press('Escape');
    await sam.page.waitForSelector('#thread-none:not([hidden])');
    assert.equal(await focused(), 'vera');
    await sam.page.keyboard.press('ArrowDown');
    assert.equal(await focused(), 'uwe');
    await sam.page.keyboard.press('End');
    assert.equal(await focused(), 'tina');
    await sam.page.keyboard.press('Home');
    await sam.page.keyboard.press('Enter');
    await sam.isOpen('vera');
    await sam.isSound();
    await sam.close();
  });

  it('fits a phone of 360 px: one screen at a time, back by the browser too', async () => {
    const will = await person(server, 'will', phone);
    await will.chatWith('xena');
    await will.say('W'.repeat(200), 'short');
    await will.hasState('short', 'accepted');
    assert.equal(await will.page.isVisible('#conversations'), false);
    assert.equal(await will.page.evaluate(() => document.documentElement.scrollWidth), 360);
    await will.page.goBack();
    await will.page.waitForSelector('#conversations .row');
    assert.equal(await will.page.isVisible('#thread-open'), false);
    await will.page.click('#network-toggle');
    assert.equal(await will.page.isVisible('#net-cut'), true);
    assert.equal(await will.page.evaluate(() => document.documentElement.scrollWidth), 360);
    await will.page.click('#network-close');
    await will.isSound();
    await will.close();
  });

  it('stays where one reads, tells of new messages, and reads them at the end only', async () => {
    const [yann, zoe] = [await person(server, 'yann', phone), await person(server, 'zoe')];
    await zoe.chatWith('yann');
    await zoe.say(...Array.from({ length: 30 }, (_, index) => `line ${index + 1}`));
    await yann.choose('zoe');
    await yann.hasText('line 30');
    // Opened with news, it begins where they begin.
    await yann.page.waitForSelector('#to-bottom:not([hidden])');
    assert.equal(await yann.page.isVisible('#messages > .new'), true);
    await yann.page.click('#to-bottom');
    await zoe.hasState('line 30', 'read');
    await yann.page.evaluate(() => document.querySelector('#scroll')?.scrollTo(0, 0));
    await yann.page.waitForSelector('#to-bottom:text-is("To the end ↓")');
    const top = () => yann.page.$eval('#scroll', (node) => node.scrollTop);
    await zoe.say('news');
    await yann.page.waitForSelector('#to-bottom:text-is("1 new message ↓")');
    assert.equal(await top(), 0);
    await zoe.hasState('news', 'delivered');
    await yann.page.click('#to-bottom');
    await zoe.hasState('news', 'read');
    await Promise.all([yann.close(), zoe.close()]);
  });

  it('opens without a server, with what was there and what waits', async () => {
    const profile = await newProfile({ serviceWorkers: 'allow' });
    const ann = await ChatPage.open(profile, server, 'ann');
    await ann.chatWith('ben');
    await ann.say('kept');
    await ann.hasState('kept', 'accepted');
    await ann.page.evaluate(() => navigator.serviceWorker.ready);
    await server.stop();
    await ann.page.reload();
    await ann.isOpen('ben');
    await ann.shows(['kept']);
    await ann.say('later');
    await ann.hasState('later', 'waiting');
    assert.match(String(await ann.page.textContent('#thread-subtitle')), /waits here/);
    await server.start();
    await ann.hasState('later', 'accepted');
    await ann.shows(['kept', 'later']);
    await ann.isSound();
    await profile.close();
  });

  it('offers to try again or discard where no answer came, and only to dismiss what was refused', async () => {
    const profile = await newProfile();
    const page = await profile.newPage();
    await page.goto(server.url);
    const shown = await page.evaluate(async () => {
      const { showRows } = await import('/views/rows.js');
      const list = document.createElement('ol');
      document.body.append(list);
      const states = ['waiting', 'accepted', 'delivered', 'read', 'unconfirmed', 'failed'];
      const row = { kind: 'message', from: 'me', text: 'hi', at: 0, isOwn: true, reason: 'Too large.' };
      /** @type {string[]} */
      const done = [];
      showRows(
        list,
        states.map((state) => ({ ...row, key: state, id: state, state })),
        { retry: (id) => done.push(`retry ${id}`), discard: (id) => done.push(`discard ${id}`) },
      );
      const visible = [...list.querySelectorAll('button')].filter((button) => button.checkVisibility());
      for (const button of visible) button.click();
      const labels = [...list.querySelectorAll('.ticks')].map((node) => node.getAttribute('aria-label'));
      const help = [...list.querySelectorAll('.help:not([hidden]) .help-text')].map((node) => node.textContent);
      return { done, labels, help };
    });
    assert.deepEqual(shown.done, ['retry unconfirmed', 'discard unconfirmed', 'discard failed']);
    assert.deepEqual(shown.help, ['No answer yet: it may have arrived.', 'Not sent. Too large.']);
    assert.equal(new Set(shown.labels).size, 6);
    await profile.close();
  });

  it('shows in dark what it shows in light, and text keeps its contrast', async () => {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      const one = await person(server, `eve-${colorScheme}`, { colorScheme });
      await one.chatWith('fred');
      await one.say('hello');
      await one.hasState('hello', 'accepted');
      await one.page.click('#network-toggle');
      assert.deepEqual(await one.page.evaluate(lowContrast), [], colorScheme);
      await one.close();
    }
  });
});

/** In the page: every text whose contrast to what is behind it is below 4.5. */
function lowContrast() {
  const parse = (/** @type {string} */ color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (/** @type {number[]} */ [r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (/** @type {Element | null} */ node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const hasText = [...node.childNodes].some(({ nodeType, textContent }) => nodeType === 3 && textContent?.trim());
    if (!hasText || !node.checkVisibility() || node.matches(':disabled')) continue;
    const [front, back] = [luminance(parse(getComputedStyle(node).color)), luminance(behind(node))];
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) low.push(`${node.textContent?.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return low;
}
