/** @typedef {import('./history.js').HistoryEvent} HistoryEvent */

/** Who may see what of a conversation, read from the changes of its members that stand in its log. */
export class Visibility {
  /** Spans of seq by user, ascending; the last is open while the user is a member. @type {Map<string, [number, number][]>} */
  #spans = new Map();
  /** A log without changes (a direct conversation, or one whose members all stayed) is open to whoever reads it. */
  #isOpen = true;

  /** @param {HistoryEvent[]} stored the whole conversation, in order */
  constructor(stored) {
    for (const { change, seq = 0, historyAll = false } of stored) {
      if (!change) continue;
      this.#isOpen = false;
      for (const user of change.add ?? []) this.#joined(user, historyAll ? 1 : seq, historyAll);
      for (const user of change.remove ?? []) this.#left(user, seq);
    }
  }

  /** @param {string} user */
  isMember(user) {
    return this.#isOpen || this.#spans.get(user)?.at(-1)?.[1] === Infinity;
  }

  /** @param {string} user @param {number} seq */
  shows(user, seq) {
    return this.#isOpen || (this.#spans.get(user) ?? []).some(([from, to]) => seq >= from && seq <= to);
  }

  /** @param {string} user @param {number} from @param {boolean} all what lay between is shown as well */
  #joined(user, from, all) {
    const spans = all ? [] : (this.#spans.get(user) ?? []);
    this.#spans.set(user, [...spans, [from, Infinity]]);
  }

  /** @param {string} user @param {number} to */
  #left(user, to) {
    const last = this.#spans.get(user)?.at(-1);
    if (last) last[1] = to;
  }
}
