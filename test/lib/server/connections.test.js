import assert from 'node:assert/strict';
import { Connections } from '../../../lib/server/connections.js';
import { Wheel } from '../../../lib/server/wheel.js';
import { FakeEdge } from './support/fake-edge.js';
import { FakeEngine } from './support/fake-engine.js';

const hello = (token = 'alice') => ({ token, device: 'phone' });

function makeWorld(authenticate = ({ token }) => ({ user: token }), more = {}) {
  const world = { now: 0, faults: [], refused: [] };
  world.wheel = new Wheel(250, () => world.now);
  world.engine = new FakeEngine({}, () => {});
  world.connections = new Connections({
    authenticate,
    wheel: world.wheel,
    metrics: { received() {}, wrote() {}, closed() {} },
    fault: (error) => world.faults.push(error),
    refused: (who) => world.refused.push(who),
    ...more,
  });
  world.connections.connect(world.engine);
  world.pass = (ms) => {
    for (const end = world.now + ms; world.now < end;) {
      world.now += 250;
      world.wheel.advance();
    }
  };
  /** Opens a socket, with headers of its upgrade. */
  world.open = (headers = {}) => {
    const edge = new FakeEdge();
    const request = { headers, url: '/everyonce' };
    edge.id = world.connections.opened(edge, request);
    edge.request = request;
    edge.whenClosed = (code) => world.connections.closed(edge.id, code);
    return edge;
  };
  return world;
}

