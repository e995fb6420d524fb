// HTTP calls over requests that the test answers. What they do on a real engine is in test/flow.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { EveryonceError } from '../../../lib/protocol/errors.js';
import { HttpCalls, idOf } from '../../../lib/server/http-calls.js';
import { readOptions } from '../../../lib/server/options.js';
import { closeServer, listening } from './support/net.js';

const KEY = 'the-service-key';
const ACK = { t: 'ack', seq: 1, epoch: 2, mid: '3', at: 4 };

describe('http calls', () => {
  let http;
  /** Calls to the engine that wait. @type {{ user: string, packet: any, how: any, resolve: Function, reject: Function }[]} */
  let waiting;
  let arrived;
  let faults;

  const start = async (options = {}) => {
    waiting = [];
    faults = [];
    const requests = {
      call: (user, packet, about, how) =>
        new Promise((resolve, reject) => {
          waiting.push({ user, packet, how, resolve, reject });
          arrived?.();
        }),
    };
    const settings = readOptions({ insecure: true, memory: true, serviceKey: KEY, ...options });
    const calls = new HttpCalls({
      settings,
      requests,
      isClosing: () => false,
      clockMs: () => 1000,
      fault: (error) => faults.push(error),
    });
    http = await listening((request, response) => calls.handle(request.url.slice(1), request, response));
  };
  afterEach(() => closeServer(http));

  const publish = (body, headers = {}) =>
    fetch(`http://127.0.0.1:${http.port}/publish`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'idempotency-key': 'order-0001', 'content-type': 'application/json', ...headers }, // prettier-ignore
      body: JSON.stringify({ conv: 'dm:a:b', from: 'a', body: 1, ...body }),
    });
  const callArrived = async (count) => {
    while (waiting.length < count) await new Promise((resolve) => (arrived = resolve));
  };

  it('409 for the same key while it is under way, and not when it is over', async () => {
    await start();
    const first = publish();
    await callArrived(1);
    const second = await publish();
    assert.deepEqual([second.status, (await second.json()).error.code], [409, 'in_progress']);
    const others = [publish({ from: 'b' }), publish({ conv: 'g:a' }), publish({}, { 'idempotency-key': 'order-0002' })];
    await callArrived(4);
    for (const { resolve } of waiting) resolve(ACK);
    for (const each of [first, ...others]) assert.equal((await each).status, 200);
    const failing = publish();
    await callArrived(5);
    waiting[4].reject(new EveryonceError('unavailable', 'the disk is full', { retryAfterMs: 2500 }));
    const failed = await failing;
    assert.deepEqual([failed.status, failed.headers.get('retry-after')], [503, '3']);
    const again = publish();
    await callArrived(6);
    waiting[5].resolve(ACK);
    assert.equal((await again).status, 200);
  });

  const statuses = [
    ['bad_request', 400],
    ['forbidden', 403],
    ['unknown_conv', 404],
    ['exists', 409],
    ['too_large', 413],
    ['conflict', 422],
    ['rate_limited', 429],
    ['unavailable', 503],
    ['CLOSED', 503, 'unavailable'],
  ];
  for (const [code, status, shown = code] of statuses) {
    it(`${status} for ${code}`, async () => {
      await start();
      const asked = publish();
      await callArrived(1);
      waiting[0].reject(new EveryonceError(code));
      const response = await asked;
      assert.deepEqual([response.status, (await response.json()).error.code], [status, shown]);
    });
  }

  it('hands the body on as it came', async () => {
    await start();
    const asked = publish({ type: 'note' });
    await callArrived(1);
    const { user, packet, how } = waiting[0];
    assert.deepEqual([user, packet.type, packet.id, packet.body, how.bodyJson], ['a', 'note', 'order-0001', undefined, '1']); // prettier-ignore
    waiting[0].resolve(ACK);
    assert.deepEqual(await (await asked).json(), { seq: 1, epoch: 2, mid: '3', at: 4, dup: false });
  });

  it('asks the hook with the bearer, as no device; what is no user is its fault', async () => {
    const asked = [];
    await start({
      insecure: undefined,
      authenticate: ({ request, token, device }) => {
        asked.push([request.headers['x-tenant'], token, device]);
        return { user: token === 'bad' ? 'not a user' : 'a' };
      },
    });
    assert.equal((await publish({ from: 'b' }, { authorization: 'Bearer jwt', 'x-tenant': 'acme' })).status, 403);
    assert.deepEqual(asked, [['acme', 'jwt', 'server']]);
    assert.equal((await publish({}, { authorization: 'Bearer bad' })).status, 401);
    assert.deepEqual([faults.length, faults[0].code], [1, 'BAD_USER']);
    const cookie = await publish({}, { authorization: '', cookie: 'session=1' });
    assert.equal(cookie.status, 401, 'a cookie alone is not enough: any page can send it');
    assert.equal(asked.length, 2);
  });

  it('without a service key nobody is the service', async () => {
    await start({ serviceKey: undefined });
    assert.equal((await publish({ from: 'b' }, { authorization: 'Bearer a' })).status, 403);
    assert.equal((await publish({ from: 'b' }, { authorization: 'Bearer undefined' })).status, 403);
  });

  it('refuses who comes by another name, where only this machine may', async () => {
    await start();
    const socket = connect(http.port, '127.0.0.1');
    socket.end(`POST /publish HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`); // prettier-ignore
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 403 /);
  });

  it('a body that ends early is nobody to answer, and the server lives', async () => {
    await start();
    const socket = connect(http.port, '127.0.0.1');
    const arrival = once(http, 'request');
    socket.write(`POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${KEY}\r\nIdempotency-Key: order-0001\r\nContent-Length: 99\r\n\r\n{`); // prettier-ignore
    const [request] = await arrival;
    socket.destroy();
    await new Promise((resolve) => request.on('close', resolve));
    const asked = publish();
    await callArrived(1);
    waiting[0].resolve(ACK);
    assert.equal((await asked).status, 200);
  });

  it('keys that are ids stay what they are', () => {
    assert.equal(idOf('order-0001'), 'order-0001');
    assert.match(idOf('short'), /^[A-Za-z0-9_-]{43}$/);
    for (const key of [undefined, '', ['a', 'b']]) assert.throws(() => idOf(key), { status: 400 });
  });
});
