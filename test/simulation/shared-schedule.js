/** The life of several servers on one store: what is drawn for it, and one step of it. */
import { SharedWorld } from './shared-world.js';
import { GROUP } from './world.js';

/**
 * @param {number} seed
 * @param {() => number} chance
 * @param {{ keep: boolean, server: Record<string, any>, client: Record<string, any> }} options
 * @returns {SharedWorld}
 */
export function drawSharedWorld(seed, chance, { keep, server, client }) {
  const own = {
    servers: chance() < 0.6 ? 2 : 3,
    replicated: chance() < 0.5,
    compare: 1_000 + Math.floor(chance() * 14_000),
  };
  return new SharedWorld(seed, { keep, server: { ...server, ...own }, client });
}

/** Once all is up and calm. @param {SharedWorld} world @param {() => number} chance */
export function drawStoreFaults(world, chance) {
  world.shared.setFaults({
    latencyMs: 1 + chance() * (chance() < 0.2 ? 100 : 8),
    slow: chance() < 0.3 ? chance() * 0.05 : 0,
    timeOut: chance() < 0.5 ? chance() * 0.02 : 0,
    bellLost: chance() < 0.7 ? chance() * (chance() < 0.2 ? 1 : 0.2) : 0,
    bellRepeated: chance() < 0.5 ? chance() * 0.2 : 0,
    bellSlow: chance() < 0.5 ? chance() * 0.2 : 0,
    replicationMs: 1 + chance() * (chance() < 0.3 ? 500 : 30),
  });
}

/** One step. @param {SharedWorld} world @param {() => number} chance */
export async function actShared(world, chance) {
  const { shared, servers, network, devices, clock } = world;
  const pick = (list) => list[Math.floor(chance() * list.length)];
  const device = pick(devices);
  const server = pick(servers);
  const dice = chance();
  if (world.kind === 'members' && chance() < 0.3) {
    // Who is in a group changes while everybody writes to it.
    for (let i = 1 + chance() * 3; i > 0; i--) {
      await world.changeMembers(chance() < 0.5 ? 'add' : 'remove');
      for (const each of devices) if (chance() < 0.5) each.send(GROUP);
      await clock.advance(chance() * 60);
    }
  } else if (dice < 0.42) {
    for (let i = 1 + chance() * 8; i > 0; i--) device.send(pick(device.convs));
  } else if (dice < 0.46) device.sendPackage(pick(device.convs), 2 + Math.floor(chance() * 12), chance() * 1_500);
  else if (dice < 0.5) await world.changeMembers(chance() < 0.5 ? 'add' : 'remove');
  else if (dice < 0.55) network.cut(chance() < 0.3 ? undefined : device.label);
  else if (dice < 0.6) {
    server.crash({ told: chance() < 0.7 }, network);
    await clock.advance(chance() * 3_000);
    server.start();
  } else if (dice < 0.66) {
    device.kill(chance() < 0.5, chance() < 0.4);
    await clock.advance(chance() < 0.5 ? chance() * 50 : chance() * 2_000);
    device.start();
  } else if (dice < 0.71) await world.failover(chance);
  else if (dice < 0.75) shared.freeze(chance() * 4_000);
  else if (dice < 0.79) shared.cut(server, chance() < 0.5);
  else if (dice < 0.81) drawStoreFaults(world, chance);
  else if (dice < 0.84) server.clockOffsetMs += (chance() - 0.5) * 20_000;
  else if (dice < 0.86) network.throttled.set(device.label, 200 + chance() * 2_000);
  else if (dice < 0.88) network.throttled.clear();
  else if (dice < 0.885) await world.copyOutbox(device, chance);
  else await clock.advance(chance() * 5_000);
  await clock.advance(chance() * 300);
}
