// npm run bench -- primitives: ns per operation of the native primitives beside what a user would otherwise install.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { filters, idsAtFullSpeed, packages, snowflakes, streams } from './primitives-contenders.js';

/**
 * Rounds of all contenders in turn, so that what else runs on the machine falls on all of them.
 * @param {import('./primitives-contenders.js').Contest} contest
 * @param {number} rounds
 * @returns {{ name: string, nanoseconds: number, best: number }[]} medians and bests, per operation
 */
function compete({ operations, contenders }, rounds) {
  const runners = contenders.map(({ name, make }) => ({ name, taken: /** @type {number[]} */ ([]), ...make() }));
  for (let round = -2; round < rounds; round++) {
    for (const { taken, run, between } of runners) {
      between?.();
      const started = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(started);
      const nanoseconds = (1000 * (user + system)) / operations;
      if (round >= 0) taken.push(nanoseconds);
    }
  }
  return runners.map(({ name, taken }) => {
    taken.sort((a, b) => a - b);
    return { name, nanoseconds: taken[taken.length >> 1], best: taken[0] };
  });
}

/** @param {string[]} args */
export async function primitives(args) {
  const { values: flags } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '15' },
      count: { type: 'string', default: '100000' },
      json: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(flags.rounds);
  const count = Number(flags.count);
  if (!(rounds >= 1 && rounds <= 10_000) || !(count >= 64 && count <= 1_000_000)) {
    console.error('bench: --rounds is from 1 to 10000, --count from 64 to 1000000');
    process.exit(2);
  }
  const contests = [snowflakes(), ...filters(count), ...streams(count), packages(count)];
  const results = contests.map((contest, i) => ({
    title: contest.title,
    // A round of ids is a thousandth of a second: many of them.
    contenders: compete(contest, i === 0 ? 20 * rounds : rounds),
  }));
  const fullSpeed = idsAtFullSpeed(count);
  const machine = describeMachine(tmpdir());
  if (flags.json) {
    console.log(JSON.stringify({ machine, rounds, count, results, fullSpeed }));
    return;
  }
  const { cores, cpu, memoryGiB, kernel, node } = machine;
  console.log(`machine: ${cores} cores, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`);
  console.log(`CPU ns per operation (all threads): median and best of ${rounds} rounds, contenders in turn`);
  for (const { title, contenders } of results) {
    console.log(`\n${title}`);
    for (const { name, nanoseconds, best } of contenders) {
      console.log(`  ${name.padEnd(32)}${nanoseconds.toFixed(1).padStart(9)}${best.toFixed(1).padStart(9)}`);
    }
  }
  console.log(`\n${count} ids as fast as it goes: ns an id, and how many are different`);
  for (const { name, nanoseconds, different } of fullSpeed) {
    console.log(`  ${name.padEnd(32)}${nanoseconds.toFixed(1).padStart(9)}${String(different).padStart(9)}`);
  }
}
