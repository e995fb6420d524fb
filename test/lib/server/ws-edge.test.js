import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { EDGE } from '../../../lib/server/defaults.js';
import { Wheel } from '../../../lib/server/wheel.js';
import { WsEdge } from '../../../lib/server/ws-edge.js';
import { textFrame } from './support/frames.js';
import { closeServer, listening, upgrade, wsClient } from './support/net.js';

const LIMITS = { frame: 1024, connections: 3, buffered: 65_536 };

/** A handler that remembers, and emits what it is told. */
class Handler extends EventEmitter {
  connections = [];
  frames = [];
  closes = [];

  opened(connection, request) {
    this.connections.push(connection);
    this.emit('opened', connection, request);
    return this.connections.length;
  }

  frame(id, data) {
    this.frames.push([id, String(data)]);
    this.emit('frame', id, String(data));
  }

  lagging(id, lagging) {
    this.emit('lagging', id, lagging);
  }

  closed(id, code) {
    this.closes.push([id, code]);
    this.emit('closed', id, code);
  }
}

describe('ws edge', () => {
  let http;
  let handler;
  let edge;
  let wheel;
  let now;

  const pass = (ms) => {
    for (const end = now + ms; now < end;) {
      now += EDGE.wheelSlotMs;
      wheel.advance();
    }
  };

  const start = async (options = {}) => {
    now = 0;
    wheel = new Wheel(EDGE.wheelSlotMs, () => now);
    handler = new Handler();
    edge = new WsEdge({ limits: LIMITS, origins: null, loopbackOnly: false, ...options }, handler, wheel);
    http = await listening();
    http.on('upgrade', (request, socket, head) => edge.upgrade(request, socket, head));
  };

  /** A client and the server's end of it. */
  const pair = async () => {
    const opened = once(handler, 'opened');
    const client = await wsClient(http.port);
    const [connection] = await opened;
    return { ...client, connection, id: handler.connections.length };
  };

  beforeEach(() => start());
  afterEach(async () => {
    await edge.emptied(0);
    await closeServer(http);
  });

  describe('upgrade', () => {
    const status = async (headers) => {
      const { status: code, socket } = await upgrade(http.port, { headers });
      socket.destroy();
      return code;
    };

    it('speaks everyonce.v1, without compression', async () => {
      const extensions = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
      const { status: code, head, socket } = await upgrade(http.port, { headers: extensions });
      assert.equal(code, 101);
      assert.match(head, /Sec-WebSocket-Protocol: everyonce\.v1/i);
      assert.doesNotMatch(head, /deflate/);
      socket.destroy();
    });

    it('refuses other subprotocols with 400, and takes none', async () => {
      assert.equal(await status({ 'Sec-WebSocket-Protocol': 'chat, superchat' }), 400);
      assert.equal(await status({ 'Sec-WebSocket-Protocol': 'chat, everyonce.v1' }), 101);
      assert.equal(await status({ 'Sec-WebSocket-Protocol': '' }), 101);
    });

    it("refuses other sites' pages with 403", async () => {
      assert.equal(await status({ Origin: 'https://evil.example' }), 403);
      assert.equal(await status({ Origin: `http://127.0.0.1:${http.port}` }), 101);
      assert.equal(await status({}), 101);
      assert.equal(handler.connections.length, 2);
    });

    it('keeps to the list of origins where there is one', async () => {
      await closeServer(http);
      await start({ origins: new Set(['https://a.example']) });
      assert.equal(await status({ Origin: 'https://a.example' }), 101);
      assert.equal(await status({ Origin: `http://127.0.0.1:${http.port}` }), 403);
    });

    it('refuses a name of this machine that is not its own, where only this machine may connect', async () => {
      await closeServer(http);
      await start({ loopbackOnly: true });
      assert.equal(await status({ Host: 'rebound.example', Origin: 'http://rebound.example' }), 403);
      assert.equal(await status({ Host: 'localhost:1' }), 101);
    });

    it('refuses with 503 when it stops', async () => {
      edge.stopAccepting();
      assert.equal(await status({}), 503);
    });

    it('closes with 1013 above the limit of connections', async () => {
      const pairs = [await pair(), await pair(), await pair()];
      const more = await wsClient(http.port);
      assert.equal(await more.closed, 1013);
      pairs[0].ws.close();
      await once(handler, 'closed');
      await pairs[0].closed;
      await pair();
    });
  });

  it('closes with 1013 above the limit of one address, until one of its sockets is gone', async () => {
    await closeServer(http);
    await start({ limits: { ...LIMITS, perAddress: 1 } });
    const first = await pair();
    assert.equal(await (await wsClient(http.port)).closed, 1013);
    first.ws.close();
    await once(handler, 'closed');
    await first.closed;
    await pair();
  });

  it('closes with 4429 above the rate of new connections of one address, and reads it behind a trusted proxy', async () => {
    await closeServer(http);
    await start({ limits: { ...LIMITS, addressConnects: 1 }, trustProxy: 1 });
    const from = (address) => wsClient(http.port, { headers: { 'x-forwarded-for': `forged, ${address}` } });
    for (let i = 0; i < 10; i++) (await from('192.0.2.1')).ws.close();
    assert.equal(await (await from('192.0.2.1')).closed, 4429);
    const answers = async ({ ws }) => {
      ws.ping();
      await once(ws, 'pong');
    };
    await answers(await from('192.0.2.2'));
    now += 1000;
    await answers(await from('192.0.2.1'));
    assert.equal(handler.connections.at(-1).remoteAddress, '192.0.2.1');
  });

  describe('frames', () => {
    it('come in order and go out in one piece with pings between', async () => {
      const { ws, messages, connection } = await pair();
      ws.send('one');
      ws.send('two');
      ws.ping();
      connection.write(textFrame('hi'), false);
      pass(15_250);
      connection.write(textFrame('é'.repeat(200)), false);
      await Promise.all([once(ws, 'ping'), once(handler, 'frame')]);
      while (messages.length < 2) await once(ws, 'message');
      while (handler.frames.length < 2) await once(handler, 'frame');
      assert.deepEqual(messages, ['hi', 'é'.repeat(200)]);
      assert.deepEqual(handler.frames.map(([, text]) => text), ['one', 'two']); // prettier-ignore
    });

    it('writes what comes before a close, nothing after it', async () => {
      const opened = once(handler, 'opened');
      const { socket } = await upgrade(http.port);
      const [connection] = await opened;
      const bytes = [];
      socket.on('data', (chunk) => bytes.push(chunk));
      connection.write(textFrame('last'), false);
      connection.close(4409);
      connection.write(textFrame('late'), false);
      connection.close(4400);
      socket.end();
      await once(socket, 'close');
      const closeFrame = Buffer.from([0x88, 2, 4409 >> 8, 4409 & 0xff]);
      assert.deepEqual(Buffer.concat(bytes), Buffer.concat([textFrame('last'), closeFrame]));
      assert.deepEqual(handler.closes, [[1, 4409]]);
    });

    const ends = [
      ['binary', 4400, (ws) => ws.send(Buffer.from('{}'))],
      ['too large', 1009, (ws) => ws.send('x'.repeat(1025))],
      ['not UTF-8', 1007, (ws) => ws.send(Buffer.from([0xff, 0xfe]), { binary: false })],
    ];
    for (const [what, code, act] of ends) {
      it(`${what}: ${code}, after what came before it, and nobody else notices`, async () => {
        const [bad, good] = [await pair(), await pair()];
        bad.ws.send('before');
        act(bad.ws);
        bad.ws.send('after');
        assert.equal(await bad.closed, code);
        assert.deepEqual(handler.frames, [[bad.id, 'before']]);
        good.ws.send('still here');
        await once(handler, 'frame');
        good.connection.write(textFrame('so am I'), false);
        await once(good.ws, 'message');
      });
    }

    it('takes exactly limits.frame bytes', async () => {
      const { ws } = await pair();
      ws.send('x'.repeat(1024));
      await once(handler, 'frame');
    });

    it('says once that a socket is gone, however it went', async () => {
      const { ws, id, connection } = await pair();
      ws.terminate();
      await once(handler, 'closed');
      connection.write(textFrame('to nobody'), true);
      connection.close(1012);
      connection.terminate();
      assert.deepEqual(handler.closes, [[id, 1006]]);
    });
  });

  describe('silence', () => {
    it('pings every 15 s and stays while pongs come', async () => {
      const { ws, connection } = await pair();
      for (let round = 0; round < 4; round++) {
        pass(15_000);
        await once(ws, 'ping');
        // The pong came before this frame, on one socket.
        ws.send('here');
        await once(handler, 'frame');
      }
      assert.deepEqual(handler.closes, []);
      connection.close(1000);
    });

    it('drops who is silent for 30 s', async () => {
      const { ws, id, closed } = await pair();
      ws.pause();
      pass(29_750);
      assert.deepEqual(handler.closes, []);
      pass(500);
      assert.deepEqual(handler.closes, [[id, 1006]]);
      ws.resume();
      await closed;
    });

    it('does not count while it is paused by ourselves', async () => {
      const { connection } = await pair();
      connection.pause(1);
      pass(60_000);
      connection.resume(1);
      pass(15_000);
      assert.deepEqual(handler.closes, []);
    });
  });

  describe('pause', () => {
    it('reads again when no reason is left', async () => {
      const { ws, connection } = await pair();
      connection.pause(1);
      connection.pause(2);
      ws.send('held');
      connection.resume(1);
      assert.equal(connection.isPaused, true);
      // A round trip of another socket: what was sent before it would have come by now.
      const other = await pair();
      other.ws.send('marker');
      await once(handler, 'frame');
      assert.deepEqual(handler.frames.map(([, text]) => text), ['marker']); // prettier-ignore
      connection.resume(2);
      await once(handler, 'frame');
      assert.equal(handler.frames.at(-1)[1], 'held');
    });

    it('can be closed in it, and then hears the answer', async () => {
      const opened = once(handler, 'opened');
      const { closed } = await wsClient(http.port);
      const [connection, { socket }] = await opened;
      connection.pause(1);
      connection.close(1012);
      assert.equal(socket.isPaused(), false);
      assert.equal(await closed, 1012);
    });
  });

  describe('a peer that does not read', () => {
    const big = Buffer.concat([Buffer.from([0x81, 126, 0xff, 0xff]), Buffer.alloc(0xffff, 'x')]);

    /** Writes until the socket lags. */
    const fill = (connection) => {
      const state = { lags: false, written: 0 };
      handler.once('lagging', () => (state.lags = true));
      for (; !state.lags; state.written++) connection.write(big, false);
      return state.written;
    };

    it('is told to the engine, not read from, and forgiven when it has read', async () => {
      const { ws, connection, id } = await pair();
      ws.pause();
      const lagging = once(handler, 'lagging');
      const written = fill(connection);
      assert.deepEqual(await lagging, [id, true]);
      assert.equal(connection.isPaused, true);
      const texts = [];
      const end = new Promise((resolve) => ws.on('message', (data) => String(data) === 'end' ? resolve() : texts.push(data))); // prettier-ignore
      ws.resume();
      assert.deepEqual(await once(handler, 'lagging'), [id, false]);
      assert.equal(connection.isPaused, false);
      ws.send('ask');
      await once(handler, 'frame');
      connection.write(textFrame('end'), false);
      await end;
      assert.equal(texts.length, written);
    });

    it('is cut at once far above the bound', async () => {
      const { ws, connection, id } = await pair();
      ws.pause();
      const closed = once(handler, 'closed');
      fill(connection);
      for (let i = 0; i < EDGE.hardBufferedFactor + 1; i++) connection.write(big, false);
      assert.deepEqual(await closed, [id, 1006]);
      ws.terminate();
    });

    it('is cut when it takes not one byte for 30 s, and only while it lags', async () => {
      const opened = once(handler, 'opened');
      const { ws } = await wsClient(http.port);
      const [connection, { socket }] = await opened;
      ws.pause();
      fill(connection);
      assert.equal(socket.timeout, EDGE.stuckMs);
      ws.resume();
      await once(handler, 'lagging');
      assert.equal(socket.timeout, 0);
      ws.pause();
      fill(connection);
      socket.emit('timeout');
      assert.deepEqual(handler.closes, [[1, 1006]]);
      ws.terminate();
    });

    it('does not keep a shared buffer alive: what waits is a copy', async () => {
      const { ws, connection } = await pair();
      ws.pause();
      fill(connection);
      const shared = Buffer.from(new ArrayBuffer(big.length * 2));
      big.copy(shared);
      connection.write(shared.subarray(0, big.length), true);
      shared.fill(0);
      connection.write(textFrame('end'), false);
      const texts = [];
      const end = new Promise((resolve) => ws.on('message', (data) => texts.push(String(data)) && texts.at(-1) === 'end' && resolve())); // prettier-ignore
      ws.resume();
      await end;
      assert.equal(texts.at(-2), 'x'.repeat(0xffff));
    });
  });

  it('waits for nobody once all have gone', async () => {
    const { ws } = await pair();
    // Longer than this test may take.
    const idle = edge.idle(60_000);
    ws.close();
    await idle;
    await edge.idle(60_000);
  });

  it('closes all, and cuts who does not answer', async () => {
    const [polite, deaf] = [await pair(), await pair()];
    deaf.ws.pause();
    edge.closeAll(1012);
    assert.equal(await polite.closed, 1012);
    await edge.emptied(0);
    assert.equal(edge.size, 0);
    deaf.ws.terminate();
  });
});
