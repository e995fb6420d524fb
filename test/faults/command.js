// The command line that the programs of test/faults share: numbered rounds from a seed, progress on a terminal, and what was
// found, as text or JSON. Exit code 0 only where nothing was.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

const SHOWN = 20;

/**
 * @param {Record<string, { least: number, otherwise?: number }>} numbers flags that are integers; without `otherwise`, random
 * @param {(numbers: any, progress: (line: string) => void) => Promise<{ findings: object[], problems: string[], met?: Record<string, number> }>} run
 * @param {(outcome: any) => boolean} isGood
 */
export async function runCommand(numbers, run, isGood) {
  const options = Object.fromEntries(
    Object.keys(numbers).map((name) => [name, { type: /** @type {const} */ ('string') }]),
  );
  const { values } = parseArgs({ options: { ...options, json: { type: 'boolean', default: false } } });
  const flags = /** @type {Record<string, string | undefined>} */ (values);
  const given = Object.fromEntries(
    Object.entries(numbers).map(([name, { least, otherwise }]) => {
      const value = Number(flags[name] ?? otherwise ?? randomInt(2 ** 31));
      if (Number.isSafeInteger(value) && value >= least) return [name, value];
      console.error(`--${name} must be an integer from ${least}`);
      process.exit(2);
    }),
  );
  // So that 'exit' takes the server and its data away.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  const isTerminal = process.stderr.isTTY;
  if (!values.json) console.log(`seed ${given.seed}`);
  const outcome = await run(given, (line) => isTerminal && process.stderr.write(`\r\x1b[K${line}`));
  if (isTerminal) process.stderr.write('\r\x1b[K');
  if (values.json) console.log(JSON.stringify(outcome));
  else show(outcome);
  process.exitCode = isGood(outcome) ? 0 : 1;
}

/** @param {{ findings: object[], problems: string[], met?: Record<string, number> }} outcome */
function show({ findings, problems, met, ...counts }) {
  const list = (/** @type {object} */ named) =>
    Object.entries(named)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  console.log(list(counts));
  if (met) console.log(`met: ${list(met)}`);
  for (const finding of findings.slice(0, SHOWN)) console.log(JSON.stringify(finding));
  if (findings.length > SHOWN) console.log(`… and ${findings.length - SHOWN} more`);
  for (const problem of problems.slice(0, SHOWN)) console.log(problem);
}
