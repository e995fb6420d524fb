// Mocha's own output, and the counts as JSON for scripts/test.mjs.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class extends reporters.Spec {
  /** @param {import('mocha').Runner} runner @param {import('mocha').MochaOptions} options */
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      writeFileSync(
        String(process.env.EVERYONCE_REPORT),
        JSON.stringify({ passed: passes, failed: failures + pending }),
      );
    });
  }
};
