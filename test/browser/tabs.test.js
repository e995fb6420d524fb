// Tabs of one user in one profile: each is a device of its own, each shows everything once, and none sends for another
// that is alive.
import assert from 'node:assert/strict';
import { newProfile, person } from './support/browser.js';
import { ChatPage } from './support/chat-page.js';
import { ChatServer } from './support/chat-server.js';
import { assertDense, logOf, textsOf } from './support/raw-client.js';

describe('tabs of one user', function () {
  this.timeout(60_000);
  const server = new ChatServer();
  before(() => server.start());
  after(() => server.remove());

  it('never share a device, and both show everything once', async () => {
    const profile = await newProfile();
    const first = await ChatPage.open(profile, server, 'alice');
    await first.chatWith('bob');
    const second = await ChatPage.open(profile, server, 'alice');
    const bob = await person(server, 'bob');
    await bob.chatWith('alice');
    assert.notEqual(await first.device(), await second.device());

    await first.say('from the first');
    await second.choose('bob');
    await second.hasText('from the first');
    await second.say('from the second');
    await first.hasText('from the second');
    await bob.hasText('from the second');
    await bob.say('from bob');
    const expected = ['from the first', 'from the second', 'from bob'];
    for (const tab of [first, second, bob]) await tab.shows(expected);
    // Each tab knows an own message of the other as an own one.
    await first.hasState('from the second', 'read');
    assertDense(await logOf(server, 'alice', 'dm:alice:bob'));
    for (const tab of [first, second, bob]) await tab.isSound();
    await Promise.all([profile.close(), bob.close()]);
  });

  it('take over what a closed tab left unsent, once', async () => {
    const profile = await newProfile();
    const first = await ChatPage.open(profile, server, 'carol');
    await first.chatWith('dan');
    const second = await ChatPage.open(profile, server, 'carol');
    await second.chatWith('dan');
    await second.network({ dropAcks: 1 });
    await second.say('stored, but never acked');
    await first.hasText('stored, but never acked');
    await second.network({ offline: true });
    await second.say('never sent');
    await second.hasState('never sent', 'waiting');
    await second.page.close();

    await first.page.reload();
    await first.isOpen('dan');
    await first.hasState('never sent', 'accepted');
    const expected = ['stored, but never acked', 'never sent'];
    await first.shows(expected);
    const log = await logOf(server, 'carol', 'dm:carol:dan');
    assert.deepEqual(textsOf(log), expected);
    assertDense(log);
    await first.isSound();
    await profile.close();
  });

  it('come back to the same device, with the same messages', async () => {
    const profile = await newProfile();
    const before = await ChatPage.open(profile, server, 'erin');
    await before.chatWith('frank');
    await before.say('one', 'two');
    const frank = await person(server, 'frank');
    await frank.choose('erin');
    await frank.say('three');
    await before.hasText('three');
    await before.hasState('two', 'read');
    await frank.hasState('three', 'read');
    const device = await before.device();
    await before.page.close();
    await frank.say('four');

    const again = await ChatPage.open(profile, server, 'erin');
    assert.equal(await again.device(), device);
    await again.choose('frank');
    await again.shows(['one', 'two', 'three', 'four']);
    await again.hasState('two', 'read');
    await again.isSound();
    await Promise.all([profile.close(), frank.close()]);
  });
});
