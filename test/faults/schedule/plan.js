/**
 * What a schedule does, drawn from its seed alone: the same seed gives the same operations in the same order. When they
 * meet the server, and each other, is real time and differs from run to run.
 */
import { pick, seeded } from '../../../lib/torture/random.js';

export const users = ['ann', 'bob', 'cyd'];
export const direct = ['dm:ann:bob', 'dm:ann:cyd', 'dm:bob:cyd'];
/** The first shows a new member everything, the second what comes from then on. Both are ann's. */
export const groups = ['g:all', 'g:part'];

/** Who uses the shipped client, with an outbox on disk, and is in these as long as they are. */
export const clientUser = 'eve';
export const clientConvs = ['dm:ann:eve', groups[0]];

/** How often each operation, of all together. @type {Record<string, number>} */
const weights = {
  ...{ say: 30, burst: 6, free: 4, package: 5, again: 10, conflict: 3, gap: 2, refused: 2, skip: 2 },
  ...{ got: 24, read: 4, pull: 12, newest: 6, drain: 4, history: 4, counts: 2, status: 4, settle: 6 },
  ...{ cut: 6, replace: 2, reconnect: 2, add: 4, remove: 2, leave: 1, newDevice: 1, client: 16 },
};

/**
 * @typedef {object} Step
 * @property {string} op
 * @property {number} device which, modulo those that there are
 * @property {string} conv
 * @property {number} a three draws for what the operation needs
 * @property {number} b
 * @property {number} c
 */

/** @param {{ seed: number, round: number, steps: number }} options @returns {Step[]} */
export function plan({ seed, round, steps }) {
  const random = seeded(seed * 1000 + round);
  const total = Object.values(weights).reduce((sum, each) => sum + each, 0);
  const draw = () => {
    let left = pick(random, total);
    return Object.keys(weights).find((op) => (left -= weights[op]) < 0) ?? 'say';
  };
  const convs = [...direct, ...groups, ...groups];
  return Array.from({ length: steps }, () => ({
    op: draw(),
    device: pick(random, 1000),
    conv: convs[pick(random, convs.length)],
    a: pick(random, 1000),
    b: pick(random, 1000),
    c: pick(random, 1000),
  }));
}
