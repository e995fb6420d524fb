// The command line: which command, and what is said about those that this version does not have.

import { readFileSync } from 'node:fs';
import { backup } from './backup.js';
import { HELP } from './help.js';
import { inspect } from './inspect.js';
import { complain, serve } from './serve.js';

/** Exit codes. */
export const EXIT = Object.freeze({ OK: 0, FAILED: 1, USAGE: 2 });

const LATER = new Set(['torture']);
/** Commands that do one thing and end. */
const TASKS = new Map([
  ['backup', backup],
  ['inspect', inspect],
]);

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
      await task(rest, say);
      return EXIT.OK;
    } catch (error) {
      return complain(error, say);
    }
  }
  if (command === undefined) say.err(HELP);
  else if (LATER.has(command)) say.err(`everyonce: ${command} is not in this version`);
  else say.err(`everyonce: there is no command ${command}; see everyonce --help`);
  return EXIT.USAGE;
}

function version() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
