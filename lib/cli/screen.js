import { performance } from 'node:perf_hooks';

/** Where nobody watches a line change, so often it is said anew, ms. */
const LINE_EVERY_MS = 10_000;

/** @typedef {{ out: (line: string) => void, err: (line: string) => void }} Say */

/**
 * Progress of a long command, on stderr: a line that is written over on a terminal, one now and then elsewhere, none where the
 * result is wanted as JSON and nobody watches.
 *
 * @template T what is shown
 */
export class Screen {
  #say;
  #lineOf;
  #isTerminal = process.stderr.isTTY === true;
  #isSilent;
  #lastMs = performance.now();

  /** @param {Say} say @param {boolean} isJson @param {(progress: T) => string} lineOf */
  constructor(say, isJson, lineOf) {
    this.#say = say;
    this.#lineOf = lineOf;
    this.#isSilent = isJson && !this.#isTerminal;
  }

  /** @param {T} progress */
  show(progress) {
    if (this.#isSilent) return;
    if (this.#isTerminal) return void process.stderr.write(`\r\x1b[K${this.#lineOf(progress)}`);
    const now = performance.now();
    if (now - this.#lastMs < LINE_EVERY_MS) return;
    this.#lastMs = now;
    this.#say.err(this.#lineOf(progress));
  }

  clear() {
    if (this.#isTerminal) process.stderr.write('\r\x1b[K');
  }
}
