/**
 * One server process with the embedded store, and everything that may be wrong with its machine, in turn and at random: it stands
 * still (SIGSTOP), is killed (kill -9), can't sync its disk, finds it full; its clients' connections stall, are half-open, slow or
 * cut. The judge at the end wants every message once, in order, unchanged.
 *
 * node test/faults/troubles.js [--rounds 20] [--seed N] [--json]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pick } from '../../lib/torture/random.js';
import { runCommand } from './command.js';
import { mountSmallDisk, noSmallDisk, syncFaults } from './disks.js';
import { Troubled } from './troubled.js';

/** Room for what a run of some minutes writes. */
const diskBytes = 160 * 1024 * 1024;
const stillMs = [100, 3_000];

/** @type {Record<string, (run: Run) => Promise<unknown>>} */
const troubles = {
  async still({ troubled, random }) {
    const pid = Number(troubled.server?.pid);
    process.kill(pid, 'SIGSTOP');
    await wait(stillMs[0] + random() * (stillMs[1] - stillMs[0]));
    process.kill(pid, 'SIGCONT');
  },
  async halfOpen({ proxy, troubled }) {
    proxy.stallOne(Infinity);
    await troubled.moreAcks(20);
    // All of them: nobody is left who gets through, until they find out by themselves.
    for (let i = 0; i < troubled.participants.length; i++) proxy.stallOne(Infinity);
    await troubled.moreAcks(20);
  },
  async slow({ proxy, random }) {
    proxy.latencyMs = random() * 60;
    proxy.throttleOne(4_000, 1_000);
    proxy.stallOne(400);
  },
  async cut({ proxy, random }) {
    if (random() < 0.5) proxy.cutOne();
    else proxy.cutAll();
  },
  async kill({ troubled, random }) {
    await troubled.server?.kill();
    await wait(random() * 200);
    await troubled.server?.start();
  },
  async sync({ troubled, disk, random }) {
    await troubled.readyToProbe();
    disk.sync.fail();
    // What was synced before is answered yet; from then on nothing may be. Those behind the proxy hear of it as late as it likes.
    await troubled.untilUnavailable(2);
    const acked = await troubled.untilUnavailable(4);
    if (acked > 0) throw new Error(`${acked} acked, and not on the disk`);
    const isKilled = random() < 0.5;
    if (isKilled) await troubled.server?.kill();
    disk.sync.mend();
    if (isKilled) await troubled.server?.start();
  },
  async full({ troubled, disk }) {
    await troubled.readyToProbe();
    disk.small?.fill();
    // The log was given room ahead; that has to be used up, too.
    await troubled.untilUnavailable(3, 16_000);
    disk.small?.empty();
  },
};

/**
 * @typedef {object} Run
 * @property {Troubled} troubled
 * @property {import('../../lib/torture/chaos-proxy.js').ChaosProxy} proxy
 * @property {{ sync: ReturnType<typeof syncFaults>, small?: ReturnType<typeof mountSmallDisk> }} disk
 * @property {() => number} random
 */

/** @param {{ rounds: number, seed: number, progress?: (line: string) => void }} options */
export async function runTroubles({ rounds, seed, progress = () => {} }) {
  const started = performance.now();
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-troubles-'));
  const sync = syncFaults(dir);
  const disk = mkdtempSync(join(dir, 'disk-'));
  const small = noSmallDisk() ? undefined : mountSmallDisk(disk, diskBytes);
  const clean = () => (small?.unmount(), rmSync(dir, { recursive: true, force: true }));
  process.on('exit', clean);
  const troubled = new Troubled({ seed, env: sync.env, data: join(disk, 'store') });
  const { random } = troubled;
  /** @type {Record<string, number>} */
  const met = {};
  try {
    await troubled.begin();
    if (!troubled.proxy) throw new Error('no proxy');
    const run = { troubled, proxy: troubled.proxy, disk: { sync, small }, random };
    // A full disk once: what fills it stays in the store.
    const kinds = Object.keys(troubles).filter((name) => name !== 'full');
    const fullAt = small ? 1 + pick(random, rounds) : 0;
    for (let round = 1; round <= rounds; round++) {
      await troubled.moreAcks(20 + pick(random, 200));
      const name = round === fullAt ? 'full' : kinds[round - 1 < kinds.length ? round - 1 : pick(random, kinds.length)];
      await troubles[name](run);
      met[name] = (met[name] ?? 0) + 1;
      progress(`round ${round} of ${rounds}: ${name}, ${troubled.acks} acked`);
    }
    await troubled.moreAcks(20);
    const { verdict, problems } = await troubled.end();
    const { kills = 0, peakBytes = 0 } = troubled.server ?? {};
    return { rounds, seed, kills, seconds: seconds(started), ...verdict, peakBytes, problems, met };
  } finally {
    await troubled.close();
    process.off('exit', clean);
    clean();
  }
}

/** @param {any} outcome */
export const isGood = ({ lost, repeated, swapped, changed, problems, acked }) =>
  lost + repeated + swapped + changed + problems.length === 0 && acked > 0;

/** @param {number} started */
const seconds = (started) => Math.round((performance.now() - started) / 100) / 10;

/** @param {number} ms */
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runCommand(
    { rounds: { least: 1, otherwise: 20 }, seed: { least: 0 } },
    (numbers, progress) => runTroubles({ ...numbers, progress }),
    isGood,
  );
}
