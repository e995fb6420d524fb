/**
 * A small event emitter, so that the client needs no Node built-in. Listeners run in the order they were added; what
 * one throws goes to `onListenerError` and never to the code that emits.
 */

/** @typedef {(...args: any[]) => any} Listener */

export class Emitter {
  /** @type {Map<string, Listener[]>} */
  #listeners = new Map();

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  on(event, listener) {
    if (typeof listener !== 'function') throw new TypeError('listener must be a function');
    this.#listeners.set(event, [...this.listeners(event), listener]);
    this.listenerAdded(event);
    return this;
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  once(event, listener) {
    const wrapped = (/** @type {any[]} */ ...args) => {
      this.off(event, wrapped);
      return listener(...args);
    };
    return this.on(event, wrapped);
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  off(event, listener) {
    this.#listeners.set(
      event,
      this.listeners(event).filter((known) => known !== listener),
    );
    return this;
  }

  /** @param {string} event @returns {readonly Listener[]} */
  listeners(event) {
    return this.#listeners.get(event) ?? [];
  }

  /**
   * @param {string} event
   * @param {...any} args
   * @returns {boolean} whether anyone listened
   */
  emit(event, ...args) {
    const listeners = this.listeners(event);
    for (const listener of listeners) {
      try {
        const result = listener(...args);
        if (typeof result?.then === 'function')
          result.then(undefined, (/** @type {unknown} */ e) => this.onListenerError(e, event));
      } catch (error) {
        this.onListenerError(error, event);
      }
    }
    return listeners.length > 0;
  }

  /** Called after a listener was added; for the class that extends this one. @param {string} _event */
  listenerAdded(_event) {}

  /**
   * What a listener threw is the application's mistake: it must be seen, and must not stop the client.
   * @param {unknown} error
   * @param {string} event
   */
  onListenerError(error, event) {
    console.error(`everyonce: a listener of '${event}' failed`, error);
  }
}
