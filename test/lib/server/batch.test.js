import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dispatch } from '../../../lib/server/batch.js';
import { Kind } from '../../../lib/server/native.js';

describe('batch', () => {
  it('takes records apart in order, and steps over kinds that it does not know', () => {
    const bytes = Buffer.from('frames{"t":"ack","é":1}');
    const told = [];
    const receiver = new Proxy({}, { get: (_, name) => (...args) => told.push([name, ...args.map((arg) => (Buffer.isBuffer(arg) ? String(arg) : arg))]) }); // prettier-ignore
    const quads = [
      [Kind.WRITE, 7, 0, 6],
      [Kind.CLOSE, 8, 4409, 0],
      [99, 1, 2, 3],
      [Kind.ANSWER, 4_294_967_295, 6, bytes.length - 6],
      [Kind.DRAIN, 0, 0, 0],
      [Kind.STOPPED, 0, 0, 0],
    ];
    dispatch(bytes, Uint32Array.from(quads.flat()), receiver);
    assert.deepEqual(told, [
      ['write', 7, 'frames'],
      ['close', 8, 4409],
      ['answer', 4_294_967_295, { t: 'ack', é: 1 }],
      ['drained'],
      ['stopped'],
    ]);
  });

  it('parses no message event that nobody wants', () => {
    const events = [{ event: 'message', message: { t: 'msg' } }, { event: 'connect', user: 'a' }, { event: 'm' }];
    for (const wanted of [true, false]) {
      const told = [];
      const texts = events.map((event) => JSON.stringify(event));
      let offset = 0;
      const quads = texts.map((text) => [Kind.EVENT, 0, (offset += text.length) - text.length, text.length]);
      const receiver = { wantsMessages: () => wanted, event: (event) => told.push(event) };
      dispatch(Buffer.from(texts.join('')), Uint32Array.from(quads.flat()), receiver);
      assert.deepEqual(told, wanted ? events : events.slice(1));
    }
  });

  it('has the kinds of the engine', () => {
    const header = readFileSync(new URL('../../../src/engine/output.h', import.meta.url), 'utf8');
    const native = [...header.matchAll(/^ {2}k(\w+) = (\d+)/gm)].map(([, name, value]) => [name.toUpperCase(), +value]);
    assert.deepEqual(Object.entries(Kind), native);
  });
});
