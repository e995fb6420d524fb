/**
 * Says that a test can't run here, and why; `npm test` repeats it behind the counts of its folder. It counts neither as passed nor
 * as failed.
 *
 * @param {string} test
 * @param {string} why
 */
export function leaveOut(test, why) {
  console.log(`left out: ${test}: ${why}`);
}