describe('connections', () => {
  it('tells the engine of each, under a number of its own', () => {
    const { engine, open, connections } = makeWorld();
    const [a, b] = [open(), open()];
    assert.notEqual(a.id, b.id);
    assert.deepEqual(engine.of('open'), [
      [a.id, '127.0.0.1'],
      [b.id, '127.0.0.1'],
    ]);
    a.close(1000);
    assert.deepEqual(engine.of('close'), [[a.id]]);
    assert.equal(connections.size, 1);
  });

  it('closes with 4429 who connects too often, and says when to come again', async () => {
    const { engine, open, connections } = makeWorld(undefined, { userConnects: 1 });
    const enter = async (token) => {
      const edge = open();
      await connections.authenticate(edge.id, { ...hello(token), device: `d${edge.id}` });
      edge.close(1000);
      return edge;
    };
    for (let i = 0; i < 10; i++) assert.equal((await enter('alice')).closedWith, 1000);
    const refused = await enter('alice');
    assert.deepEqual([refused.closedWith, refused.reason], [4429, 'too many new connections of this user, again in 1000 ms']); // prettier-ignore
    assert.equal((await enter('bob')).closedWith, 1000);
    assert.equal(engine.of('accept').length, 11);
  });

  it('closes with 1013 above the limit of one user, until one of his is gone', async () => {
    const { engine, open, connections } = makeWorld(undefined, { perUser: 1 });
    let devices = 0;
    const enter = async (token, device = `d${(devices += 1)}`) => {
      const edge = open();
      await connections.authenticate(edge.id, { ...hello(token), device });
      return edge;
    };
    const first = await enter('alice', 'phone');
    assert.equal((await enter('alice')).closedWith, 1013);
    assert.equal((await enter('bob')).closedWith, 0);
    assert.equal((await enter('alice')).closedWith, 1013, 'who was refused gave nothing back');
    const again = await enter('alice', 'phone');
    assert.equal(again.closedWith, 0, 'a device that comes back replaces itself, also at the limit');
    first.close(4409);
    assert.equal((await enter('alice')).closedWith, 1013, 'and its first connection had no part left to give back');
    again.close(1000);
    assert.equal((await enter('alice')).closedWith, 0);
    assert.deepEqual(engine.of('accept').map(([, user]) => user), ['alice', 'bob', 'alice', 'alice']); // prettier-ignore
  });

  it('hands over what a socket sent before it went', () => {
    const { engine, open, connections } = makeWorld();
    const edge = open();
    connections.frame(edge.id, Buffer.from('last words'));
    edge.close(1006);
    assert.deepEqual(engine.calls.map((call) => call.name), ['open', 'submit', 'frame', 'close']); // prettier-ignore
  });

  it('writes and closes for the engine, and nothing for those that are gone', () => {
    const { open, connections } = makeWorld();
    const edge = open();
    connections.write(edge.id, Buffer.from('frame'));
    connections.close(edge.id, 4409);
    connections.write(edge.id, Buffer.from('late'));
    connections.close(edge.id, 4400);
    assert.deepEqual([edge.written, edge.closedWith], [['frame'], 4409]);
  });

  it('counts time from now, however long the loop was busy', () => {
    const world = makeWorld();
    world.now = 4_000;
    const edge = world.open();
    world.pass(4_750);
    assert.equal(edge.closedWith, 0);
    world.pass(500);
    assert.equal(edge.closedWith, 4408);
  });

  it('closes with 4408 when no hello comes, also after a pause in which it could not have come', () => {
    const world = makeWorld();
    const [silent, paused] = [world.open(), world.open()];
    paused.pause(1);
    world.pass(4750);
    assert.equal(silent.closedWith, 0);
    world.pass(500);
    assert.deepEqual([silent.closedWith, paused.closedWith], [4408, 0]);
    paused.resume(1);
    world.pass(5250);
    assert.equal(paused.closedWith, 4408);
  });

  it('asks who it is with the request, the token and the device, and accepts', async () => {
    const seen = [];
    const world = makeWorld((credentials) => (seen.push(credentials), { user: 'alice' }));
    const edge = world.open();
    const asked = world.connections.authenticate(edge.id, hello('t'));
    assert.equal(edge.isPaused, true);
    await asked;
    assert.deepEqual(seen, [{ request: edge.request, token: 't', device: 'phone' }]);
    assert.deepEqual(world.engine.of('accept'), [[edge.id, 'alice']]);
    assert.equal(edge.isPaused, false);
    world.pass(60_000);
    assert.equal(edge.closedWith, 0);
  });

  it("takes the upgrade's token where the hello has none", async () => {
    const world = makeWorld();
    const edge = world.open({ authorization: 'Bearer bob' });
    await world.connections.authenticate(edge.id, hello(null));
    assert.deepEqual(world.engine.of('accept'), [[edge.id, 'bob']]);
  });

  const refusals = [
    ['null', () => null],
    ['nothing', () => undefined],
    ['a throw', () => assert.fail('no')],
    ['a rejection', () => Promise.reject(new Error('no'))],
    ['a throw of no error', () => Promise.reject('no')],
  ];
  for (const [what, authenticate] of refusals) {
    it(`closes with 4401 on ${what}, and tells nobody but the log`, async () => {
      const world = makeWorld(authenticate);
      const edge = world.open();
      await world.connections.authenticate(edge.id, hello());
      assert.equal(edge.closedWith, 4401);
      assert.deepEqual([world.engine.of('accept'), world.faults], [[], []]);
      assert.equal(world.refused[0].device, 'phone');
    });
  }

  for (const identity of [
    {},
    { user: 'system' },
    { user: 'a b' },
    { user: 5 },
    'alice',
    { user: 'a', expiresAt: 'x' },
  ]) {
    it(`closes with 4401 and reports an error on ${JSON.stringify(identity)}`, async () => {
      const world = makeWorld(() => identity);
      const edge = world.open();
      await world.connections.authenticate(edge.id, hello());
      assert.equal(edge.closedWith, 4401);
      assert.equal(world.faults[0].option, 'authenticate');
    });
  }

  it('gives up a hook after 10 s, and does not hear it later', async () => {
    let answer;
    const world = makeWorld(() => new Promise((resolve) => (answer = resolve)));
    const edge = world.open();
    const asked = world.connections.authenticate(edge.id, hello());
    world.pass(9_750);
    assert.equal(edge.closedWith, 0);
    world.pass(500);
    assert.equal(edge.closedWith, 4401);
    answer({ user: 'alice' });
    await asked;
    assert.deepEqual(world.engine.of('accept'), []);
  });

  it('accepts nobody who left meanwhile, and asks nobody twice', async () => {
    const world = makeWorld();
    const [gone, twice] = [world.open(), world.open()];
    const asked = world.connections.authenticate(gone.id, hello());
    gone.close(1000);
    await asked;
    await Promise.all([1, 2].map(() => world.connections.authenticate(twice.id, hello())));
    await world.connections.authenticate(99, hello());
    assert.deepEqual(world.engine.of('accept'), [[twice.id, 'alice']]);
  });

  it('closes with 4401 when the token expires', async () => {
    const world = makeWorld(() => ({ user: 'alice', expiresAt: Date.now() + 90_000 }));
    const edge = world.open();
    await world.connections.authenticate(edge.id, hello());
    world.pass(89_000);
    assert.equal(edge.closedWith, 0);
    world.pass(1_500);
    assert.equal(edge.closedWith, 4401);
  });

  it('wants a token where a cookie comes without an Origin', async () => {
    const world = makeWorld(() => ({ user: 'alice' }));
    const edges = [world.open({ cookie: 'a=b' }), world.open({ cookie: 'a=b', origin: 'http://localhost' })];
    for (const edge of edges) await world.connections.authenticate(edge.id, hello(null));
    assert.deepEqual(edges.map((edge) => edge.closedWith), [4401, 0]); // prettier-ignore
  });

  it('pauses who feeds a full engine, until it has room', async () => {
    const world = makeWorld();
    const [feeder, other] = [world.open(), world.open()];
    world.engine.room = 0;
    world.connections.frame(feeder.id, Buffer.from('one'));
    await new Promise((resolve) => setImmediate(resolve));
    world.connections.frame(feeder.id, Buffer.from('two'));
    assert.deepEqual([feeder.isPaused, other.isPaused], [true, false]);
    world.engine.room = Infinity;
    world.connections.drained();
    assert.equal(feeder.isPaused, false);
    assert.deepEqual(world.engine.frames(), [[feeder.id, 'one'], [feeder.id, 'two']]); // prettier-ignore
  });

  it('says nothing to an engine that is gone', () => {
    const world = makeWorld();
    const edge = world.open();
    world.connections.frame(edge.id, Buffer.from('x'));
    world.connections.disconnect();
    const before = world.engine.calls.length;
    world.connections.frame(edge.id, Buffer.from('y'));
    edge.close(1012);
    world.open();
    assert.equal(world.engine.calls.length, before);
    assert.deepEqual(world.engine.frames(), [[edge.id, 'x']]);
  });
});
