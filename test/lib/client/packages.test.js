/** sendPackage against the naive server: all or none, one behind the other, whatever the network does. */
import assert from 'node:assert/strict';
import { MemoryOutbox } from '../../../lib/client/index.js';
import { makeWorld } from './fake/world.js';

const DM = 'dm:alice:bob';

/** An outbox that is opened again as it is, as after a restart. */
function restarted(outbox) {
  const again = new MemoryOutbox();
  for (const record of outbox.state.snapshot()) again.state.apply(record);
  return again;
}

describe('client: packages', () => {
  it('stores bodies one behind the other, under one number, and resolves to an ack for each', async () => {
    const { clock, network, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    const before = alice.send(DM, 'before');
    const whole = alice.sendPackage(DM, ['a', { b: 1 }, null], { type: 'note' });
    const after = alice.send(DM, 'after');
    await clock.advance(2000);
    assert.deepEqual(
      (await whole).map(({ seq, dup }) => [seq, dup]),
      [2, 3, 4].map((seq) => [seq, false]),
    );
    assert.deepEqual([(await before).seq, (await after).seq], [1, 5]);
    assert.deepEqual(
      bob.received.map(({ body, type }) => [body, type]),
      [['before', 'text'], ['a', 'note'], [{ b: 1 }, 'note'], [null, 'note'], ['after', 'text']], // prettier-ignore
    );
    const sends = network.received.filter(({ t }) => t === 'send');
    assert.deepEqual(
      sends.map(({ n }) => n),
      [1, 2, 2, 2, 3],
      'sent once each, and nothing later before the package is answered',
    );
    assert.deepEqual(alice.outbox(), []);
  });

  it('is one entry of the outbox, and the same id again is the same package', async () => {
    const { clock, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    const first = alice.sendPackage(DM, [1, 2], { id: 'package-1' });
    const second = alice.sendPackage(DM, [1, 2], { id: 'package-1' });
    await clock.advance(10);
    const [entry, ...others] = alice.outbox();
    assert.deepEqual([entry.id, entry.state, entry.parts.map(({ body }) => body), others], ['package-1', 'queued', [1, 2], []]); // prettier-ignore
    await online(alice);
    await clock.advance(1000);
    assert.deepEqual(await second, await first);
    const third = await alice.sendPackage(DM, [1, 2], { id: 'package-1' });
    const places = (sent) => sent.map(({ id, seq, mid }) => [id, seq, mid]);
    assert.deepEqual(places(third), places(await first));
  });

  it('sends all of it again where parts were lost with a connection', async () => {
    const { clock, network, server, makeClient, online } = makeWorld();
    const alice = makeClient('alice');
    await online(alice);
    network.faults.drop = 1;
    const sent = alice.sendPackage(DM, [1, 2, 3]);
    await clock.advance(50);
    network.faults.drop = 0;
    network.cutAll();
    await clock.advance(10_000);
    assert.deepEqual(
      (await sent).map(({ seq }) => seq),
      [1, 2, 3],
    );
    assert.equal(server.conversation(DM).head, 3);
  });

  it('survives a restart with its number and ids', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const outbox = new MemoryOutbox();
    const alice = makeClient('alice', { outbox });
    await online(alice);
    server.silent.add('send');
    alice.sendPackage(DM, ['x', 'y']).catch(() => {});
    await clock.advance(100);
    const kept = restarted(outbox);
    await alice.close();
    server.silent.clear();
    const again = makeClient('alice', { outbox: kept });
    const [entry] = kept.state.entriesOf(DM);
    await online(again);
    await clock.advance(5000);
    const ids = server.conversation(DM).messages.map(({ id, n }) => [id, n]);
    assert.deepEqual(
      ids,
      entry.parts.map(({ id }) => [id, 1]),
    );
  });

  // The server lets go of what it holds: the other parts never reach it.
  for (const [onIncomplete, expected] of [
    ['retry', [1, 2]],
    ['abandon', 'package_incomplete'],
  ]) {
    it(`${onIncomplete}: what the server could not put together`, async () => {
      const { clock, network, server, makeClient, online } = makeWorld();
      const alice = makeClient('alice', { onIncomplete });
      await online(alice);
      server.dropPart = ({ pkg }) => pkg?.i === 1;
      const sent = alice.sendPackage(DM, [1, 2]).then(
        (acks) => acks.map(({ seq }) => seq),
        ({ code }) => code,
      );
      const next = alice.send(DM, 'next');
      await clock.advance(4900);
      const sends = network.received.filter(({ t }) => t === 'send');
      assert.ok(sends.length >= 2 && sends.every(({ n }) => n === 1), 'nothing later before the package is answered');
      await clock.advance(300);
      server.dropPart = undefined;
      await clock.advance(20_000);
      assert.deepEqual(await sent, expected);
      assert.equal((await next).seq, onIncomplete === 'retry' ? 3 : 1, 'what follows is not blocked');
      assert.deepEqual(alice.outbox(), []);
    });
  }

  it('refuses what no server takes before it is sent, and a part too large refuses all', async () => {
    const { makeClient, server, online } = makeWorld();
    server.limits.body = 100;
    const alice = makeClient('alice');
    await online(alice);
    await assert.rejects(alice.sendPackage(DM, ['fits', 'x'.repeat(200)]), { code: 'too_large' });
    await assert.rejects(alice.sendPackage(DM, Array(257).fill(0)), { code: 'INVALID_ARGUMENT', field: 'bodies' });
    Object.assign(server.limits, { body: 1 << 20, frame: 1 << 21 });
    const roomy = makeClient('alice', { device: 'another' });
    await online(roomy);
    await assert.rejects(roomy.sendPackage(DM, Array(5).fill('x'.repeat(1_000_000))), { code: 'too_large' });
    assert.deepEqual(alice.outbox(), []);
  });

  it('is settled by status when the server does not know the device any more', async () => {
    const { clock, server, makeClient, online } = makeWorld();
    const [alice, bob] = [makeClient('alice'), makeClient('bob')];
    await online(alice, bob);
    await Promise.all([alice.send(DM, 0), clock.advance(500)]);
    server.silent.add('send');
    const sent = alice.sendPackage(DM, [1, 2]);
    await clock.advance(100);
    server.wipe();
    server.silent.clear();
    await clock.advance(30_000);
    assert.equal((await sent).length, 2);
    assert.deepEqual(
      server
        .conversation(DM)
        .messages.map(({ body }) => body)
        .slice(-2),
      [1, 2],
    );
  });

  it('lands once and whole under loss, repeats and cuts', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const { clock, random, network, makeClient, online } = makeWorld(seed);
      const [alice, bob] = [makeClient('alice'), makeClient('bob')];
      await online(alice, bob);
      Object.assign(network.faults, { drop: 0.05, repeat: 0.1, cut: 0.02 });
      const sends = [];
      for (let i = 0; i < 40; i++) {
        const bodies = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, part) => [i, part]);
        sends.push(i % 3 ? alice.sendPackage(DM, bodies) : alice.send(DM, [i, 0]).then((sent) => [sent]));
        await clock.advance(Math.floor(random() * 200));
      }
      for (const sent of sends) sent.catch(() => {});
      await clock.advance(120_000);
      Object.assign(network.faults, { drop: 0, repeat: 0, cut: 0 });
      await clock.advance(120_000);
      assert.deepEqual(alice.outbox(), [], `seed ${seed}`);
      const bodies = bob.received.map(({ body }) => body);
      const expected = [...bodies].sort(([a, b], [c, d]) => a - c || b - d);
      assert.deepEqual(bodies, expected, `seed ${seed}: in order, each once, no package torn`);
      assert.equal(new Set(bodies.map(String)).size, bodies.length, `seed ${seed}: each once`);
      assert.equal(new Set(bodies.map(([i]) => i)).size, 40, `seed ${seed}: all of them`);
    }
  }).timeout(60_000);
});
