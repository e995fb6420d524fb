// Runs a command and keeps what it said, for a progress line while it runs and for the reader when it fails.
import { spawn } from 'node:child_process';
import { root } from './files.mjs';

/** More than this of a command's output is not kept; the end is what explains a failure. */
const keptBytes = 4 << 20;
/** Of a command line, in a message: some name every file of the project. */
const shownCharacters = 200;

/** A command that ended with something else than exit code 0. */
export class CommandError extends Error {
  /** @param {string} command @param {string} how @param {string} output */
  constructor(command, how, output) {
    super(`${command}: ${how}`);
    this.command = command;
    this.output = output;
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string | undefined>, cwd?: string, onLine?: (line: string) => void,
 *           timeoutMs?: number, allowFailure?: boolean }} [options]
 * @returns {Promise<{ code: number | null, output: string }>} output: stdout and stderr as they came
 * @throws {CommandError} where it fails, unless allowFailure
 */
export function run(command, args, options = {}) {
  const line = [command, ...args].join(' ');
  const shown = line.length > shownCharacters ? `${line.slice(0, shownCharacters)} …` : line;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let partial = '';
    let timedOut = false;
    const timer = options.timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          child.kill('SIGKILL');
        }, options.timeoutMs)
      : undefined;
    const take = (/** @type {string} */ text) => {
      output = (output + text).slice(-keptBytes);
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) options.onLine?.(line);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new CommandError(shown, error.message, output));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (partial) options.onLine?.(partial);
      if (code === 0 || (options.allowFailure && !timedOut)) return resolve({ code, output });
      const how = timedOut
        ? `no end after ${options.timeoutMs} ms`
        : signal
          ? `ended by ${signal}`
          : `exit code ${code}`;
      reject(new CommandError(shown, how, output));
    });
  });
}
