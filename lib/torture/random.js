/**
 * A small seeded generator (mulberry32): enough to choose moments and texts, and the same on every machine.
 *
 * @param {number} seed
 * @returns {() => number} 0 to 1
 */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param {() => number} random @param {number} below @returns {number} an integer from 0 */
export const pick = (random, below) => Math.floor(random() * below);
