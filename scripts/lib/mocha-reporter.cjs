// Mocha's own output, and for scripts/test.mjs the counts and the failures as JSON.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class extends reporters.Spec {
  /** @param {import('mocha').Runner} runner @param {import('mocha').MochaOptions} options */
  constructor(runner, options) {
    super(runner, options);
    /** @type {string[]} */
    const why = [];
    runner.on('fail', (test, error) => {
      why.push(`${test.fullTitle()}\n${error?.stack ?? error}`);
    });
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      writeFileSync(
        String(process.env.EVERYONCE_REPORT),
        JSON.stringify({ passed: passes, failed: failures + pending, why }),
      );
    });
  }
};
