// npm run fuzz [-- [TARGET …] [--seconds 60] [--seed N] [--keep]]
// Runs the libFuzzer targets of test/fuzz, each for so long, and the fuzzer of the client's packets (test/fuzz/client.js).
// An input that fails is left in build/Fuzz/failing, and shown. --keep: what was found becomes the tree's corpus.
import { parseArgs } from 'node:util';
import { buildFuzzers, fuzzTargets, keepCorpus, runFuzzer, whyNoFuzzing } from './lib/fuzz.mjs';
import { run } from './lib/run.mjs';

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '0' },
    keep: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const known = [...fuzzTargets(), 'client'];
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0 || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(`usage: npm run fuzz -- [${known.join('|')}] [--seconds 60] [--seed N] [--keep]`);
  process.exit(2);
}
const wanted = (/** @type {string} */ name) => positionals.length === 0 || positionals.includes(name);
const missing = whyNoFuzzing();
if (missing) {
  console.error(missing);
  process.exit(1);
}
const programs = await buildFuzzers((line) => console.log(line));
for (const [name, program] of programs) {
  if (!wanted(name)) continue;
  const { ok, inputs, output } = await runFuzzer(name, program, { seconds, seed }, () => {});
  console.log(`${name}: ${inputs} inputs, ${ok ? 'nothing found' : 'FAILED'}`);
  if (!ok) {
    console.log(output.split('\n').slice(-60).join('\n'));
    process.exitCode = 1;
  } else if (values.keep) await keepCorpus(name, program);
}
if (wanted('client')) {
  const args = ['test/fuzz/client.js', '--seconds', String(seconds), ...(seed ? ['--seed', String(seed)] : [])];
  const { code } = await run(process.execPath, args, { onLine: (line) => console.log(line), allowFailure: true });
  if (code !== 0) process.exitCode = 1;
}
