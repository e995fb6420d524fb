/**
 * The format of an outbox journal on disk: one record a line, `<crc32 of the JSON, 8 hex digits> <JSON>\n`. JSON text
 * holds no line break, so a reader finds its way again behind a damaged line. Pure.
 */
import { crc32 } from 'node:zlib';
import { EveryonceError } from '../../protocol/index.js';
import { FORMAT_VERSION } from '../outbox-state.js';

/** @typedef {import('../outbox-state.js').OutboxRecord} OutboxRecord */

/** @param {string} json */
const checksum = (json) => crc32(json).toString(16).padStart(8, '0');

/** @param {OutboxRecord[]} records @returns {Buffer} */
export function encodeJournal(records) {
  return Buffer.from(
    records
      .map((record) => JSON.stringify(record))
      .map((json) => `${checksum(json)} ${json}\n`)
      .join(''),
  );
}

/**
 * All records that can be read. A bad end is a write that a crash tore: nobody was told that it is durable, so it is
 * dropped. A bad line with good ones behind it is damage: what it held, and which numbers it used, is not known.
 * @param {Buffer} bytes
 * @returns {{ records: OutboxRecord[], damaged: boolean }}
 * @throws {EveryonceError} `OUTBOX_VERSION`
 */
export function decodeJournal(bytes) {
  /** @type {OutboxRecord[]} */
  const records = [];
  let bad = false;
  let damaged = false;
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start);
    const record = end < 0 ? null : decodeLine(bytes.toString('utf8', start, end));
    if (!record) bad = true;
    else {
      damaged ||= bad;
      records.push(record);
    }
    start = end < 0 ? bytes.length : end + 1;
  }
  // A journal begins with its format; without it the beginning is lost.
  if (records.length > 0 && records[0].k !== 'format') damaged = true;
  if (records.some((record) => record.k === 'format' && record.v > FORMAT_VERSION))
    throw new EveryonceError('OUTBOX_VERSION');
  return { records, damaged };
}

/** @param {string} line @returns {OutboxRecord | null} */
function decodeLine(line) {
  const json = line.slice(9);
  if (line[8] !== ' ' || line.slice(0, 8) !== checksum(json)) return null;
  try {
    const record = JSON.parse(json);
    return typeof record?.k === 'string' ? record : null;
  } catch {
    return null;
  }
}
