/**
 * Work on a database written once as a generator, for drivers that answer later and for one that answers at once. It
 * yields statements, and functions that run the application's own work; it is resumed with what they gave, or failed.
 *
 * On better-sqlite3 all steps run without giving way to other code as long as the application's work does not: a statement of
 * somebody else can not slip in between BEGIN and COMMIT on the same connection.
 */
import { Statement } from './statement.js';

/** @typedef {{ rows: any[], count: number }} Answer rows read; how many rows were changed */
/** @typedef {Generator<Statement | (() => unknown), any, any>} Steps */

/** @param {any} value @returns {value is PromiseLike<unknown>} */
const isThenable = (value) => typeof value?.then === 'function';

/**
 * @param {Steps} steps
 * @param {(statement: Statement) => Answer | Promise<Answer>} run
 * @returns {any} what the steps return; a promise only where something in them gave one
 */
export function drive(steps, run) {
  /** @param {IteratorResult<Statement | (() => unknown), any>} next @returns {any} */
  const goOn = (next) => {
    let step = next;
    while (!step.done) {
      let value;
      try {
        value = step.value instanceof Statement ? run(step.value) : step.value();
      } catch (error) {
        step = steps.throw(error);
        continue;
      }
      if (isThenable(value)) {
        return Promise.resolve(value).then(
          (settled) => goOn(steps.next(settled)),
          (error) => goOn(steps.throw(error)),
        );
      }
      step = steps.next(value);
    }
    return step.value;
  };
  return goOn(steps.next());
}
