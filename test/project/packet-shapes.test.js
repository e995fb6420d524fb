// test/vectors/packet-shapes.json, docs/protocol.md and lib/protocol say the same of a client's packets.
import assert from 'node:assert/strict';
import { CLIENT_PACKETS, LIMITS } from '../../lib/protocol/constants.js';
import * as identifiers from '../../lib/protocol/identifiers.js';
import { decodeFrame, encodeSend } from '../../lib/protocol/packets.js';
import { readText } from '../../scripts/lib/files.mjs';

const { formats, packets } = JSON.parse(readText('test/vectors/packet-shapes.json') ?? '');

/** The packets written in docs/protocol.md, in order: [type, keys]. A client's stands before the server's answer to it. */
const written = [...(readText('docs/protocol.md') ?? '').matchAll(/\{"t":"(\w+)"(.*?)\}`/g)].map(([, t, rest]) => ({
  t,
  // A key stands behind a comma; values that are written as alternatives ("oldest"\|"newest") do not.
  keys: [...rest.replace(/\{[^}]*\}/g, '').matchAll(/,"(\w+)"/g)].map(([, key]) => key),
}));

describe('the description of the packets', () => {
  it('has every packet of a client, and no other', () => {
    assert.deepEqual(Object.keys(packets).sort(), [...CLIENT_PACKETS].sort());
  });

  for (const [t, { keys, examples, also = [] }] of Object.entries(packets)) {
    it(`${t}: its keys are those of docs/protocol.md`, () => {
      const mine = written.filter((packet) => packet.t === t);
      assert.ok(mine.length > 0, 'it is not in the page');
      const all = new Set(mine.flatMap((packet) => packet.keys));
      // The one key that the page explains by itself.
      if (readText('docs/protocol.md')?.includes('"pkg":{"id":P,"i":0..total-1,"total":N}') && t === 'send')
        all.add('pkg');
      for (const key of Object.keys(keys)) assert.ok(all.has(key), `docs/protocol.md has no "${key}" in ${t}`);
      for (const key of mine[0].keys) assert.ok(Object.hasOwn(keys, key), `the description has no "${key}"`);
    });

    it(`${t}: its examples are packets, and use its keys alone`, () => {
      for (const example of examples) {
        assert.equal(decodeFrame(JSON.stringify(example))[0].t, t);
        for (const key of Object.keys(example)) assert.ok(key === 't' || Object.hasOwn(keys, key), key);
      }
      for (const { names, set } of also)
        assert.ok([names, ...Object.keys(set)].every((key) => Object.hasOwn(keys, key)));
    });
  }

  it('bounds are those of lib/protocol', () => {
    assert.equal(packets.hello.keys.at.most, LIMITS.positions);
    assert.equal(packets.resume.keys.at.most, LIMITS.positions);
    assert.equal(packets.status.keys.ids.most, LIMITS.statusIds);
    for (const t of ['create', 'add', 'remove']) assert.equal(packets[t].keys.members.most, LIMITS.members);
    assert.equal(packets.send.keys.pkg.keys.total.max, LIMITS.packageParts);
    assert.equal(packets.send.keys.body.deepest, LIMITS.bodyDepth);
    assert.equal(formats.rid.longest[2], LIMITS.ridCharacters);
    assert.equal(formats.next.longest[2], LIMITS.nextBytes);
  });

  it('names have the grammar of lib/protocol', () => {
    const checks = {
      conversation: identifiers.isConversation,
      group: identifiers.isGroup,
      messageId: identifiers.isMessageId,
      device: identifiers.isDevice,
      user: identifiers.isUser,
      messageType: identifiers.isType,
    };
    for (const [name, accepts] of Object.entries(checks)) {
      const { pattern, longest, wrong } = formats[name];
      const [prefix, letter, length] = longest;
      for (const text of [prefix + letter.repeat(length), prefix + letter]) {
        // The shortest of an id has eight.
        assert.equal(accepts(text), new RegExp(pattern).test(text), `${name} ${text}`);
      }
      assert.ok(accepts(prefix + letter.repeat(length)), name);
      for (const text of [...wrong, prefix + letter.repeat(length + 1)]) assert.ok(!accepts(text), `${name} ${text}`);
    }
  });

  it('what a client writes as a send has its keys alone', () => {
    const pkg = { id: 'p', i: 0, total: 1 };
    const [send] = decodeFrame(encodeSend({ conv: 'g:a', id: '12345678', n: 1, type: 'x', bodyText: '1', pkg }));
    for (const key of Object.keys(send)) assert.ok(key === 't' || Object.hasOwn(packets.send.keys, key), key);
    for (const key of Object.keys(send.pkg)) assert.ok(Object.hasOwn(packets.send.keys.pkg.keys, key), key);
  });
});
