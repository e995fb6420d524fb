/**
 * SQL with its values apart, so that nothing is ever spliced into a statement: sql`… ${value} …` makes a statement whose
 * values become parameters; `name('orders')` stands for a quoted identifier; a statement within a statement is put in place.
 */
import { EveryonceError } from '../../protocol/errors.js';
import { isClean } from '../values.js';

/** PostgreSQL cuts longer names off without an error, so that two of them become one; MySQL allows 64 characters. */
const MAX_NAME_BYTES = 63;

/** An identifier, quoted when it is written: a column, or a table with or without its schema. */
export class Name {
  /** @param {string[]} parts */
  constructor(parts) {
    this.parts = parts;
  }
}

/** A statement or a part of one. */
export class Statement {
  /** @param {readonly string[]} texts one more than values @param {unknown[]} values */
  constructor(texts, values) {
    this.texts = texts;
    this.values = values;
  }
}

/** @typedef {{ quote: (part: string) => string, parameter: (index: number) => string }} Notation */

/** @param {readonly string[]} texts @param {...unknown} values */
export const sql = (texts, ...values) => new Statement(texts, values);

/** Text that is no value: a keyword that depends on the database. @param {string} text */
export const raw = (text) => new Statement([text], []);

/** @param {Statement[]} statements @param {string} between */
export function join(statements, between) {
  const texts = statements.map((_, index) => (index === 0 ? '' : between));
  return new Statement([...texts, ''], statements);
}

/**
 * @param {unknown} value a name; a table may be `schema.table`, or an array of parts where a part holds a dot itself
 * @param {string} option named in the error
 * @param {{ qualified?: boolean }} [of]
 * @returns {Name} throws INVALID_ARGUMENT
 */
export function name(value, option, { qualified = false } = {}) {
  const parts = qualified && typeof value === 'string' ? value.split('.') : Array.isArray(value) ? value : [value];
  const good =
    parts.length >= 1 &&
    parts.length <= (qualified ? 3 : 1) &&
    parts.every(
      (part) => typeof part === 'string' && part !== '' && isClean(part) && Buffer.byteLength(part) <= MAX_NAME_BYTES,
    );
  if (good) return new Name(parts);
  throw new EveryonceError('INVALID_ARGUMENT', `${option} must be a name of 1 to ${MAX_NAME_BYTES} bytes`, { option });
}

/** @param {Name} one @param {Notation} notation */
const written = (one, { quote }) => one.parts.map(quote).join('.');

/**
 * @param {Statement} statement
 * @param {Notation} notation of the database
 * @param {unknown[]} [values] those before it
 * @returns {{ text: string, values: unknown[] }}
 */
export function render(statement, notation, values = []) {
  let text = statement.texts[0];
  statement.values.forEach((value, index) => {
    if (value instanceof Name) text += written(value, notation);
    else if (value instanceof Statement) text += render(value, notation, values).text;
    else text += notation.parameter(values.push(value));
    text += statement.texts[index + 1];
  });
  return { text, values };
}
