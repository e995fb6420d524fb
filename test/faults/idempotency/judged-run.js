// One way, one database, many deliveries: and what came of it.
import { mulberry } from '../../lib/primitives/claim-conformance.js';
import { databases } from './databases.js';
import { killRun } from './kill-run.js';
import { WAYS } from './ways.js';

const REPEATS = 0.3;
const IN_FLIGHT = 4;

/**
 * @typedef {object} Outcome
 * @property {number} deliveries keys and their repeats, without what came again because it failed
 * @property {number} effects
 * @property {number} lost keys without an effect
 * @property {number} doubled effects beyond the first of their key
 * @property {string[]} different keys whose repeats got different results
 * @property {number} kills
 * @property {number} failed deliveries that threw, and came again
 */

/**
 * @param {string} way of ways.js
 * @param {{ keys: number, processes: number, kills: number, seed: number, throwRate?: number }} size `throwRate` at each point where a
 *   program may fail
 * @returns {Promise<Outcome>}
 */
export async function judgedRun(way, { keys: count, processes, kills, seed, throwRate = 0.1 }) {
  const random = mulberry(seed);
  const keys = Array.from({ length: count }, (_, n) => `key-${n}`);
  const deliveries = [...keys, ...keys.filter(() => random() < REPEATS)]
    .map((key) => ({ key, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ key }) => key);
  const db = await databases[WAYS[way].kind](keys);
  try {
    const run = { way, address: db.address, deliveries, processes, inFlight: IN_FLIGHT, kills };
    const { results, failures, kills: killed } = await killRun({ ...run, throwRate, seed, random });
    const effects = await db.effects();
    const distinct = new Set(effects);
    return {
      deliveries: deliveries.length,
      effects: effects.length,
      lost: keys.filter((key) => !distinct.has(key)).length,
      doubled: effects.length - distinct.size,
      different: [...results].filter(([, answers]) => answers.size !== 1).map(([key]) => key),
      kills: killed,
      failed: [...failures.values()].reduce((sum, many) => sum + many, 0),
    };
  } finally {
    await db.close();
  }
}
