import assert from 'node:assert/strict';
import { clientAddress } from '../../../lib/server/address.js';

describe('address', () => {
  const of = (socket, proxies = 0, forwarded) =>
    clientAddress(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }, socket, proxies);

  it("is the socket's own, whatever a client writes", () => {
    assert.equal(of('192.0.2.1', 0, '203.0.113.9'), '192.0.2.1');
    assert.equal(of('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(of(undefined), '');
  });

  it("behind so many proxies, what the last that is not one's own heard", () => {
    assert.equal(of('10.0.0.1', 1, '203.0.113.9'), '203.0.113.9');
    assert.equal(of('10.0.0.1', 1, 'forged, 198.51.100.1 , 203.0.113.9'), '203.0.113.9');
    assert.equal(of('10.0.0.1', 2, '198.51.100.1, 203.0.113.9, 10.0.0.2'), '203.0.113.9');
    assert.equal(of('10.0.0.1', 2, '203.0.113.9'), '203.0.113.9');
    assert.equal(of('10.0.0.1', 1, '203.0.113.9:4711'), '203.0.113.9');
    assert.equal(of('10.0.0.1', 1, '[2001:db8::1]:4711'), '2001:db8:0:0::/64');
    for (const none of [undefined, '', 'unknown', '1.2.3', ',']) assert.equal(of('10.0.0.1', 1, none), '10.0.0.1');
  });

  it('of IPv6 is the network, which is one host’s', () => {
    assert.equal(of('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
    assert.equal(of('2001:DB8:1:2::9'), '2001:db8:1:2::/64');
    assert.equal(of('2001:db8::'), '2001:db8:0:0::/64');
    assert.equal(of('fe80::1%eth0'), 'fe80:0:0:0::/64');
    assert.equal(of('::1'), '0:0:0:0::/64');
    assert.notEqual(of('2001:db8:1:3::1'), of('2001:db8:1:2::1'));
  });
});
