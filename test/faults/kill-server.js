// node test/faults/kill-server.js [--rounds 100] [--seed N] [--users 6] [--json]
// Kills the server (and some clients) with kill -9 in mid-load, again and again, and judges what arrived.
// Exit code 0 only where nothing was lost, repeated, swapped or changed.
import { runCommand } from './command.js';
import { isGood, runRounds } from './rounds.js';

await runCommand(
  { rounds: { least: 1, otherwise: 100 }, seed: { least: 0 }, users: { least: 4, otherwise: 6 } },
  (numbers, progress) => runRounds({ ...numbers, progress }),
  isGood,
);
