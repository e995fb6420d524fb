// The command line: which command.

import { readFileSync } from 'node:fs';
import { backup } from './backup.js';
import { deadLetters } from './dead-letters.js';
import { HELP } from './help.js';
import { inspect } from './inspect.js';
import { migrate } from './migrate.js';
import { complain, serve } from './serve.js';
import { torture } from './torture.js';

/** Exit codes. */
export const EXIT = Object.freeze({ OK: 0, FAILED: 1, USAGE: 2 });

/**
 * Commands that do one thing and end; false: it was done, and is not as it should be.
 * @type {Map<string, (args: string[], say: { out: (line: string) => void, err: (line: string) => void }) => Promise<unknown>>}
 */
const TASKS = new Map(Object.entries({ backup, 'dead-letters': deadLetters, inspect, migrate, torture }));

/**
 * @param {string[]} args what follows `everyonce`
 * @param {{ out: (line: string) => void, err: (line: string) => void }} [say]
 * @returns {Promise<number>} the exit code
 */
export async function run(args, say = { out: (line) => console.log(line), err: (line) => console.error(line) }) {
  const [command, ...rest] = args;
  if (command === '--version' || command === '-v') {
    say.out(version());
    return EXIT.OK;
  }
  const wantsHelp = rest.includes('--help') || rest.includes('-h');
  const task = TASKS.get(command);
  const isKnown = command === 'serve' || task !== undefined;
  if (command === '--help' || command === '-h' || command === 'help' || (isKnown && wantsHelp)) {
    say.out(HELP);
    return EXIT.OK;
  }
  if (command === 'serve') return serve(rest, say);
  if (task) {
    try {
      return (await task(rest, say)) === false ? EXIT.FAILED : EXIT.OK;
    } catch (error) {
      return complain(error, say);
    }
  }
  if (command === undefined) say.err(HELP);
  else say.err(`everyonce: there is no command ${command}; see everyonce --help`);
  return EXIT.USAGE;
}

function version() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
