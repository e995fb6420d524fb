// Certificates for tests, made by the openssl command in a directory of their own: valid for a day, worth nothing.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** @type {Authority[]} */
const made = [];

/**
 * @typedef {object} Pair
 * @property {string} cert @property {string} key PEM
 * @property {string} certFile @property {string} keyFile
 */

/** A certificate authority for one test process. */
export class Authority {
  #directory = mkdtempSync(join(tmpdir(), 'everyonce-certificates-'));
  #count = 0;

  constructor() {
    made.push(this);
    this.certFile = join(this.#directory, 'ca.crt');
    const files = ['-keyout', join(this.#directory, 'ca.key'), '-out', this.certFile];
    this.#openssl('req', '-x509', ...NEW_KEY, ...files, '-days', '1', '-subj', '/CN=a test of everyonce');
    this.cert = readFileSync(this.certFile, 'latin1');
  }

  /**
   * @param {object} [wanted]
   * @param {string} [wanted.names] subjectAltName; empty: none
   * @param {number} [wanted.days] negative: it has run out
   * @param {string} [wanted.subject]
   * @returns {Pair}
   */
  issue({ names = 'DNS:localhost,IP:127.0.0.1', days = 1, subject = '/CN=redis' } = {}) {
    const base = join(this.#directory, String(++this.#count));
    const [keyFile, certFile, request, extensions] = ['key', 'crt', 'csr', 'ext'].map((end) => `${base}.${end}`);
    this.#openssl('req', ...NEW_KEY, '-keyout', keyFile, '-out', request, '-subj', subject);
    writeFileSync(extensions, names ? `subjectAltName=${names}\n` : 'basicConstraints=CA:FALSE\n');
    const by = ['-CA', this.certFile, '-CAkey', join(this.#directory, 'ca.key'), '-CAcreateserial'];
    const given = ['-days', String(days), '-extfile', extensions];
    this.#openssl('x509', '-req', '-in', request, ...by, ...given, '-out', certFile);
    return { cert: readFileSync(certFile, 'latin1'), key: readFileSync(keyFile, 'latin1'), certFile, keyFile };
  }

  /** @param {Pair} pair @param {string} password @param {string} [form] @returns {string} its key, encrypted */
  encrypt({ keyFile }, password, form) {
    if (form === 'PKCS 8')
      return String(this.#openssl('pkcs8', '-topk8', '-in', keyFile, '-passout', `pass:${password}`));
    return String(this.#openssl('ec', '-in', keyFile, '-aes128', '-passout', `pass:${password}`));
  }

  /** @param {string[]} args */
  #openssl(...args) {
    return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
  }

  remove() {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

// Imported by a Mocha file: after all tests of the run.
if (typeof after === 'function') {
  after(() => {
    for (const authority of made.splice(0)) authority.remove();
  });
}
