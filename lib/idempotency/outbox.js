/**
 * The transactional outbox: a message is written in the transaction of the change that it tells of, and a relay (outbox-relay.js)
 * publishes it afterwards. So there is no change without its message, and no message without its change.
 */
import { randomUUID } from 'node:crypto';
import { EveryonceError } from '../protocol/errors.js';
import { checkConversation, checkMessageId, checkType } from '../protocol/identifiers.js';
import { databaseOf, transact } from './sql/database.js';
import { Name, name, sql } from './sql/statement.js';
import { badOption, checkObject } from './values.js';

const TABLE = 'everyonce_outbox';
/** A body is JSON; what a chat server takes of one is far less (limits.body). */
const MAX_BODY_BYTES = 1 << 20;

/** @param {unknown} [table] @returns {Name} */
export const outboxTable = (table = TABLE) => name(table, 'table', { qualified: true });

/**
 * Writes a message to the outbox, in the transaction that is open on `tx`. It is published after the commit, and not at all
 * after a rollback.
 *
 * Messages of one conversation are published in the order in which their transactions commit: from here on the transaction
 * holds a lock on the conversation, and another one that writes to the same waits for it. Without that lock a number that was
 * given first might become visible last. A transaction that writes to several conversations names them always in the same order,
 * or two of them may be ended by a deadlock. `ordered: false` takes no lock, and leaves the order of concurrent ones open.
 *
 * @param {any} tx a client of `pg` inside a transaction, also the `tx` of sqlOnce and withRowLock
 * @param {{ conv: string, from: string, id?: string, type?: string, body: unknown }} message as `chat.publish` takes it; `id` (8 to 64
 *   of A-Z a-z 0-9 _ -) makes it the same message however often it is written, default a new UUID
 * @param {{ table?: string | string[], ordered?: boolean }} [options] default `everyonce_outbox`, in order
 * @returns {Promise<{ id: string, repeated: boolean }>} `repeated`: it waits in the outbox already; throws NOT_IN_TRANSACTION, MISMATCH (the
 *   same id with another body), INVALID_ARGUMENT, and what the driver throws
 */
export async function publishInTransaction(tx, message, options = {}) {
  const database = databaseOf(tx);
  if (database.kind !== 'postgres' || database.isPool) throw badOption('tx', 'a client of pg inside a transaction');
  const table = outboxTable(checkObject(options, 'options').table);
  const { conv, from, id = randomUUID(), type } = checkObject(message, 'message');
  checkConversation(conv);
  if (typeof from !== 'string' || !/^[A-Za-z0-9_.@-]{1,64}$/.test(from)) throw badOption('from', 'a user id');
  checkMessageId(id);
  if (type !== undefined) checkType(type);
  const body = bodyText(message.body);
  if (!(await database.isInTransaction())) throw new EveryonceError('NOT_IN_TRANSACTION');

  if (options.ordered !== false) {
    await database.run(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`everyonce outbox ${conv}`}, 0))`);
  }
  const { count } = await database.run(sql`INSERT INTO ${table} (conv, sender, id, type, body)
    VALUES (${conv}, ${from}, ${id}, ${type ?? null}, ${body}) ON CONFLICT (conv, sender, id) DO NOTHING`);
  if (count === 1) return { id, repeated: false };
  const { rows } = await database.run(
    sql`SELECT type, body FROM ${table} WHERE conv = ${conv} AND sender = ${from} AND id = ${id}`,
  );
  if (rows.length > 0 && (rows[0].body !== body || rows[0].type !== (type ?? null))) {
    throw new EveryonceError('MISMATCH', 'The outbox holds another message of this id.', { id, conv });
  }
  return { id, repeated: true };
}

/**
 * Makes the table where it is missing.
 * @param {any} client a Pool or Client of `pg`
 * @param {string | string[]} [table]
 */
export async function migrateOutbox(client, table) {
  const database = databaseOf(client);
  if (database.kind !== 'postgres') throw badOption('client', 'a Pool or Client of pg');
  const outbox = outboxTable(table);
  const index = new Name([`${outbox.parts.at(-1)}_heads`]);
  name(index.parts[0], 'table');
  await transact(database, function* () {
    yield sql`SELECT pg_advisory_xact_lock(hashtext('everyonce migrate'))`;
    yield sql`CREATE TABLE IF NOT EXISTS ${outbox} (position bigserial PRIMARY KEY, conv text COLLATE "C" NOT NULL,
      sender text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, type text, body text NOT NULL,
      at timestamptz NOT NULL DEFAULT now(), attempts integer NOT NULL DEFAULT 0, failures integer NOT NULL DEFAULT 0, retry_at timestamptz NOT NULL DEFAULT now(),
      error text, parked_at timestamptz, UNIQUE (conv, sender, id))`;
    yield sql`CREATE INDEX IF NOT EXISTS ${index} ON ${outbox} (conv, position) WHERE parked_at IS NULL`;
  });
}

/** @param {unknown} body @returns {string} */
function bodyText(body) {
  let text;
  try {
    text = JSON.stringify(body);
  } catch {
    // Said below.
  }
  if (text === undefined || Buffer.byteLength(text) > MAX_BODY_BYTES) throw badOption('body', 'JSON of up to 1 MiB');
  return text;
}
