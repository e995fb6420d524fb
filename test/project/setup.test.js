// `npm run setup` on machines that lack something: the real scripts in a folder of their own, with a PATH of stand-ins that write
// down how they were called.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packagesFor } from '../../scripts/lib/debian.mjs';
import { root } from '../../scripts/lib/files.mjs';

const isRoot = process.getuid?.() === 0;
/** Anybody but root. */
const nobody = 65_534;

describe('npm run setup', () => {
  /** @type {string} */
  let folder;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'everyonce-setup-'));
    chmodSync(folder, 0o777);
    cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true });
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: { '': {} } }));
    mkdirSync(join(folder, 'bin'));
    standIn('npm', 'mkdir -p node_modules; echo "{\\"packages\\":{}}" > node_modules/.package-lock.json');
    standIn('sudo', 'exit 1');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** @param {string} name @param {string} script what it does after its call has been written down */
  function standIn(name, script) {
    const path = join(folder, 'bin', name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> calls\n${script}\n`);
    chmodSync(path, 0o755);
  }

  /** dpkg-query that knows all packages but these. @param {string[]} missing */
  function packagesBut(...missing) {
    const known = packagesFor('test').filter((name) => !missing.includes(name));
    standIn('dpkg-query', `printf '%s 1.0 installed\\n' ${known.join(' ')}`);
  }

  const environment = () => ({ PATH: `${join(folder, 'bin')}:${process.env.PATH}`, CI: 'true' });
  const setup = (/** @type {import('node:child_process').SpawnSyncOptions} */ options = {}) => {
    const env = environment();
    const script = join(folder, 'scripts/setup.mjs');
    const done = spawnSync(process.execPath, [script], { cwd: folder, env, encoding: 'utf8', ...options });
    return { code: done.status, output: `${done.stdout}${done.stderr}` };
  };
  const calls = () => {
    const path = join(folder, 'calls');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
    return lines.filter((line) => /^(npm|apt-get|sudo) /.test(line));
  };

  it('installs npm packages by the lock file, without running their scripts; then has nothing to do', () => {
    packagesBut();
    const first = setup();
    assert.equal(first.code, 0, first.output);
    assert.deepEqual(calls(), ['npm ci --ignore-scripts --no-audit --no-fund']);
    assert.match(setup().output, /everything is installed and built/);
    assert.equal(calls().length, 1);
  });

  it('installs again when the lock file has changed', () => {
    packagesBut();
    setup();
    const changed = { packages: { '': {}, 'node_modules/new': { integrity: 'sha512-x' } } };
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(changed));
    setup();
    assert.equal(calls().length, 2);
  });

  it('prints the exact line and ends with 1 where it may not install Debian packages', () => {
    packagesBut('librocksdb-dev', 'chromium');
    const { code, output } = setup(isRoot ? { uid: nobody, gid: nobody } : {});
    assert.equal(code, 1);
    assert.match(
      output,
      /sudo apt-get update && sudo apt-get install -y --no-install-recommends librocksdb-dev chromium\n/,
    );
    assert.deepEqual(
      calls().filter((line) => !line.startsWith('sudo')),
      [],
      'nothing is installed half',
    );
  });

  it('installs what is missing, and nothing else, where it may', () => {
    packagesBut('librocksdb-dev', 'chromium');
    standIn('sudo', 'shift; exec "$@"');
    standIn('apt-get', 'exit 0');
    const { code, output } = setup();
    assert.equal(code, 0, output);
    const installs = calls().filter((line) => line.startsWith('apt-get'));
    assert.match(installs[0], / update$/);
    assert.match(installs[1], / install -y --no-install-recommends librocksdb-dev chromium$/);
  });

  it('shows what a failing command said, what to do, and ends with 1', () => {
    packagesBut('librocksdb-dev');
    standIn('sudo', 'shift; exec "$@"');
    standIn('apt-get', 'echo "E: no such thing"; exit 100');
    const { code, output } = setup();
    assert.equal(code, 1);
    assert.match(output, /E: no such thing/);
    assert.match(output, /Installing Debian packages failed/);
    assert.ok(!calls().some((line) => line.startsWith('npm')));
  });

  it('works one at a time: a second setup waits for the first, and finds nothing left to do', async () => {
    packagesBut();
    // The first one's npm waits until this test lets it go, by a connection that it holds.
    const gate = net.createServer().listen(0, '127.0.0.1');
    await once(gate, 'listening');
    const { port } = /** @type {net.AddressInfo} */ (gate.address());
    const wait = `node -e "require('net').connect(${port}, '127.0.0.1').resume()"`;
    standIn('npm', `${wait}\nmkdir -p node_modules; echo "{\\"packages\\":{}}" > node_modules/.package-lock.json`);
    const start = () => {
      const child = spawn(process.execPath, [join(folder, 'scripts/setup.mjs')], { cwd: folder, env: environment() });
      const text = { all: '' };
      child.stdout.on('data', (chunk) => (text.all += chunk));
      return { child, text, ended: once(child, 'close') };
    };
    const first = start();
    const [held] = await once(gate, 'connection');
    const second = start();
    while (!second.text.all.includes('waiting for it')) await once(second.child.stdout, 'data');
    held.destroy();
    gate.close();
    const codes = await Promise.all([first.ended, second.ended]);
    assert.deepEqual(
      codes.map(([code]) => code),
      [0, 0],
    );
    assert.deepEqual(calls(), ['npm ci --ignore-scripts --no-audit --no-fund']);
  });
});
