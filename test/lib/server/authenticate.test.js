import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } from 'jose';
import { byKeySet, bySecret, tokenIsUser } from '../../../lib/server/authenticate.js';

const SECRET = 'a secret of no less than 32 bytes';
const key = new TextEncoder().encode(SECRET);

const jwt = (payload, { alg = 'HS256', key: by = key, exp = '1h' } = {}) => {
  const token = new SignJWT(payload).setProtectedHeader({ alg, ...(by === key ? {} : { kid: 'k1' }) });
  if (exp) token.setExpirationTime(exp);
  return token.sign(by);
};

describe('authenticate', () => {
  it('insecure: the token is the user', () => {
    assert.deepEqual(tokenIsUser({ token: 'alice' }), { user: 'alice' });
    assert.equal(tokenIsUser({ token: null }), null);
  });

  describe('by a secret', () => {
    const authenticate = bySecret(SECRET);
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      it(`takes ${alg}: user is sub, until exp`, async () => {
        const exp = Math.floor(Date.now() / 1000) + 60;
        const token = await jwt({ sub: 'alice' }, { alg, exp });
        assert.deepEqual(await authenticate({ token }), { user: 'alice', expiresAt: exp * 1000 });
      });
    }

    const bad = {
      'no token': () => null,
      'no JWT': () => 'alice',
      'another secret': () =>
        jwt({ sub: 'alice' }, { key: new TextEncoder().encode('another secret of 32 bytes or so!') }),
      expired: () => jwt({ sub: 'alice' }, { exp: '-1s' }),
      'no exp': () => jwt({ sub: 'alice' }, { exp: '' }),
      'no sub': () => jwt({}),
      'alg none': () => new UnsecuredJWT({ sub: 'alice' }).setExpirationTime('1h').encode(),
      'changed sub': async () => {
        const [head, , signature] = (await jwt({ sub: 'alice' })).split('.');
        const payload = Buffer.from(JSON.stringify({ sub: 'root', exp: 9e9 })).toString('base64url');
        return [head, payload, signature].join('.');
      },
    };
    for (const [what, make] of Object.entries(bad)) {
      it(`refuses: ${what}`, async () => assert.rejects(async () => authenticate({ token: await make() })));
    }
  });

  describe('by a key set', () => {
    let server;
    let keys;
    let url;
    before(async () => {
      keys = await generateKeyPair('ES256');
      const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256' };
      server = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${server.address().port}/keys`;
    });
    after(() => server.close());

    it('takes what is signed by one of its keys, nothing else', async () => {
      const authenticate = byKeySet(url);
      const good = await jwt({ sub: 'alice' }, { alg: 'ES256', key: keys.privateKey });
      assert.equal((await authenticate({ token: good })).user, 'alice');
      const others = await generateKeyPair('ES256');
      const forged = await jwt({ sub: 'alice' }, { alg: 'ES256', key: others.privateKey });
      await assert.rejects(async () => authenticate({ token: forged }));
      await assert.rejects(async () => authenticate({ token: null }));
    });

    it('takes no secret-signed token, whatever its key', async () => {
      const token = await jwt({ sub: 'alice' });
      await assert.rejects(async () => byKeySet(url)({ token }));
    });
  });
});
