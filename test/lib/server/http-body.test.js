import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { drop, readJson } from '../../../lib/server/http-body.js';

const bounds = { maxBytes: 20, timeoutMs: 1000 };

/** A request with these headers, whose body the test writes. */
const requestOf = (headers = {}) => Object.assign(new PassThrough(), { headers, complete: false });
const status = (promise) => promise.then(() => assert.fail('it was taken'), (error) => error.status); // prettier-ignore

describe('http body', () => {
  it('is an object, and its text', async () => {
    for (const type of [
      undefined,
      'application/json',
      'application/json; charset=utf-8',
      'application/cloudevents+json',
    ]) {
      const request = requestOf(type && { 'content-type': type });
      const read = readJson(request, bounds);
      request.write('{"a"');
      request.end(': "ü"}');
      assert.deepEqual(await read, { text: '{"a": "ü"}', value: { a: 'ü' } });
    }
  });

  it('has bounds: bytes said, bytes sent, and time', async () => {
    assert.equal(await status(readJson(requestOf({ 'content-length': '21' }), bounds)), 413);
    const long = requestOf();
    const read = readJson(long, bounds);
    long.write('x'.repeat(21));
    assert.equal(await status(read), 413);
    const slow = requestOf();
    slow.write('{');
    assert.equal(await status(readJson(slow, { ...bounds, timeoutMs: 10 })), 408);
    const exact = requestOf({ 'content-length': '20' });
    const whole = readJson(exact, bounds);
    exact.end('{"a":"0123456789ab"}');
    assert.equal((await whole).text.length, 20);
  });

  it('may end early', async () => {
    const request = requestOf();
    const read = readJson(request, bounds);
    request.destroy();
    assert.equal(await status(read), 400);
  });

  it('what is left after the answer is dropped, but not for ever', async () => {
    const request = requestOf();
    request.write('x');
    drop(request, 10);
    await new Promise((resolve) => request.on('close', resolve));
    assert.ok(request.destroyed);
    const done = Object.assign(requestOf(), { complete: true });
    drop(done, 1);
    assert.equal(done.listenerCount('close'), 0);
  });
});
