import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CODES,
  EveryonceError,
  badKeyOfServerPacket,
  decodeFrame,
  describeCode,
  dmConversation,
  dmMembers,
  encodePacket,
  encodeSend,
  errorOf,
  isConversation,
  isDevice,
  isMessageId,
  isType,
  isUser,
  joinFrame,
  utf8Bytes,
} from '../../../lib/protocol/index.js';

describe('protocol: identifiers', () => {
  it('accepts what the protocol allows and nothing else', () => {
    for (const good of ['a', 'alice.b@example-1_x', 'x'.repeat(64)]) assert.ok(isUser(good), good);
    for (const bad of ['', 'x'.repeat(65), 'a:b', 'a b', 'é', 'system', 'a\n', 7, null])
      assert.ok(!isUser(bad), `${bad}`);
    for (const bad of ['server', 'system', 'a.b', '']) assert.ok(!isDevice(bad), bad);
    assert.ok(isMessageId('12345678'));
    assert.ok(!isMessageId('1234567'));
    assert.ok(isType('text') && isType('app.v1-x') && !isType('system.gone') && !isType('system') && !isType('Text'));
  });

  it('names a dm by its two users in byte order', () => {
    assert.equal(dmConversation('bob', 'Zoe'), 'dm:Zoe:bob');
    assert.deepEqual(dmMembers('dm:Zoe:bob'), ['Zoe', 'bob']);
    for (const bad of ['dm:bob:Zoe', 'dm:a:a', 'dm:a', 'dm:a:b:c', 'g:', 'g:a:b', 'x:a', 'dm::a', 'dm:system:z']) {
      assert.ok(!isConversation(bad), bad);
    }
    assert.ok(isConversation('g:team') && isConversation('dm:a:b'));
    assert.throws(() => dmConversation('a', 'a'), { code: 'INVALID_ARGUMENT', field: 'b' });
  });
});

describe('protocol: errors', () => {
  it('gives every code a sentence, and knows which may be tried again', () => {
    for (const [code, { sentence }] of Object.entries(CODES)) assert.match(sentence, /\.$/, code);
    const error = new EveryonceError('unavailable', undefined, { conv: 'g:a' });
    assert.ok(error.retryable && error.conv === 'g:a' && error.message.length > 10);
    assert.equal(describeCode('from_the_future').retryable, false);
    assert.equal(describeCode('toString').retryable, false, 'a code is never looked up on the prototype');
  });

  it('takes a nack over, with the time to wait', () => {
    const error = errorOf({ t: 'nack', code: 'rate_limited', message: 'slow down', retry: 40 }, { id: 'x' });
    assert.deepEqual(
      [error.code, error.message, error.id, /** @type {any} */ (error).retryAfterMs],
      ['rate_limited', 'slow down', 'x', 40],
    );
  });
});

describe('protocol: frames', () => {
  it('keeps a body byte for byte over encode, join and decode', () => {
    fc.assert(
      fc.property(fc.array(fc.json(), { minLength: 1, maxLength: 4 }), (bodies) => {
        const texts = bodies.map((bodyText, i) => encodeSend({ conv: 'g:a', id: `id-${i}-12345`, n: i + 1, bodyText }));
        for (const [i, text] of texts.entries()) assert.ok(text.endsWith(`,"body":${bodies[i]}}`));
        const packets = decodeFrame(joinFrame(texts));
        assert.deepEqual(
          packets.map((packet) => packet.body),
          bodies.map((body) => JSON.parse(body)),
        );
      }),
    );
  });

  it('refuses what is no packet', () => {
    for (const bad of ['', '{', '1', 'null', '"x"', '[1]', '[[]]', '{}', '{"t":1}', '[{"t":"a"},null]']) {
      assert.throws(() => decodeFrame(bad), { code: 'bad_request' }, bad);
    }
    assert.deepEqual(decodeFrame('[]'), []);
  });

  it('counts UTF-8 bytes like an encoder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        for (const text of [a, b, `${b}\ud800`, `\udc00${a}`]) {
          assert.equal(utf8Bytes(text), new TextEncoder().encode(text).length);
        }
      }),
    );
  });

  it('names the key that makes a server packet unusable', () => {
    const head = { t: 'head', conv: 'g:a', epoch: 1, head: 2, got: 1 };
    assert.equal(badKeyOfServerPacket(head), null);
    assert.equal(badKeyOfServerPacket({ ...head, got: -1 }), 'got');
    assert.equal(badKeyOfServerPacket({ ...head, epoch: '1' }), 'epoch');
    assert.equal(badKeyOfServerPacket({ t: 'toString' }), 't');
    assert.equal(badKeyOfServerPacket(JSON.parse(encodePacket({ t: 'msg', conv: 'g:a' }))), 'epoch');
  });
});
