// What this browser keeps of a user's conversations, in IndexedDB: the messages that were handled, and what is known about
// each conversation. Tabs of one user share it; storing a message twice is storing it once.

/** @typedef {import('./conversation.js').Message} Message */
/** @typedef {{ conv: string, members: string[], marks: [string, { got: number, read: number }][], head: number }} Kept */

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
const committed = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class History {
  /** @type {IDBDatabase} */
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    // Another tab wants to delete or renew it: do not stand in the way.
    database.onversionchange = () => database.close();
  }

  /** @param {string} user */
  static async open(user) {
    const request = indexedDB.open(`chat-history:${user}`, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('messages', { keyPath: ['conv', 'epoch', 'seq'] });
      request.result.createObjectStore('conversations', { keyPath: 'conv' });
    };
    return new History(await done(request));
  }

  /** Resolves when they survive a crash: only then may they be acked. @param {Message[]} messages */
  put(...messages) {
    const transaction = this.#database.transaction('messages', 'readwrite', { durability: 'strict' });
    for (const message of messages) transaction.objectStore('messages').put(message);
    return committed(transaction);
  }

  /**
   * The newest messages, or the newest before one, ascending.
   * @param {string} conv @param {number} limit @param {Message} [before] @returns {Promise<Message[]>}
   */
  page(conv, limit, before) {
    // An array sorts after every number: this is the end of the conversation.
    const end = before ? [conv, before.epoch, before.seq] : [conv, []];
    const request = this.#database
      .transaction('messages')
      .objectStore('messages')
      .openCursor(IDBKeyRange.bound([conv], end, false, true), 'prev');
    /** @type {Message[]} */
    const found = [];
    return new Promise((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor) found.push(cursor.value);
        if (cursor && found.length < limit) cursor.continue();
        else resolve(found.reverse());
      };
    });
  }

  /** @param {import('./conversation.js').Conversation} conversation */
  keep({ conv, members, marks, head }) {
    const transaction = this.#database.transaction('conversations', 'readwrite');
    transaction.objectStore('conversations').put({ conv, members: [...members], marks: [...marks], head });
    return committed(transaction);
  }

  /** @returns {Promise<Kept[]>} */
  conversations() {
    return done(this.#database.transaction('conversations').objectStore('conversations').getAll());
  }
}
