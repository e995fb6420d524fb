/**
 * The seed of a randomised test: EVERYONCE_SEED (or SEED), as a failed run printed it; else a random one in the long form (npm run
 * faults), which looks for what nobody knows yet; else always the same one, so that no change is blamed for another's fault.
 */
import { randomInt } from 'node:crypto';

const most = 2 ** 31;

/**
 * @param {number} [otherwise] of the short form
 * @returns {number} an integer from 0 to 2^31 - 1
 * @throws {Error} where the environment's is none
 */
export function chosenSeed(otherwise = 1) {
  const given = process.env.EVERYONCE_SEED || process.env.SEED;
  if (!given) return process.env.EVERYONCE_LONG ? randomInt(most) : otherwise;
  const seed = Number(given);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= most)
    throw new Error(`EVERYONCE_SEED must be an integer from 0 to ${most - 1}, not ${given}`);
  return seed;
}

/**
 * The same, said on stdout, for tests that do not say it where they fail.
 *
 * @param {number} [otherwise]
 */
export function printedSeed(otherwise) {
  const seed = chosenSeed(otherwise);
  console.log(`    seed ${seed}`);
  return seed;
}
