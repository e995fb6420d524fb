// `redis.tls`: the names and meanings of Node's tls.connect, for rediss:// URLs.

import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { EveryonceError } from '../protocol/errors.js';

/**
 * @typedef {object} TlsOptions
 * @property {string | Buffer | (string | Buffer)[]} [ca] certificates that are trusted, in PEM; default: those that Node trusts,
 *   with NODE_EXTRA_CA_CERTS
 * @property {string | Buffer} [cert] ours, in PEM, with what lies between it and its root
 * @property {string | Buffer} [key] of `cert`, in PEM
 * @property {string} [passphrase] of a `key` that is encrypted
 * @property {string} [servername] the name that is asked for and that the certificate must have, in place of each address's
 *   own: for a Cluster that tells addresses in numbers, and certificates in names
 * @property {boolean} [rejectUnauthorized] false: any certificate is taken (true). Who sits between then reads all
 */

/**
 * @typedef {object} TlsSettings
 * @property {string[]} ca
 * @property {string} [cert]
 * @property {string} [key]
 * @property {string} [passphrase]
 * @property {string} [servername]
 * @property {boolean} rejectUnauthorized
 */

const NAMES = ['ca', 'cert', 'key', 'passphrase', 'servername', 'rejectUnauthorized'];
const MAX_PEM_BYTES = 1024 * 1024;
const MAX_NAME_LENGTH = 255;
const MAX_PASSPHRASE_BYTES = 1023; // what OpenSSL takes

/** @param {boolean} good @param {string} option @param {string} wanted */
function need(good, option, wanted) {
  if (!good) throw new EveryonceError('BAD_OPTION', `${option} must be ${wanted}`, { option });
}

/** @param {unknown} url */
export const isTls = (url) => typeof url === 'string' && url.startsWith('rediss://');

/**
 * @param {unknown} given `redis.tls`; undefined: all defaults
 * @returns {TlsSettings} whether a text is a certificate is seen when it is used
 * @throws {EveryonceError} BAD_OPTION, which never shows what was given
 */
export function readTls(given = {}) {
  need(typeof given === 'object' && given !== null && !Array.isArray(given), 'redis.tls', 'an object');
  const options = /** @type {Record<string, unknown>} */ (given);
  for (const name of Object.keys(options)) {
    need(NAMES.includes(name), `redis.tls.${name}`, `left out: tls has ${NAMES.join(', ')}`);
  }
  const { ca, cert, key, passphrase, servername, rejectUnauthorized = true } = options;
  need(typeof rejectUnauthorized === 'boolean', 'redis.tls.rejectUnauthorized', 'true or false');
  const isName = typeof servername === 'string' && servername !== '' && servername.length <= MAX_NAME_LENGTH;
  need(servername === undefined || (isName && !/[^!-~]/.test(servername)), 'redis.tls.servername', 'a name');
  need(
    (cert === undefined) === (key === undefined),
    `redis.tls.${cert ? 'key' : 'cert'}`,
    'given: cert and key are a pair',
  );
  const isText =
    typeof passphrase === 'string' && passphrase !== '' && Buffer.byteLength(passphrase) <= MAX_PASSPHRASE_BYTES;
  need(passphrase === undefined || isText, 'redis.tls.passphrase', `a string of 1 to ${MAX_PASSPHRASE_BYTES} bytes`);
  need(passphrase === undefined || key !== undefined, 'redis.tls.passphrase', 'left out without a key');
  return {
    ca: ca === undefined ? (rejectUnauthorized ? trustedByNode() : []) : [ca].flat().map((text) => pem(text, 'ca')),
    ...(cert === undefined ? {} : { cert: pem(cert, 'cert'), key: pem(key, 'key') }),
    ...(passphrase === undefined ? {} : { passphrase: /** @type {string} */ (passphrase) }),
    ...(servername === undefined ? {} : { servername: /** @type {string} */ (servername) }),
    rejectUnauthorized: /** @type {boolean} */ (rejectUnauthorized),
  };
}

/** @param {unknown} value @param {string} name @returns {string} */
function pem(value, name) {
  const text = Buffer.isBuffer(value) ? value.toString('latin1') : value;
  const good = typeof text === 'string' && text.length <= MAX_PEM_BYTES && text.includes('-----BEGIN ');
  need(good, `redis.tls.${name}`, 'PEM, a string or a Buffer (what is in the file, not its path)');
  return /** @type {string} */ (text);
}

/** @returns {string[]} what Node's own TLS trusts */
function trustedByNode() {
  // From Node 22.15 on it can be asked; before, a file of NODE_EXTRA_CA_CERTS is not in what it tells.
  const ask = /** @type {{ getCACertificates?: (type: string) => string[] }} */ (tls).getCACertificates;
  if (ask) return ask('default');
  const extra = process.env.NODE_EXTRA_CA_CERTS;
  if (!extra) return [...tls.rootCertificates];
  try {
    return [...tls.rootCertificates, readFileSync(extra, 'latin1')];
  } catch {
    return [...tls.rootCertificates]; // Node itself warned of it when it began
  }
}
