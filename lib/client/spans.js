/**
 * Spans of sequence numbers with nothing to wait for: own messages, what is not visible, what was taken already, holes.
 * Sorted, not touching, bounded. Pure.
 */

/** @typedef {{ from: number, to: number, reason?: string }} Span `reason`: a hole that the application is told of */

export class Spans {
  /** @type {Span[]} */
  #spans = [];
  #limit;

  /** @param {number} limit spans kept; above it the highest is forgotten, and asked for again */
  constructor(limit) {
    this.#limit = limit;
  }

  get size() {
    return this.#spans.length;
  }

  /** @param {number} from @param {number} to @param {string} [reason] */
  add(from, to, reason) {
    if (!(from <= to)) return;
    /** @type {Span[]} */
    const kept = [];
    let merged = { from, to, reason };
    for (const span of this.#spans) {
      const touches = span.from <= merged.to + 1 && merged.from <= span.to + 1;
      if (touches && span.reason === reason) {
        merged = { from: Math.min(span.from, merged.from), to: Math.max(span.to, merged.to), reason };
      } else kept.push(span);
    }
    kept.push(merged);
    kept.sort((a, b) => a.from - b.from || a.to - b.to);
    if (kept.length > this.#limit) kept.pop();
    this.#spans = kept;
  }

  /**
   * The span that holds `seq`: a hole before anything else, so that the application is told of it.
   * @param {number} seq
   * @returns {Span | undefined}
   */
  at(seq) {
    let plain;
    let holeAhead = Infinity;
    for (const span of this.#spans) {
      const holds = span.from <= seq && seq <= span.to;
      if (span.reason !== undefined && holds) return span;
      if (span.reason !== undefined && span.from > seq) holeAhead = Math.min(holeAhead, span.from);
      if (span.reason === undefined && holds) plain = span;
    }
    return plain && { ...plain, to: Math.min(plain.to, holeAhead - 1) };
  }

  /** Forgets what lies below `seq`. @param {number} seq */
  dropBelow(seq) {
    this.#spans = this.#spans.filter((span) => span.to >= seq);
  }

  /** Forgets what lies at `seq` and above. @param {number} seq */
  dropFrom(seq) {
    this.#spans = this.#spans
      .filter((span) => span.from < seq)
      .map((span) => ({ ...span, to: Math.min(span.to, seq - 1) }));
  }

  clear() {
    this.#spans = [];
  }
}
