// The addon has to load on every Node: what it takes of OpenSSL it takes only where it is (src/tls/openssl_symbols.h).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const addon = fileURLToPath(new URL('../../build/Release/everyonce.node', import.meta.url));

describe('the addon and OpenSSL', () => {
  it('every function of it is a weak reference', () => {
    const symbols = execFileSync('nm', ['-D', '--undefined-only', addon], { encoding: 'utf8' }).trim().split('\n');
    const found = symbols.map((line) => line.trim().split(/\s+/)).map(([kind, name]) => ({ kind, name }));
    const ofOpenssl = found.filter(({ name }) => /^(SSL|TLS|BIO|X509|PEM|ERR|EVP|OPENSSL|CRYPTO|OpenSSL)_/.test(name));
    assert.ok(
      ofOpenssl.some(({ name }) => name === 'SSL_new'),
      'TLS is in this build',
    );
    assert.deepEqual(
      ofOpenssl.filter(({ kind }) => kind !== 'w').map(({ name }) => name),
      [],
    );
  });
});
