// As many connections that never speak as a small attacker has: a server in a process of its own lets them go in time, is there for
// others meanwhile, and needs no more memory than docs/server.md says. The short form is in test/flow/security.test.js.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../lib/index.js';
import { seeded } from '../../lib/torture/random.js';
import { leaveOut } from '../support/left-out.js';
import { printedSeed } from '../support/seed.js';
import { freePort, ServerProcess } from './server-process.js';
import { fallSilent } from './silent.js';

const wanted = 10_000;
/** Files that a process has open beside them. */
const otherFiles = 500;
/** What docs/server.md says that one costs the server's process. */
const mostBytes = 32 * 1024;
const waves = 3;
/** For the answer to one message meanwhile, on a machine that does much else. */
const mostMs = 5_000;

/** Node has raised the soft limit of itself, and of what it starts, to the hard one. */
function filesAllowed() {
  const { soft } = /** @type {any} */ (process.report.getReport()).userLimits.open_files;
  return soft === 'unlimited' ? Infinity : Number(soft);
}

describe('connections that never speak', function () {
  this.timeout(300_000);
  if (!process.env.EVERYONCE_LONG) return;
  const count = Math.min(wanted, filesAllowed() - otherFiles);
  if (count < wanted) leaveOut(`${wanted} of them`, `ulimit -n allows ${count} at once`);

  /** @type {string} */
  let dir;
  /** @type {ServerProcess} */
  let server;
  /** @type {Client} */
  let client;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'everyonce-silent-'));
    server = new ServerProcess({ data: join(dir, 'data'), port: await freePort(seeded(printedSeed())) });
    await server.start();
    client = new Client({ url: server.url, token: 'ann' });
    await client.connect();
  });
  afterEach(async () => {
    await client?.close();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  for (const [kind, upgrades, ending] of /** @type {const} */ ([
    ['not even a request', false, '408'],
    ['an upgrade, and no hello', true, '4408'],
  ])) {
    it(`${count}, ${kind}: all let go with ${ending}, memory is bounded, a client is answered all the while`, async () => {
      const before = server.peakBytes;
      let slowestMs = 0;
      let acked = 0;
      const over = new AbortController();
      const talking = (async () => {
        for (; !over.signal.aborted; acked++) {
          const started = performance.now();
          await client.send('dm:ann:bob', acked);
          slowestMs = Math.max(slowestMs, performance.now() - started);
        }
      })();
      let most = 0;
      for (let wave = 0; wave < waves; wave++) {
        const { mostOpen, endings } = await fallSilent(server.port, count, upgrades);
        assert.deepEqual(endings, { [ending]: count });
        most = Math.max(most, mostOpen);
      }
      over.abort();
      await talking;
      const each = Math.round((server.peakBytes - before) / most);
      console.log(`    ${most} at once, ${each} bytes each; ${acked} messages meanwhile, the slowest in ${Math.round(slowestMs)} ms`); // prettier-ignore
      assert.ok(each <= mostBytes, `${each} bytes each`);
      assert.ok(slowestMs < mostMs, `an answer took ${slowestMs} ms`);
    });
  }
});
