// The example's server as a program: what it serves, what it refuses, how it starts and ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ChatServer } from './support/chat-server.js';
import { logOf } from './support/raw-client.js';

const program = fileURLToPath(new URL('../../examples/chat/server.js', import.meta.url));

/** @param {Record<string, string>} env @returns {Promise<{ code: number | null, output: string }>} */
async function runToEnd(env) {
  const child = spawn(process.execPath, [program], { env: { ...process.env, ...env } });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  return { code, output };
}

describe('the example chat as a program', function () {
  this.timeout(30_000);
  /** @type {ChatServer} */
  let server;
  beforeEach(async () => {
    server = await new ChatServer().start();
  });
  afterEach(() => server.remove());

  /** A request as written, which fetch() would tidy up. @param {string} path @returns {Promise<string>} the answer's first line */
  async function statusLine(path, method = 'GET') {
    const socket = connect(server.port, '127.0.0.1');
    socket.end(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    return answer.split('\r\n', 1)[0];
  }

  it('serves the page with its types and a strict policy', async () => {
    const types = {
      '/': 'text/html; charset=utf-8',
      '/main.js': 'text/javascript; charset=utf-8',
      '/styles/base.css': 'text/css; charset=utf-8',
      '/icon.svg': 'image/svg+xml',
    };
    for (const [path, type] of Object.entries(types)) {
      const response = await fetch(server.url + path);
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get('content-type'), type);
      assert.match(String(response.headers.get('content-security-policy')), /^default-src 'self';/);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      const known = await fetch(server.url + path, {
        headers: { 'If-None-Match': String(response.headers.get('etag')) },
      });
      assert.equal(known.status, 304);
    }
  });

  it('serves nothing outside of its folder', async () => {
    for (const path of [
      '/../server.js',
      '/..%2fserver.js',
      '/%2e%2e/server.js',
      '/views/../../server.js',
      '//etc/passwd',
    ]) {
      assert.equal(await statusLine(path), 'HTTP/1.1 404 Not Found', path);
    }
    assert.equal(await statusLine('/', 'POST'), 'HTTP/1.1 405 Method Not Allowed');
    assert.equal(await statusLine('/', 'HEAD'), 'HTTP/1.1 200 OK');
  });

  it('takes a name for a user, and nothing else', async () => {
    for (const name of ['', 'two words', 'system', 'x'.repeat(65)]) {
      await assert.rejects(logOf(server, name, 'dm:alice:bob'), /closed with 4401/, JSON.stringify(name));
    }
    assert.deepEqual(await logOf(server, 'alice', 'dm:alice:bob'), []);
  });

  it('says what to do about a port that is taken, and about its data', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (other.address());
    const taken = await runToEnd({ PORT: String(port), DATA: `${server.data}-other` });
    other.close();
    rmSync(`${server.data}-other`, { recursive: true, force: true });
    assert.equal(taken.code, 1);
    assert.ok(taken.output.includes(`PORT=${port + 1} npm start`), taken.output);

    const locked = await runToEnd({ PORT: '0', DATA: server.data });
    assert.equal(locked.code, 1);
    assert.match(locked.output, /DATA=/);
    assert.ok(!locked.output.includes('listening'), locked.output);

    const wrong = await runToEnd({ PORT: 'eighty', DATA: server.data });
    assert.equal(wrong.code, 1);
    assert.match(wrong.output, /PORT must be a number/);
  });

  it('ends with 0 on SIGTERM and on SIGINT', async () => {
    assert.equal(await server.stop('SIGTERM'), 0);
    await server.start();
    assert.equal(await server.stop('SIGINT'), 0);
  });
});
