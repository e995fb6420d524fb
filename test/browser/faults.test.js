// What networks and servers do to people: whatever is cut, swallowed, doubled or killed, each message is there once, in one
// order for all, and that order is the log's.
import assert from 'node:assert/strict';
import { person } from './support/browser.js';
import { ChatServer } from './support/chat-server.js';
import { assertDense, logOf, textsOf } from './support/raw-client.js';

const CONV = 'dm:alice:bob';
const texts = (/** @type {string} */ name, /** @type {number} */ count) =>
  Array.from({ length: count }, (_, index) => `${name} ${index + 1}`);

describe('faults', function () {
  this.timeout(60_000);
  /** @type {ChatServer} */
  let server;
  /** @type {import('./support/chat-page.js').ChatPage} */
  let alice;
  /** @type {import('./support/chat-page.js').ChatPage} */
  let bob;

  beforeEach(async () => {
    server = await new ChatServer().start();
    [alice, bob] = [await person(server, 'alice', { serviceWorkers: 'allow' }), await person(server, 'bob')];
    await alice.chatWith('bob');
    await bob.chatWith('alice');
    await alice.say('hello');
    await bob.hasText('hello');
  });
  afterEach(async () => {
    await Promise.all([alice.close(), bob.close()]);
    await server.remove();
  });

  /** Both show what the log holds: all that was written, each once, each person's in the order of writing. @param {string[]} written */
  async function agree(written) {
    await alice.hasPlaced(written.length);
    await bob.hasPlaced(written.length);
    const log = await logOf(server, 'alice', CONV);
    assertDense(log);
    const logged = textsOf(log);
    assert.deepEqual([...logged].sort(), [...written].sort());
    for (const name of ['alice', 'bob']) {
      const ofOne = (/** @type {string} */ text) => text.startsWith(`${name} `);
      assert.deepEqual(logged.filter(ofOne), written.filter(ofOne), `${name}'s order`);
    }
    await alice.shows(logged);
    await bob.shows(logged);
    await alice.isSound();
    await bob.isSound();
  }

  it('one is cut off, both write, it comes back', async () => {
    await alice.page.click('#network-toggle');
    await alice.page.click('label[for="net-offline"]');
    await alice.isOffline();
    await alice.say(...texts('alice', 4));
    await alice.hasState('alice 4', 'waiting');
    await bob.say(...texts('bob', 4));
    await bob.hasState('bob 4', 'accepted');
    await alice.shows(['hello', ...texts('alice', 4)]);
    await alice.page.click('label[for="net-offline"]');
    await alice.hasState('alice 4', 'read');
    await agree(['hello', ...texts('alice', 4), ...texts('bob', 4)]);
  });

  it('acks are swallowed, frames go out twice, connections are cut again and again', async () => {
    await alice.network({ dropAcks: 0.6, duplicate: 0.5, delayOut: 20, delayIn: 20 });
    await bob.network({ duplicate: 1 });
    for (let round = 1; round <= 3; round++) {
      await alice.say(`alice ${round}a`, `alice ${round}b`);
      await bob.say(`bob ${round}`);
      await alice.page.evaluate(async () => (await import('/network.js')).network.cut());
    }
    await alice.network({ dropAcks: 0 });
    const rounds = [1, 2, 3];
    await agree([
      'hello',
      ...rounds.flatMap((round) => [`alice ${round}a`, `alice ${round}b`]),
      ...rounds.map((round) => `bob ${round}`),
    ]);
    const { resent, answeredDup, duplicatedFrames } = await bob.counters();
    assert.ok(duplicatedFrames > 0 && resent > 0 && answeredDup > 0, 'nothing was doubled on the way');
  });

  it('reload in mid-send, with the acks swallowed: it arrives once and shows accepted', async () => {
    await alice.network({ dropAcks: 1 });
    await alice.say('alice 1', 'alice 2');
    await bob.hasText('alice 2');
    assert.ok(await alice.page.isVisible('.message[data-state="waiting"]'), 'an ack got through');
    await alice.page.reload();
    await alice.isOpen('bob');
    await alice.hasState('alice 1', 'read');
    await alice.hasState('alice 2', 'read');
    const { answeredDup } = await alice.counters();
    assert.ok(answeredDup >= 2, 'the server was not asked again');
    await agree(['hello', 'alice 1', 'alice 2']);
  });

  it('what is written offline survives a reload, and goes out once', async () => {
    await alice.page.evaluate(() => navigator.serviceWorker.ready);
    await alice.network({ offline: true });
    await alice.say('alice 1', 'alice 2');
    await alice.hasState('alice 2', 'waiting');
    // From here on the tab has no network of its own to break: the server is away instead.
    await server.stop('SIGTERM');
    await alice.page.reload();
    await alice.shows(['hello', 'alice 1', 'alice 2']);
    await alice.hasState('alice 1', 'waiting');
    await server.start();
    await alice.hasState('alice 2', 'read');
    await agree(['hello', 'alice 1', 'alice 2']);
  });

  it('the server is killed in mid-chat and starts again on the same data', async () => {
    await alice.network({ delayIn: 150 });
    await alice.say(...texts('alice', 5));
    await bob.say('bob 1');
    await server.stop('SIGKILL');
    await alice.isOffline();
    await bob.isOffline();
    await bob.say('bob 2');
    await bob.hasState('bob 2', 'waiting');
    await server.start();
    await alice.isOnline();
    await bob.isOnline();
    await alice.say('alice 6');
    await agree(['hello', ...texts('alice', 6), 'bob 1', 'bob 2']);
  });
});
