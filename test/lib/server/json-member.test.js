import assert from 'node:assert/strict';
import fc from 'fast-check';
import { memberText } from '../../../lib/server/json-member.js';

describe('memberText', () => {
  it('is the text as it was sent', () => {
    const cases = [
      ['{"body":1}', '1'],
      [' {\n"a" : [1,{"body":2}] ,\t"body" : 12345678901234567890.10 , "z":"}" } ', '12345678901234567890.10'],
      ['{"body":{"a":"\\"}]","b":[1, 2]},"x":0}', '{"a":"\\"}]","b":[1, 2]}'],
      ['{"body":"\\ud800\\\\"}', '"\\ud800\\\\"'],
      ['{"body":1,"body":null}', 'null'],
      ['{"b\\u006fdy":true}', 'true'],
      ['{"x":"\\"body\\":5","body":[]}', '[]'],
      ['{"x":{"body":5}}', undefined],
      ['{}', undefined],
      [' { } ', undefined],
    ];
    for (const [text, member] of cases) {
      JSON.parse(text);
      assert.equal(memberText(text, 'body'), member, text);
    }
  });

  it('parses to what the whole parses to, however it is spaced', () => {
    const object = fc.dictionary(fc.oneof(fc.string(), fc.constant('body')), fc.jsonValue(), { maxKeys: 6 });
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        const parsed = JSON.parse(text);
        for (const name of ['body', ...Object.keys(parsed)]) {
          const member = memberText(text, name);
          if (!Object.hasOwn(parsed, name)) assert.equal(member, undefined);
          else assert.deepEqual(JSON.parse(String(member)), parsed[name]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
