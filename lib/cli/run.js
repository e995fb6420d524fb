// The command line: which command, and what is said about those that this version does not have.

import { readFileSync } from 'node:fs';
import { HELP } from './help.js';
import { serve } from './serve.js';

/** Exit codes. */
export const EXIT = Object.freeze({ OK: 0, FAILED: 1, USAGE: 2 });

const LATER = new Set(['torture', 'inspect', 'backup']);

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
  if (command === '--help' || command === '-h' || command === 'help' || (command === 'serve' && wantsHelp)) {
    say.out(HELP);
    return EXIT.OK;
  }
  if (command === 'serve') return serve(rest, say);
  if (command === undefined) say.err(HELP);
  else if (LATER.has(command)) say.err(`everyonce: ${command} is not in this version`);
  else say.err(`everyonce: there is no command ${command}; see everyonce --help`);
  return EXIT.USAGE;
}

function version() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
