// README's server and client run as printed (on another port), and the message arrives.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { readText, root } from '../../scripts/lib/files.mjs';

const readme = readText('README.md') ?? '';

/** @param {string} name as in the block's first comment @returns {string} */
function codeBlock(name) {
  const block = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].find((match) => match[1].startsWith(`// ${name}`));
  assert.ok(block, `README.md has no block ${name}`);
  return block[1];
}

/** @returns {Promise<number>} a port that was free a moment ago */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  server.close();
  return port;
}

describe('README', () => {
  /** @type {string} */
  let folder;
  /** @type {import('node:child_process').ChildProcess[]} */
  const children = [];
  /** What each program has said, to be shown where a test fails. @type {{ said: () => string }[]} */
  const outputs = [];

  before(() => {
    // Inside the package, so that `everyonce` is this package.
    mkdirSync(join(root, 'build'), { recursive: true });
    folder = mkdtempSync(join(root, 'build', 'readme-'));
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') for (const { said } of outputs) console.log(said());
  });

  after(async () => {
    for (const child of children.filter((one) => one.exitCode === null && one.signalCode === null)) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts a program; `said(text)` resolves once its output has had the text, and rejects when it ends before. */
  const start = (/** @type {string} */ file, /** @type {string[]} */ ...args) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let output = '';
    outputs.push({ said: () => `${file} ${args.join(' ')} said:\n${output}` });
    const listeners = new Set();
    const take = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      for (const listener of listeners) listener();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const ended = once(child, 'close');
    const said = (/** @type {string} */ text) =>
      new Promise((resolve, reject) => {
        const look = () => output.includes(text) && resolve(output);
        listeners.add(look);
        look();
        ended.then(([code, signal]) => reject(new Error(`${file} ended (${code ?? signal}), having said:\n${output}`)));
      });
    return { child, said, ended };
  };

  it('has a server of at most 20 lines and a client of at most 10', () => {
    assert.ok(codeBlock('server.js').trimEnd().split('\n').length <= 20);
    assert.ok(codeBlock('client.js').trimEnd().split('\n').length <= 10);
  });

  it('has a server and a client that work as printed', async function () {
    this.timeout(30_000);
    const port = String(await freePort());
    for (const name of ['server.js', 'client.js']) {
      writeFileSync(join(folder, name), codeBlock(name).replaceAll('8080', port));
    }
    const server = start('server.js');
    await server.said('listening on');
    const alice = start('client.js', 'alice', 'bob');
    await server.said('dm:alice:bob #1 from alice');
    const bob = start('client.js', 'bob', 'alice');
    await bob.said('alice: hello bob');
    await alice.said('bob: hello alice');
    server.child.kill('SIGTERM');
    const [code] = await server.ended;
    assert.equal(code, 0, 'the server ends by itself after SIGTERM');
  });

  it('names the packages that setup installs', async () => {
    const { packagesFor } = await import('../../scripts/lib/debian.mjs');
    assert.ok(readme.includes(`--no-install-recommends ${packagesFor('start').join(' ')}\n`));
  });

  it('links to files that are there', () => {
    for (const [, path] of readme.matchAll(/\]\(([^):#]+)\)/g)) assert.ok(readText(path) !== undefined, path);
  });
});
