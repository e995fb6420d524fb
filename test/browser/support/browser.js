// One Chromium for all browser tests; each person is a profile of its own in it.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { ChatPage } from './chat-page.js';

export const executablePath = '/usr/bin/chromium';
export const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @throws where there is no Chromium: these tests are not to be skipped */
export function needChromium() {
  if (existsSync(executablePath)) return;
  throw new Error(
    `${executablePath} is missing; run: apt-get update && apt-get install -y --no-install-recommends chromium`,
  );
}

/** @type {Promise<import('playwright-core').Browser> | undefined} */
let browser;

after(async () => {
  const opened = await browser?.catch(() => undefined);
  await opened?.close();
});

/**
 * A new profile: nothing is stored in it, nobody else sees it. Only the tests of a page without a server let it keep the
 * page (`serviceWorkers: 'allow'`): that loads everything twice.
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function newProfile(options = {}) {
  needChromium();
  browser ??= chromium.launch({ executablePath, args });
  const context = await (
    await browser
  ).newContext({
    viewport: { width: 1280, height: 800 },
    serviceWorkers: 'block',
    ...options,
  });
  context.setDefaultTimeout(25_000);
  return context;
}

/**
 * A profile on disk, in a Chromium of its own: it outlives the browser.
 * @param {string} directory
 */
export async function keptProfile(directory) {
  needChromium();
  const context = await chromium.launchPersistentContext(directory, { executablePath, args });
  context.setDefaultTimeout(25_000);
  return context;
}

/**
 * Somebody with a browser of their own, logged in.
 * @param {import('./chat-server.js').ChatServer} server
 * @param {string} user
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function person(server, user, options) {
  return ChatPage.open(await newProfile(options), server, user);
}
