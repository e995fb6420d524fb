/** A random life of a deployment, drawn from one seed: load, faults of every kind, then quiet, and the verdict. */
import { isClean } from '../../lib/checker/judge.js';
import { seeded } from '../lib/client/fake/clock.js';
import { actShared, drawSharedWorld, drawStoreFaults } from './shared-schedule.js';
import { World } from './world.js';

/** The steps of a schedule. Each is drawn from a seed of its own, so that any of them can be left out. */
export const ALL_STEPS = Array.from({ length: 60 }, (_, step) => step);

/** Share of the seeds with several servers on one store. */
const SHARED = 0.4;

/** @param {number} seed whether it is one with several servers */
export const isShared = (seed) => seeded(seed ^ 0x5a4ed)() < SHARED;

/**
 * @param {number} seed
 * @param {{ keep?: boolean, steps?: number[] }} [options] `keep`: every line of the trace; `steps`: of the schedule, these alone
 * @returns {Promise<{ seed: number, ok: boolean, digest: string, counts: Map<string, number>, verdict: any, errors: string[],
 *   trace: import('./trace.js').Trace, virtualMs: number }>}
 */
export async function runSeed(seed, { keep = false, steps = ALL_STEPS } = {}) {
  const chance = seeded(seed ^ 0x5eed);
  const options = {
    keep,
    server: {
      window: chance() < 0.5 ? 256 : 4 + Math.floor(chance() * 12),
      page: 1 + Math.floor(chance() * 40),
      rate: chance() < 0.2 ? 30 : 0,
      redelivery: 2_000,
      frame: 4_096,
      body: 2_048,
      packageTimeout: 200 + chance() * 1_000,
    },
    client: { ackTimeout: 200 + chance() * 800, retries: 1 + Math.floor(chance() * 3) },
  };
  const shared = isShared(seed) ? drawSharedWorld(seed, chance, options) : null;
  const world = shared ?? new World(seed, options);
  await world.begin();
  if (!shared) await world.backUp();
  world.kind = chance() < 0.15 ? (shared ? 'members' : 'backups') : chance() < 0.2 ? 'outboxes' : 'usual';
  const began = world.clock.now();
  Object.assign(world.network.faults, {
    repeat: chance() < 0.5 ? chance() * 0.04 : 0,
    lose: chance() < 0.3 ? chance() * 0.03 : 0,
    cut: chance() < 0.7 ? chance() * 0.04 : 0,
    halfOpen: chance() * 0.5,
    latencyMs: 1 + chance() * (chance() < 0.2 ? 800 : 80),
  });
  Object.assign(world.faults, {
    slowHandler: chance() * 0.2,
    throwingHandler: chance() * 0.03,
    outboxFails: chance() < 0.2 ? 0.01 : 0,
  });
  if (shared) drawStoreFaults(shared, chance);
  for (const step of steps) {
    world.trace.note(`step ${step}`);
    const own = seeded(seed * ALL_STEPS.length + step);
    await (shared ? actShared(shared, own) : act(world, own));
  }
  await world.settle();
  await world.readLog();
  const verdict = world.judge();
  return {
    seed,
    ok: isClean(verdict) && world.errors.length === 0,
    digest: world.trace.digest(),
    counts: world.trace.counts,
    verdict,
    errors: world.errors,
    trace: world.trace,
    virtualMs: world.clock.now() - began,
  };
}

/** One step. @param {World} world @param {() => number} chance */
async function act(world, chance) {
  const { server, network, devices, clock } = world;
  const pick = (list) => list[Math.floor(chance() * list.length)];
  const device = pick(devices);
  const dice = chance();
  if (world.kind === 'backups' && chance() < 0.08) {
    if (chance() < 0.7) await world.backUp();
    else await world.goBack();
  } else if (world.kind === 'outboxes' && chance() < 0.05) {
    const what = chance();
    if (what < 0.4) device.save();
    else if (what < 0.65) await world.copyOutbox(device, chance);
    else await world.swapOutbox(device, chance() * 1_000);
  } else if (dice < 0.48) {
    for (let i = 1 + chance() * 8; i > 0; i--) device.send(pick(device.convs));
  } else if (dice < 0.53) device.sendPackage(pick(device.convs), 2 + Math.floor(chance() * 12), chance() * 1_500);
  else if (dice < 0.55) await world.changeMembers(chance() < 0.5 ? 'add' : 'remove');
  else if (dice < 0.6) network.cut(chance() < 0.5 ? undefined : device.label);
  else if (dice < 0.63) {
    server.crash({ kept: Math.floor(chance() * 4), told: chance() < 0.7 }, network);
    await clock.advance(chance() * 3_000);
    server.start();
  } else if (dice < 0.68) {
    device.kill(chance() < 0.5);
    await clock.advance(chance() * 2_000);
    device.start();
  } else if (dice < 0.72) server.failWrite(1 + Math.floor(chance() * 4), chance() < 0.5, Math.floor(chance() * 3));
  else if (dice < 0.74) server.failReads(true);
  else if (dice < 0.78) server.failReads(false);
  else if (dice < 0.81) server.clockOffsetMs += (chance() - 0.5) * 20_000;
  else if (dice < 0.84) network.throttled.set(device.label, 200 + chance() * 2_000);
  else if (dice < 0.86) network.throttled.clear();
  else if (dice < 0.88) network.faults.refuse = !network.faults.refuse;
  else await clock.advance(chance() * 5_000);
  await clock.advance(chance() * 300);
}
