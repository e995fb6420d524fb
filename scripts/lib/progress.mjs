// Says what a long command is doing: one line that changes on a terminal, plain lines elsewhere.
import { CommandError } from './run.mjs';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const frameMs = 100;
/** On a plain log, a step that takes long says so this often. */
const reminderMs = 60_000;
const shownLinesByDefault = 100;

/** @param {number} sinceMs a value of performance.now() */
export function elapsed(sinceMs) {
  const seconds = (performance.now() - sinceMs) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

/**
 * Runs one step and shows it. A failing step's own last lines are printed, then what to do about it.
 * @template T
 * @param {string | (() => string)} name a function is asked at the end, so that it can tell the result
 * @param {(onLine: (line: string) => void) => Promise<T>} work
 * @param {{ hint?: string, running?: string, shownLines?: number }} [options] running: the name while it runs
 * @returns {Promise<T>}
 */
export async function step(name, work, options = {}) {
  const started = performance.now();
  const running = options.running ?? String(name);
  const nameAtEnd = () => (typeof name === 'string' ? name : name());
  const show = process.stdout.isTTY && !process.env.CI ? liveLine(running, started) : plainLines(running, started);
  try {
    const result = await work(show.onLine);
    show.end(`✔ ${nameAtEnd()} (${elapsed(started)})`);
    return result;
  } catch (error) {
    show.end(`✘ ${nameAtEnd()} (${elapsed(started)})`);
    // On stdout like all of it: two streams would mix the order.
    if (error instanceof CommandError) console.log(lastLines(error.output, options.shownLines ?? shownLinesByDefault));
    console.log(`\n${error instanceof Error ? error.message : error}`);
    if (options.hint) console.log(options.hint);
    throw error;
  }
}

/** @param {string} output @param {number} count */
function lastLines(output, count) {
  return output.trimEnd().split('\n').slice(-count).join('\n');
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
