// node test/faults/schedules.js [--rounds 20] [--seed N] [--steps 400] [--json]
// Random schedules of sends, pages, acks, cuts, kills and changes of members over several users and devices against a
// real server, and the judge. Exit code 0 only where nothing was lost, repeated, swapped or changed. The same seed gives
// the same operations in the same order; how they meet is real time, and differs.
import { runCommand } from './command.js';
import { isGood, runSchedules } from './schedule/run.js';

await runCommand(
  { rounds: { least: 1, otherwise: 20 }, seed: { least: 0 }, steps: { least: 1, otherwise: 400 } },
  (numbers, progress) => runSchedules({ ...numbers, progress }),
  isGood,
);
