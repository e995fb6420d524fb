// Directories and objects of one test, gone after it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @type {(() => unknown)[]} */
const cleanUps = [];

/** @param {() => unknown} act run after the test, last first */
export function onCleanUp(act) {
  cleanUps.push(act);
}

export async function cleanUp() {
  for (const act of cleanUps.splice(0).reverse()) await act();
}

export function makeDirectory() {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-primitives-'));
  onCleanUp(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * Something to be closed after the test, if it is not before.
 * @template {{ close(): unknown }} T
 * @param {T} one
 * @returns {T}
 */
export function closing(one) {
  onCleanUp(() => one.close());
  return one;
}

/** A store in memory with a clock of its own: { store, options: { now }, advance }. */
export function withClock(startMs = 1_700_000_000_000) {
  let nowMs = startMs;
  return { store: { memory: true }, options: { now: () => nowMs }, advance: (ms) => (nowMs += ms), now: () => nowMs };
}
