// Says what a long command is doing: one line that changes on a terminal, plain lines elsewhere.
import { CommandError } from './run.mjs';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const frameMs = 100;
/** On a plain log, a step that takes long says so this often. */
const reminderMs = 20_000;
const shownLines = 40;

/** @param {number} sinceMs a value of performance.now() */
export function elapsed(sinceMs) {
  const seconds = (performance.now() - sinceMs) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

/**
 * Runs one step and shows it. A failing step's own last lines are printed, then what to do about it.
 * @template T
 * @param {string} name
 * @param {(onLine: (line: string) => void) => Promise<T>} work
 * @param {{ hint?: string }} [options]
 * @returns {Promise<T>}
 */
export async function step(name, work, options = {}) {
  const started = performance.now();
  const show = process.stdout.isTTY && !process.env.CI ? liveLine(name, started) : plainLines(name, started);
  try {
    const result = await work(show.onLine);
    show.end(`✔ ${name} (${elapsed(started)})`);
    return result;
  } catch (error) {
    show.end(`✘ ${name} (${elapsed(started)})`);
    if (error instanceof CommandError) console.error(lastLines(error.output));
    console.error(`\n${error instanceof Error ? error.message : error}`);
    if (options.hint) console.error(options.hint);
    throw error;
  }
}

/** @param {string} output */
function lastLines(output) {
  return output.trimEnd().split('\n').slice(-shownLines).join('\n');
}

/** @param {string} name @param {number} started */
function liveLine(name, started) {
  let frame = 0;
  let last = '';
  const draw = () => {
    const text = `${frames[frame++ % frames.length]} ${name}  ${elapsed(started)}  ${last}`;
    process.stdout.write(`\r\x1b[2K${text.slice(0, (process.stdout.columns || 80) - 1)}`);
  };
  const timer = setInterval(draw, frameMs);
  draw();
  return {
    // eslint-disable-next-line no-control-regex -- colours of the command would end in the middle of the line
    onLine: (/** @type {string} */ line) => (last = line.replace(/\x1b\[[0-9;]*[A-Za-z]|[\r\t]/g, ' ').trim() || last),
    end: (/** @type {string} */ text) => {
      clearInterval(timer);
      process.stdout.write(`\r\x1b[2K${text}\n`);
    },
  };
}

/** @param {string} name @param {number} started */
function plainLines(name, started) {
  console.log(`… ${name}`);
  const timer = setInterval(() => console.log(`… ${name}, ${elapsed(started)} so far`), reminderMs);
  return {
    onLine: () => {},
    end: (/** @type {string} */ text) => {
      clearInterval(timer);
      console.log(text);
    },
  };
}
