/**
 * @param {Iterable<import('../checker/history.js').HistoryEvent>} events
 * @returns {{ p50Ms: number, p99Ms: number }} from handing a message over to its ack, faults included; 0 where nothing was acked
 */
export function latencies(events) {
  /** @type {Map<string, number>} */
  const begun = new Map();
  /** @type {number[]} */
  const took = [];
  for (const { op, id = '', t = 0 } of events) {
    if (op === 'invoke') begun.set(id, t);
    else if (op === 'ack' && begun.has(id)) {
      took.push(t - Number(begun.get(id)));
      begun.delete(id);
    }
  }
  took.sort((a, b) => a - b);
  return { p50Ms: at(took, 0.5), p99Ms: at(took, 0.99) };
}

/** @param {number[]} sorted @param {number} part 0 to 1 */
function at(sorted, part) {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return Math.round(value * 10) / 10;
}
