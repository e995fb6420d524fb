import assert from 'node:assert/strict';
import { once } from 'node:events';
import { EveryonceError } from '../../../lib/protocol/errors.js';
import { Kind } from '../../../lib/server/native.js';
import { readOptions } from '../../../lib/server/options.js';
import { Server } from '../../../lib/server/server.js';
import { FakeEngine } from './support/fake-engine.js';
import { textFrame } from './support/frames.js';
import { closeServer, listening, wsClient } from './support/net.js';

const make = (options = {}, Engine = FakeEngine) =>
  new Server(readOptions({ insecure: true, memory: true, ...options }), Engine);

describe('server', () => {
  let server;
  let engine;
  beforeEach(() => {
    server = make();
    engine = FakeEngine.last;
  });
  afterEach(() => server.close());

  /** The packet of the engine's last request, answered with `answer`. */
  const answer = async (packet) => {
    const [id, user, request] = engine.of('request').at(-1);
    engine.give([Kind.ANSWER, id, packet]);
    return { user, request };
  };

  it('gives the engine its settings', () => {
    const made = make({ limits: { window: 9 }, durability: { fsync: false }, node: 'n1' });
    assert.deepEqual(FakeEngine.last.options, {
      data: null,
      redis: null,
      fsync: false,
      restored: false,
      archive: false,
      authorize: false,
      node: 'n1',
      limits: {
        frame: 65_536,
        body: 16_384,
        window: 9,
        page: 200,
        rate: 100,
        userRate: 1000,
        addressRate: 0,
        packageTimeout: 5000,
      },
      dedupWindowMs: 86_400_000,
      tokens: 'off',
      tokenTtlMs: 86_400_000,
      tokenKey: undefined,
      retention: null,
      events: { message: false },
    });
    return made.close();
  });

  it("throws a store's error with its code, and lets others through", () => {
    const failing = (code) =>
      class {
        constructor() {
          throw Object.assign(new Error('why'), { code });
        }
      };
    for (const code of ['STORE_LOCKED', 'STORE_UNWRITABLE', 'STORE_VERSION', 'STORE_CORRUPT']) {
      assert.throws(
        () => make({ memory: false, data: './d' }, failing(code)),
        (error) => error instanceof EveryonceError && error.code === code && error.data === './d',
      );
    }
    assert.throws(() => make({}, failing('X')), { name: 'Error', code: 'X' });
  });

  it('publishes, and answers with where it is', async () => {
    const published = server.publish({ conv: 'g:a', from: 'bot', id: 'id-00001', type: 'note', body: { a: 1 } });
    const { user, request } = await answer({ t: 'ack', conv: 'g:a', id: 'id-00001', seq: 4, epoch: 9, mid: '77', at: 5, safe: 'disk' }); // prettier-ignore
    assert.equal(user, 'bot');
    assert.deepEqual(request, { t: 'send', conv: 'g:a', id: 'id-00001', type: 'note', body: { a: 1 } });
    assert.deepEqual(await published, { id: 'id-00001', seq: 4, epoch: 9, mid: '77', at: 5, dup: false });
    const again = server.publish({ conv: 'g:a', from: 'bot', id: 'id-00001', body: 1 });
    await answer({ t: 'ack', conv: 'g:a', id: 'id-00001', seq: 4, epoch: 9, mid: '77', at: 5, dup: true });
    assert.equal((await again).dup, true);
    await assert.rejects(server.publish({ conv: 'g:a', from: 'system', body: 1 }), { field: 'from' });
    await assert.rejects(server.publish(), { code: 'INVALID_ARGUMENT', field: 'from' });
  });

  it('changes members in packets of 200', async () => {
    const members = Array.from({ length: 450 }, (_, i) => `u${i}`);
    const done = server.createConversation({ conv: 'g:a', creator: 'alice', members, history: 'all' });
    const seen = [];
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      const { user, request } = await answer({ t: 'ok' });
      seen.push([user, request.t, request.members.length, request.history]);
    }
    await done;
    assert.deepEqual(seen, [['alice', 'create', 200, 'all'], ['', 'add', 200, undefined], ['', 'add', 50, undefined]]); // prettier-ignore
    const removed = server.removeMembers('g:a', ['u1']);
    const { user, request } = await answer({ t: 'error', code: 'unknown_conv', message: 'no' });
    assert.deepEqual([user, request.t, request.members], ['', 'remove', ['u1']]);
    await assert.rejects(removed, { code: 'unknown_conv', conv: 'g:a' });
    await assert.rejects(server.addMembers('a', ['u']), { field: 'conv' });
    await assert.rejects(server.addMembers('g:a', 'u'), { field: 'members' });
    await assert.rejects(server.addMembers('g:a', ['a b']), { field: 'members' });
  });

  it('reads what the engine answers, without the wrapping', async () => {
    const page = server.history('g:a', { before: 9, limit: 5 });
    const { user, request } = await answer({ t: 'page', rid: 1, items: [], more: false });
    assert.deepEqual([user, { ...request, rid: 0 }], ['', { rid: 0, t: 'history', conv: 'g:a', before: 9, limit: 5 }]);
    assert.deepEqual(await page, { items: [], more: false });
    const counts = server.counts('alice', 'phone');
    await answer({ t: 'error', code: 'unavailable', message: 'not now', retry: 1000 });
    await assert.rejects(counts, { code: 'unavailable', retryAfterMs: 1000, user: 'alice' });
  });

  it('counts over as many answers as it takes, as that device', async () => {
    const counts = server.counts('alice', 'phone');
    const [a, b] = ['g:a', 'g:b'].map((conv) => ({ conv, epoch: 1, unread: 1, head: 1, got: 0 }));
    await answer({ t: 'counts', rid: 1, total: 2, convs: [a], more: true });
    await new Promise((resolve) => setImmediate(resolve));
    const { user, request } = await answer({ t: 'counts', rid: 2, total: 2, convs: [b] });
    assert.deepEqual([user, request.after], ['alice', 'g:a']);
    assert.deepEqual(await counts, { total: 2, convs: [a, b] });
    assert.deepEqual(engine.of('request').map(([, , , device]) => device), ['phone', 'phone']); // prettier-ignore
  });

  it('pulls as a device', async () => {
    const page = server.pull('alice', 'phone', { conv: 'g:a', order: 'newest', next: 'x' });
    const { user, request } = await answer({ t: 'page', rid: 1, items: [], covers: [['g:a', 1, 1, 2]] });
    const wanted = { rid: request.rid, t: 'pull', conv: 'g:a', limit: 1000, order: 'newest', next: 'x' };
    assert.deepEqual([user, request], ['alice', wanted]);
    assert.equal(engine.of('request').at(-1)[3], 'phone');
    assert.deepEqual(await page, { items: [], covers: [['g:a', 1, 1, 2]] });
  });

  it('names the argument that is wrong', async () => {
    const wrong = [
      ['conv', server.history('a')],
      ['before', server.history('g:a', { before: -1 })],
      ['after', server.history('g:a', { after: 1.5 })],
      ['limit', server.history('g:a', { limit: 0 })],
      ['user', server.counts('a b', 'phone')],
      ['device', server.counts('alice', 'server')],
      ['device', server.pull('alice')],
      ['conv', server.pull('alice', 'phone', { conv: 'x' })],
      ['limit', server.pull('alice', 'phone', { limit: '5' })],
      ['conv', server.createConversation()],
    ];
    for (const [field, call] of wrong) await assert.rejects(call, { code: 'INVALID_ARGUMENT', field });
    assert.equal(engine.of('request').length, 0);
  });

  it('tells events after the batch, so that a listener can not break it', async () => {
    const told = once(server, 'message');
    server.on('error', () => {});
    const failed = once(server, 'error');
    engine.give(
      [Kind.EVENT, 0, { event: 'message', message: { t: 'msg', conv: 'g:a', seq: 1 } }],
      [Kind.EVENT, 0, { event: 'error', code: 'unavailable', message: 'the disk is full' }],
    );
    assert.deepEqual(await told, [{ conv: 'g:a', seq: 1 }]);
    const [error] = await failed;
    assert.deepEqual([error.code, error.message], ['unavailable', 'the disk is full']);
  });

  it('logs an error that nobody listens for, and lives', () => {
    const logged = [];
    const made = make({ logger: { error: (about, message) => logged.push(message) } });
    FakeEngine.last.give([Kind.EVENT, 0, { event: 'error', code: 'unavailable', message: 'the disk is full' }]);
    assert.deepEqual(logged, ['everyonce: the disk is full']);
    return made.close();
  });

  it('joins sockets, the hook and the engine', async () => {
    const { port } = await server.listen(0);
    const { ws, messages, closed } = await wsClient(port);
    ws.send('{"t":"hello"}');
    while (engine.frames().length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [[id, text]] = engine.frames();
    assert.equal(text, '{"t":"hello"}');
    engine.give([Kind.AUTHENTICATE, id, { token: 'alice', device: 'phone' }]);
    while (engine.of('accept').length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(engine.of('accept'), [[id, 'alice']]);
    engine.give([Kind.WRITE, id, textFrame('{"t":"welcome"}')], [Kind.CLOSE, id, 4409]);
    assert.equal(await closed, 4409);
    assert.deepEqual(messages, ['{"t":"welcome"}']);
    assert.deepEqual(engine.of('close'), [[id]]);
  });

  it('has no tokens where dedup.tokens is off', async () => {
    await assert.rejects(server.issueTokens('alice', 5), { code: 'UNSUPPORTED' });
  });

  it('counts', async () => {
    assert.deepEqual(server.stats(), { acks: 7, groups: 2, commands: 10, connections: 0, requests: 0 });
    assert.match(await server.metrics(), /^everyonce_messages_accepted_total 7$/m);
  });

  describe('listen', () => {
    it('refuses bad arguments', async () => {
      for (const args of [
        ['80'],
        [-1],
        [70_000],
        [0, ''],
        [0, '127.0.0.1', { path: 'x' }],
        [0, '127.0.0.1', { path: '/a/' }],
      ]) {
        await assert.rejects(server.listen(...args), { code: 'BAD_OPTION' }, JSON.stringify(args));
      }
      await assert.rejects(server.listen(0, '0.0.0.0'), { code: 'BAD_OPTION', option: 'insecure' });
    });

    it('says that a port is in use, and can take another', async () => {
      const taken = await listening();
      await assert.rejects(server.listen(taken.port), { code: 'EADDRINUSE', port: taken.port, retryable: true });
      assert.ok((await server.listen(0)).port > 0);
      await assert.rejects(server.listen(0), { code: 'BAD_OPTION' });
      await closeServer(taken);
    });
  });

  describe('close', () => {
    it('says bye, waits, stops the engine, writes its last words, and closes with 1012', async () => {
      engine.stops = false;
      const { port } = await server.listen(0);
      const { messages, closed } = await wsClient(port);
      const [[id]] = engine.of('open');
      const down = server.close();
      assert.equal(server.close(), down);
      while (engine.of('stop').length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      engine.give([Kind.WRITE, id, textFrame('last ack')], [Kind.STOPPED]);
      assert.equal(await closed, 1012);
      await down;
      assert.deepEqual(messages, ['last ack']);
      assert.equal(engine.of('drain').length, 1);
      await assert.rejects(fetch(`http://127.0.0.1:${port}/everyonce/healthz`));
      assert.equal(server.stats().acks, 7);
    });

    it('rejects calls that were not answered, and those that come later', async () => {
      const pending = server.publish({ conv: 'g:a', from: 'bot', body: 1 });
      await server.close();
      await assert.rejects(pending, { code: 'CLOSED' });
      await assert.rejects(server.publish({ conv: 'g:a', from: 'bot', body: 1 }), { code: 'CLOSED' });
      await assert.rejects(server.listen(0), { code: 'CLOSED' });
      assert.throws(() => server.attach({ on() {} }), { code: 'CLOSED' });
    });

    it("leaves another's http server as it was", async () => {
      const http = await listening();
      const before = http.listeners('request');
      server.attach(http, { path: '/chat' });
      assert.equal((await fetch(`http://127.0.0.1:${http.port}/chat/metrics`)).status, 200);
      await server.close();
      assert.deepEqual(http.listeners('request'), before);
      assert.equal((await fetch(`http://127.0.0.1:${http.port}/chat/metrics`)).status, 404);
      await closeServer(http);
    });
  });
});
