// Long random runs by fast-check: many steps on one object and on its naive model.
import fc from 'fast-check';
import { chosenSeed } from '../../../support/seed.js';

/** Repeat a failed run with EVERYONCE_SEED=<the seed it printed>. */
const seed = chosenSeed();

/**
 * Runs `check(steps)` on lists of random steps, some 10^5 steps in all; what fails is printed with its seed.
 *
 * @template T
 * @param {import('fast-check').Arbitrary<T>} step
 * @param {(steps: T[]) => void} check makes its object and model anew
 * @param {{ steps?: number, length?: number }} [options]
 */
export function runSteps(step, check, { steps = 100_000, length = 1000 } = {}) {
  const list = fc.array(step, { minLength: length, maxLength: length, size: 'max' });
  const { failed, errorInstance } = fc.check(
    fc.property(list, (taken) => check(taken)),
    { seed, numRuns: steps / length, endOnFailure: true },
  );
  // Without the thousand steps themselves: the seed brings them back.
  if (failed)
    throw new Error(`EVERYONCE_SEED=${seed}: ${/** @type {any} */ (errorInstance)?.message}`, { cause: errorInstance });
}

/**
 * @param {() => unknown} call
 * @param {string} code
 * @param {string} [option]
 */
export function refuses(call, code, option) {
  try {
    call();
  } catch (error) {
    const { name, code: got, option: named } = /** @type {any} */ (error);
    if (name === 'EveryonceError' && got === code && (option === undefined || named === option)) return;
    throw new Error(`expected ${code} ${option ?? ''}, not ${name} ${got} ${named}`, { cause: error });
  }
  throw new Error(`expected ${code}, but nothing was thrown`);
}

/** What is no integer that a count or a number could be. */
export const noIntegers = [NaN, Infinity, -1, 1.5, 2 ** 53, 2 ** 53 + 2, '1', null, {}, 1n];
