// partition.js in a network of its own; it takes a minute, so npm run faults alone has it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { leaveOut } from '../support/left-out.js';
import { printedSeed } from '../support/seed.js';
import { noHosts } from './hosts.js';

const program = fileURLToPath(new URL('partition.js', import.meta.url));
const rounds = 8;

describe('a network that falls apart between hosts', function () {
  this.timeout(900_000);
  if (!process.env.EVERYONCE_LONG) return;
  const why = noHosts();
  if (why) return leaveOut('a network that falls apart between hosts', why);

  it('servers alone, and a master and a server apart from the majority: nothing is acked that the majority lacks, every message once', () => {
    const args = [
      '--net',
      process.execPath,
      program,
      '--json',
      '--rounds',
      String(rounds),
      '--seed',
      `${printedSeed()}`,
    ];
    const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
    assert.equal(status, 0, `${stdout}${stderr}`);
    const { met } = JSON.parse(stdout);
    assert.ok(met.master > 0 && met.server > 0 && met.link > 0 && met.heldBack > 0, stdout);
  });
});
