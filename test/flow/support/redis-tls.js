// A redis-server that speaks TLS.
import { freePort } from '../../support/free-port.js';
import { startRedis } from './redis.js';

/**
 * @param {import('../../support/certificates.js').Pair} pair the server's
 * @param {{ certFile: string }} authority whose clients it lets in, where it asks them
 * @param {...string} flags
 */
export async function startTlsRedis(pair, authority, ...flags) {
  const port = await freePort();
  const files = ['--tls-cert-file', pair.certFile, '--tls-key-file', pair.keyFile];
  const asks = ['--tls-ca-cert-file', authority.certFile, '--tls-auth-clients', 'no'];
  const redis = await startRedis('--port', '0', '--tls-port', String(port), ...files, ...asks, ...flags);
  return { ...redis, port, url: `rediss://127.0.0.1:${port}` };
}
