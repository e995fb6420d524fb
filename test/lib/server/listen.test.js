import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { EDGE } from '../../../lib/server/defaults.js';
import { listen, makeHttpServer } from '../../../lib/server/listen.js';

describe('server: a http server of our own', () => {
  let server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  for (const [what, sent] of [
    ['sends nothing', ''],
    ['begins an upgrade and does not end it', 'GET /everyonce HTTP/1.1\r\nUpgrade: websocket\r\nX-A: b'],
  ]) {
    it(`cuts who ${what} in time`, async () => {
      server = makeHttpServer({ headersMs: 100, requestMs: 200, checkEveryMs: 20 });
      const { port } = await listen(server, 0, '127.0.0.1');
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(sent);
      socket.resume();
      await once(socket, 'close');
      const connections = await new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      );
      assert.equal(connections, 0);
    });
  }

  it('has these times by itself', () => {
    server = makeHttpServer();
    assert.equal(server.headersTimeout, EDGE.headersTimeoutMs);
    assert.equal(server.requestTimeout, EDGE.requestTimeoutMs);
  });
});
