// IndexedDBOutbox itself, in a real browser: durable before it is sent, one owner, numbers that go on, nothing sent twice.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keptProfile, newProfile } from './support/browser.js';
import { ChatPage } from './support/chat-page.js';
import { ChatServer } from './support/chat-server.js';
import { assertDense, logOf, textsOf } from './support/raw-client.js';

describe('IndexedDBOutbox', function () {
  this.timeout(60_000);
  const server = new ChatServer();
  /** @type {import('playwright-core').BrowserContext} */
  let profile;
  before(() => server.start());
  after(() => server.remove());
  beforeEach(async () => {
    profile = await newProfile();
  });
  afterEach(() => profile.close());

  /** A page of the server's origin where nobody is logged in. */
  async function emptyPage() {
    const page = await profile.newPage();
    await page.goto(server.url);
    return page;
  }

  /** Opens an outbox that the page keeps as `window.outbox`. @param {import('playwright-core').Page} page @param {string} name */
  const openOutbox = (page, name) =>
    page.evaluate(async (outboxName) => {
      const { IndexedDBOutbox } = await import('/everyonce/client.js');
      const outbox = new IndexedDBOutbox({ name: outboxName });
      const { device, pe } = await outbox.open({
        newDevice: () => `device-${performance.now()}-${Math.random()}`.replaceAll('.', ''),
      });
      Object.assign(window, { outbox });
      const entries = outbox.state.entriesOf('dm:a:b').map(({ id, n, bodyText }) => ({ id, n, bodyText }));
      return { device, pe, entries, warnings: outbox.warnings.map(({ code }) => code) };
    }, name);

  /** @param {import('playwright-core').Page} page @param {string} id @returns {Promise<number>} its n */
  const append = (page, id) =>
    page.evaluate(async (messageId) => {
      const message = { conv: 'dm:a:b', id: messageId, bodyText: `"${messageId}"`, at: 1 };
      return (await /** @type {any} */ (window).outbox.append(message)).n;
    }, id);

  it('stores a message in one strict transaction before append resolves', async () => {
    const page = await emptyPage();
    await openOutbox(page, 'strict');
    const seen = await page.evaluate(async () => {
      /** @type {any[]} */
      const transactions = [];
      const original = IDBDatabase.prototype.transaction;
      IDBDatabase.prototype.transaction = function (stores, mode, options) {
        const transaction = original.call(this, stores, mode, options);
        const record = { mode, durability: transaction.durability, committed: false };
        transaction.addEventListener('complete', () => (record.committed = true));
        transactions.push(record);
        return transaction;
      };
      const message = { conv: 'dm:a:b', id: 'message-1', bodyText: '1', at: 1 };
      await /** @type {any} */ (window).outbox.append(message);
      return transactions.map((record) => ({ ...record }));
    });
    assert.deepEqual(seen, [{ mode: 'readwrite', durability: 'strict', committed: true }]);
  });

  it('keeps device, ids and numbers over a reload, and numbers on from there', async () => {
    const page = await emptyPage();
    const first = await openOutbox(page, 'numbers');
    assert.deepEqual(first.warnings, []);
    assert.deepEqual([await append(page, 'message-1'), await append(page, 'message-2')], [1, 2]);
    await page.reload();
    const second = await openOutbox(page, 'numbers');
    assert.equal(second.device, first.device);
    assert.equal(second.pe, first.pe + 1);
    assert.deepEqual(second.entries, [
      { id: 'message-1', n: 1, bodyText: '"message-1"' },
      { id: 'message-2', n: 2, bodyText: '"message-2"' },
    ]);
    assert.equal(await append(page, 'message-3'), 3);
  });

  it('belongs to one tab at a time, by a Web Lock', async () => {
    const [one, two] = [await emptyPage(), await emptyPage()];
    const [first, second] = [await openOutbox(one, 'locked'), await openOutbox(two, 'locked')];
    assert.notEqual(first.device, second.device);
    const held = await two.evaluate(async () => (await navigator.locks.query()).held?.map(({ name }) => name).sort());
    assert.deepEqual(held, ['everyonce:locked:1', 'everyonce:locked:2']);
    await one.close();
    const three = await emptyPage();
    // A tab that was closed lets go in its own time; the lock tells when.
    await three.evaluate(() => navigator.locks.request('everyonce:locked:1', () => {}));
    const third = await openOutbox(three, 'locked');
    assert.equal(third.device, first.device);
    assert.equal(third.pe, first.pe + 1);
  });

  it('sends what it restored once, and after that no more', async () => {
    const page = await emptyPage();
    const connect = () =>
      page.evaluate(async () => {
        const { Client, IndexedDBOutbox } = await import('/everyonce/client.js');
        const outbox = new IndexedDBOutbox({ name: 'once' });
        const client = new Client({ url: location.origin, token: 'olga', outbox });
        const empty = new Promise((resolve) => {
          client.on('outbox', () => client.outbox().length === 0 && resolve(undefined));
          client.on(
            'state',
            (/** @type {string} */ state) => state === 'online' && client.outbox().length === 0 && resolve(undefined),
          );
        });
        await client.connect();
        await empty;
        await outbox.flush();
        return client.device;
      });
    await page.evaluate(async () => {
      const { Client, IndexedDBOutbox } = await import('/everyonce/client.js');
      const outbox = new IndexedDBOutbox({ name: 'once' });
      const client = new Client({ url: location.origin, token: 'olga', outbox });
      client.send('dm:olga:paul', { text: 'before any connection' }, { id: 'restored-1' }).catch(() => {});
      client.send('dm:olga:paul', { text: 'and another' }, { id: 'restored-2' }).catch(() => {});
      while (client.outbox().length < 2) await new Promise((resolve) => client.once('outbox', resolve));
    });
    await page.reload();
    const device = await connect();
    await page.reload();
    assert.equal(await connect(), device);
    const log = await logOf(server, 'olga', 'dm:olga:paul');
    assertDense(log);
    assert.deepEqual(
      log.map(({ id, device: by }) => [id, by]),
      [
        ['restored-1', device],
        ['restored-2', device],
      ],
    );
  });

  it('warns and goes on in memory where there are no Web Locks', async () => {
    const page = await emptyPage();
    const opened = await page.evaluate(async () => {
      const { IndexedDBOutbox } = await import('/everyonce/client.js');
      const outbox = new IndexedDBOutbox({ name: 'bare', locks: undefined, indexedDB });
      await outbox.open({ newDevice: () => 'fresh' });
      return { device: outbox.state.device, warnings: outbox.warnings.map(({ code }) => code) };
    });
    assert.deepEqual(opened, { device: 'fresh', warnings: ['OUTBOX_NOT_KEPT'] });
  });

  it('survives the death of the browser', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'everyonce-profile-'));
    try {
      const first = await keptProfile(directory);
      const before = await ChatPage.open(first, server, 'quinn');
      await before.chatWith('ruth');
      await before.network({ offline: true });
      await before.say('written before the crash');
      // On disk is what the outbox has taken; the bubble alone stands there earlier.
      await before.page.waitForFunction(async () => {
        const open = indexedDB.open('everyonce:chat:quinn');
        const database = await new Promise((resolve) => (open.onsuccess = () => resolve(open.result)));
        const all = database.transaction('records').objectStore('records').getAll();
        const records = await new Promise((resolve) => (all.onsuccess = () => resolve(all.result)));
        database.close();
        return records.some((/** @type {any} */ { k }) => k === 'add');
      });
      const gone = new Promise((resolve) => first.once('close', resolve));
      const devtools = await first.newCDPSession(before.page);
      devtools.send('Browser.crash').catch(() => {});
      await gone;

      const second = await keptProfile(directory);
      const after = await ChatPage.open(second, server, 'quinn');
      await after.choose('ruth');
      await after.hasState('written before the crash', 'accepted');
      await second.close();
      const log = await logOf(server, 'ruth', 'dm:quinn:ruth');
      assert.deepEqual(textsOf(log), ['written before the crash']);
    } finally {
      rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
    }
  });
});
