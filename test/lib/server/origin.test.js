import assert from 'node:assert/strict';
import {
  bearerToken,
  isLoopbackAddress,
  isLoopbackHost,
  isOriginAllowed,
  needsToken,
} from '../../../lib/server/origin.js';

describe('origin', () => {
  const cases = [
    [{ origin: 'https://chat.example', host: 'chat.example' }, null, true],
    [{ origin: 'https://chat.example', host: 'chat.example:443' }, null, true],
    [{ origin: 'http://localhost:8080', host: 'localhost:8080' }, null, true],
    [{ origin: 'http://localhost:8081', host: 'localhost:8080' }, null, false],
    [{ origin: 'https://evil.example', host: 'chat.example' }, null, false],
    [{ origin: 'https://chat.example.evil.example', host: 'chat.example' }, null, false],
    [{ origin: 'null', host: 'chat.example' }, null, false],
    [{ origin: 'https://chat.example' }, null, false],
    [{ origin: '', host: '' }, null, false],
    [{ host: 'chat.example' }, null, true],
    [{ origin: 'https://a.example', host: 'chat.example' }, new Set(['https://a.example']), true],
    [{ origin: 'http://a.example', host: 'chat.example' }, new Set(['https://a.example']), false],
    [{ origin: 'https://chat.example', host: 'chat.example' }, new Set(['https://a.example']), false],
    [{ origin: 'https://chat.example', host: 'chat.example' }, new Set(), false],
  ];
  for (const [headers, origins, allowed] of cases) {
    it(`${allowed ? 'lets' : 'keeps'} ${JSON.stringify(headers)} ${allowed ? 'in' : 'out'}, ${origins ? [...origins] : 'same host'}`, () =>
      assert.equal(isOriginAllowed(headers, origins), allowed));
  }

  it('wants a token where a cookie comes without an Origin', () => {
    assert.equal(needsToken({ cookie: 'a=b' }), true);
    assert.equal(needsToken({ cookie: 'a=b', origin: 'https://a.example' }), false);
    assert.equal(needsToken({}), false);
  });

  it('reads the bearer token', () => {
    assert.equal(bearerToken({ authorization: 'Bearer abc.def' }), 'abc.def');
    assert.equal(bearerToken({ authorization: 'bearer  abc ' }), 'abc');
    assert.equal(bearerToken({ authorization: 'Basic abc' }), null);
    assert.equal(bearerToken({ authorization: 'Bearer a b' }), null);
    assert.equal(bearerToken({}), null);
  });

  it('knows this machine by name and by address', () => {
    for (const host of ['localhost', 'localhost:80', '127.0.0.1:80', '127.9.9.9', '[::1]:80', '::1', 'a.localhost:1']) {
      assert.equal(isLoopbackHost(host), true, host);
    }
    for (const host of [
      '0.0.0.0',
      '::',
      'example.com',
      'localhost.example.com',
      '127.0.0.1.example.com',
      '',
      undefined,
    ]) {
      assert.equal(isLoopbackHost(host), false, String(host));
    }
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
      assert.equal(isLoopbackAddress(address), true, address);
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '::2', undefined, '']) {
      assert.equal(isLoopbackAddress(address), false, String(address));
    }
  });
});
