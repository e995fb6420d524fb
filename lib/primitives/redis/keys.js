// Where the primitives' records lie in Redis. All keys of one call share a hash slot, that of its partition; the partitions
// spread over the masters of a Cluster. Beside the log's keys (`eo:{p…}:`), whose server may share the Redis.

import { crc32 } from 'node:zlib';

/** Stored data depends on it: never change. */
const PARTITIONS = 256;
const PARTS = Object.freeze({ items: 'm', order: 'o', senders: 's', names: 'i', counts: 'c', acked: 'a', newest: 'n' });

/** @param {string} name @returns {number} */
export const partitionOf = (name) => crc32(name) % PARTITIONS;

/** @param {number} partition */
const prefix = (partition) => `eo:{k${partition}}:`;

/** The record of a claim; its key begins with the letter of its kind. @param {string} key */
export const claimKey = (key) => `${prefix(partitionOf(key))}c:${key}`;

/** The newest fence of a partition. @param {string} key of a claim */
export const fenceKey = (key) => `${prefix(partitionOf(key))}f`;

/** @param {string} counter */
export const counterKey = (counter) => `${prefix(partitionOf(counter))}n:${counter}`;

/** What a process was last told of a counter. @param {string} counter @param {string} asker */
export const requestKey = (counter, asker) => `${prefix(partitionOf(counter))}r:${asker}:${counter}`;

/** Worker numbers of all Snowflakes that are leased here. */
export const WORKERS_KEY = 'eo:{workers}:snowflakes';

/** A hash, by `everyonce migrate`: its `state` is `moving` as long as not all is there. */
export const MIGRATION_KEY = 'eo:{migration}:state';

/**
 * @param {string} receiver
 * @param {(keyof typeof PARTS)[]} [parts] default: those that most scripts of the offline table take, in their order
 */
export function offlineKeys(receiver, parts = ['items', 'order', 'senders', 'names', 'counts', 'acked']) {
  const front = `${prefix(partitionOf(receiver))}o:`;
  return parts.map((part) => `${front}${PARTS[part]}:${receiver}`);
}
