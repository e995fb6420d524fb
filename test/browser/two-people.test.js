// The road itself: what one person types stands in the other's browser, once and in order, and the ticks tell the truth.
import assert from 'node:assert/strict';
import { person } from './support/browser.js';
import { ChatServer } from './support/chat-server.js';
import { assertDense, logOf, textsOf } from './support/raw-client.js';

describe('two people', function () {
  this.timeout(60_000);
  const server = new ChatServer();
  before(() => server.start());
  after(() => server.remove());

  it('chat both ways, and see accepted, delivered and read', async () => {
    const alice = await person(server, 'alice');
    await alice.chatWith('bob');
    await alice.say('one');
    await alice.hasState('one', 'accepted');

    const bob = await person(server, 'bob');
    const badge = '.row:has(.row-title:text-is("alice")) .badge';
    await bob.page.waitForSelector(`${badge}:text-is("1")`);
    await alice.hasState('one', 'delivered');

    await bob.choose('alice');
    await alice.hasState('one', 'read');
    await bob.page.waitForSelector(badge, { state: 'hidden' });
    await bob.say('two', 'three');
    await alice.hasText('three');
    await alice.say('four');
    const expected = ['one', 'two', 'three', 'four'];
    await alice.shows(expected);
    await bob.shows(expected);
    await bob.hasState('three', 'read');
    await alice.hasState('four', 'read');

    const log = await logOf(server, 'alice', 'dm:alice:bob');
    assert.deepEqual(textsOf(log), expected);
    assertDense(log);
    await alice.isSound();
    await bob.isSound();
    await Promise.all([alice.close(), bob.close()]);
  });

  it('count what is unread, and mark where the new begins', async () => {
    const [carol, dan] = [await person(server, 'carol'), await person(server, 'dan')];
    await carol.chatWith('dan');
    await carol.say('a', 'b', 'c');
    await dan.page.waitForSelector('.row .badge:text-is("3")');
    assert.equal(await dan.page.title(), '(3) dan · everyonce chat');
    await dan.choose('carol');
    await dan.shows(['a', 'b', 'c']);
    const rows = await dan.page.$$eval('#messages > li', (nodes) => nodes.map((node) => node.className.split(' ')[0]));
    assert.deepEqual(rows, ['day', 'new', 'message', 'message', 'message']);
    await carol.hasState('c', 'read');
    await Promise.all([carol.close(), dan.close()]);
  });

  it('make a group, whose members appear by name', async () => {
    const [erin, frank] = [await person(server, 'erin'), await person(server, 'frank')];
    await erin.page.click('#new-group');
    await erin.page.fill('#dialog-name', 'walkers');
    await erin.page.fill('#dialog-members', 'frank, gina');
    await erin.page.keyboard.press('Enter');
    await erin.isOpen('walkers');
    await erin.say('who comes?');
    await frank.choose('walkers');
    await frank.say('I do');
    for (const one of [erin, frank]) await one.shows(['who comes?', 'I do']);
    assert.equal(await erin.page.textContent('.message .sender:visible'), 'frank');
    assert.equal(await erin.page.textContent('#thread-subtitle'), 'erin, frank, gina');
    assert.equal(await frank.page.textContent('#thread-subtitle'), 'erin, frank, gina');
    // Gina has nothing yet, so the group as a whole does not.
    await erin.hasState('who comes?', 'accepted');
    await erin.isSound();
    await frank.isSound();
    await Promise.all([erin.close(), frank.close()]);
  });

  it('see that the other is typing', async () => {
    const [hans, ines] = [await person(server, 'hans'), await person(server, 'ines')];
    await hans.chatWith('ines');
    await hans.say('hello');
    await ines.choose('hans');
    await ines.page.type('#text', 'hm');
    await hans.page.waitForSelector('#typing:text-is("ines is typing …")');
    await ines.page.press('#text', 'Enter');
    await hans.page.waitForSelector('#typing:empty', { state: 'attached' });
    await hans.shows(['hello', 'hm']);
    await Promise.all([hans.close(), ines.close()]);
  });
});
