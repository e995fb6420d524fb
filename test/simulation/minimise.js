/** From a run that fails to the fewest steps that fail alike. */
import { ALL_STEPS, runSeed } from './schedule.js';

/** Runs that a search may take, at most. */
const MAX_RUNS = 150;

/**
 * Leaves out ever smaller parts of the schedule, as long as what is found stays of the same kind (delta debugging: Zeller,
 * Hildebrandt, "Simplifying and Isolating Failure-Inducing Input").
 *
 * @param {number} seed that fails
 * @returns {Promise<number[]>} steps, for runSeed
 */
export async function minimise(seed) {
  const wanted = kindOf(await runSeed(seed));
  let steps = ALL_STEPS;
  let runs = 0;
  for (let size = steps.length / 2; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < steps.length && runs < MAX_RUNS;) {
      const rest = [...steps.slice(0, at), ...steps.slice(at + size)];
      runs += 1;
      if (kindOf(await runSeed(seed, { steps: rest })) === wanted) steps = rest;
      else at += size;
    }
  }
  return steps;
}

/** What makes two failures alike: the rule that was broken first, or else what was reported. @param {any} run */
function kindOf({ ok, verdict, errors }) {
  if (ok) return '';
  return verdict.findings[0]?.rule ?? errors[0]?.replace(/[\w-]+-\d+|\d+/g, '#') ?? 'failed';
}
