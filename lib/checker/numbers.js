/** Producers' numbers, packages and mids, as the log has them. */
import { messageKey, placeOf } from './names.js';

/**
 * @typedef {import('./history.js').HistoryEvent} HistoryEvent
 * @typedef {import('./judge.js').Run} Run
 * @typedef {import('./judge.js').Finding} Finding
 * @typedef {import('./log.js').Log} Log
 */

/** @param {Run} run @param {Log} log @param {Finding[]} findings */
export function checkNumbers(run, log, findings) {
  for (const places of log.conversations()) {
    checkHoles(run, places, findings);
    checkPackages(run, places, findings);
  }
  checkMids(log, findings);
}

/** Every number below a producer's highest is stored, refused for good, or skipped. @param {Run} run @param {HistoryEvent[]} places @param {Finding[]} findings */
function checkHoles(run, places, findings) {
  const conv = places[0]?.conv;
  /** @type {Map<string, Set<number>>} */
  const used = new Map();
  const use = (/** @type {string} */ producer, /** @type {number} */ number) => {
    if (!used.has(producer)) used.set(producer, new Set());
    used.get(producer)?.add(number);
  };
  /** @type {Map<string, HistoryEvent>} */
  const last = new Map();
  for (const stored of places) {
    if (typeof stored.number !== 'number') continue;
    const producer = `${stored.from} ${stored.fromDevice}`;
    use(producer, stored.number);
    const before = last.get(producer);
    if (before && stored.number < (before.number ?? 0))
      findings.push({ count: 'swapped', rule: 'log_order', ...placeOf(stored), detail: `number ${stored.number}` });
    last.set(producer, stored);
  }
  for (const { invoke, nack } of run.sends.values()) {
    if (nack && invoke.conv === conv && invoke.number) use(`${invoke.user} ${invoke.device}`, invoke.number);
  }
  for (const skip of run.skips) {
    if (skip.conv !== conv) continue;
    const { user, device, number, to = 0 } = skip;
    for (let n = number ?? 1; n <= to; n++) use(`${user} ${device}`, n);
  }
  for (const [producer, stored] of last) {
    for (let n = 1; n < (stored.number ?? 0); n++) {
      if (!used.get(producer)?.has(n))
        findings.push({ count: 'lost', rule: 'number_hole', ...placeOf(stored), id: undefined, detail: `number ${n}` });
    }
  }
}

/** @param {Run} run @param {HistoryEvent[]} places in order @param {Finding[]} findings */
function checkPackages(run, places, findings) {
  /** @type {Map<string, number>} */
  const sizes = new Map();
  const nameOf = (/** @type {HistoryEvent} */ { user, device, conv, pkg }) => `${user} ${device} ${conv} ${pkg}`;
  for (const { invoke } of run.sends.values()) {
    if (invoke.pkg) sizes.set(nameOf(invoke), (sizes.get(nameOf(invoke)) ?? 0) + 1);
  }
  /** @type {Map<string, HistoryEvent[]>} */
  const stored = new Map();
  for (const place of places) {
    const invoke = run.sends.get(messageKey(place, place.from, place.fromDevice))?.invoke;
    if (!invoke?.pkg) continue;
    stored.set(nameOf(invoke), [...(stored.get(nameOf(invoke)) ?? []), place]);
  }
  for (const [name, parts] of stored) {
    const span = (parts.at(-1)?.seq ?? 0) - (parts[0].seq ?? 0) + 1;
    if (parts.length !== sizes.get(name) || span !== parts.length)
      findings.push({ count: 'lost', rule: 'package_torn', ...placeOf(parts[0]), detail: `${parts.length} of ${sizes.get(name)}` }); // prettier-ignore
  }
}

/** Unique over all conversations, and ascending in each: they are ordered by time. @param {Log} log @param {Finding[]} findings */
function checkMids(log, findings) {
  const all = new Set();
  for (const places of log.conversations()) {
    let last = '';
    for (const stored of places) {
      const mid = stored.mid ?? '';
      const isAhead = mid.length !== last.length ? mid.length > last.length : mid > last;
      if (all.has(mid) || !isAhead)
        findings.push({ count: 'changed', rule: 'mid_reused', ...placeOf(stored), detail: `${mid} after ${last}` });
      all.add(mid);
      last = mid;
    }
  }
}
