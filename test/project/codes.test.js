// What stands in both languages is the same in both: codes and limits. The C++ side is read as text.
import assert from 'node:assert/strict';
import * as codes from '../../lib/protocol/codes.js';
import { DEFAULT_LIMITS, LIMITS, PROTOCOL_VERSION } from '../../lib/protocol/constants.js';
import { listFiles, readText } from '../../scripts/lib/files.mjs';

/** Answered over HTTP, and by close code 4401 on a WebSocket: the engine never says it. */
const onlyInJavaScript = ['unauthenticated'];

/** @returns {string[]} the names that CodeName() can return */
function nativeCodes() {
  const body = /CodeName\(Code code\) \{([\s\S]*?)\n\}/.exec(readText('src/core/status.cc') ?? '')?.[1] ?? '';
  return [...body.matchAll(/case Code::k\w+:\s*return "(\w+)";/g)].map((match) => match[1]);
}

/** @param {string} name of a constant in limits.h @returns {number} */
function nativeLimit(name) {
  const value = new RegExp(`\\b${name} = ([^;]+);`).exec(readText('src/core/limits.h') ?? '')?.[1] ?? '';
  const [, base, shift] = /^(\d+)(?: << (\d+))?$/.exec(value) ?? [];
  assert.ok(base, `src/core/limits.h: ${name} is not a plain number: "${value}"`);
  return Number(base) * 2 ** Number(shift ?? 0);
}

describe('both languages agree', () => {
  it('on the number of codes: CodeName names every enumerator', () => {
    const body = /enum class Code[^{]*\{([\s\S]*?)\};/.exec(readText('src/core/status.h') ?? '')?.[1] ?? '';
    const enumerators = body.replace(/\/\/.*$/gm, '').match(/\bk\w+/g) ?? [];
    assert.ok(enumerators.length > 10);
    assert.equal(nativeCodes().length, enumerators.length);
  });

  it('on the codes that go over the wire', () => {
    const native = nativeCodes().filter((code) => code !== 'ok' && code === code.toLowerCase());
    assert.deepEqual([...native, ...onlyInJavaScript].sort(), Object.keys(codes.WIRE_CODES).sort());
  });

  it('on the codes that the addon throws: each is in the table of JavaScript', () => {
    const thrown = nativeCodes().filter((code) => code !== code.toLowerCase());
    assert.deepEqual(
      thrown.filter((code) => !Object.hasOwn(codes.CODES, code)),
      [],
    );
  });

  it('on the codes of the client of Redis', () => {
    const names = [...(readText('src/redis/redis_error.cc') ?? '').matchAll(/return "([A-Z_]+)";/g)].map(
      ([, name]) => name,
    );
    assert.ok(names.length > 8);
    assert.deepEqual(
      names.filter((code) => !Object.hasOwn(codes.SERVER_CODES, code) && !Object.hasOwn(codes.CLIENT_CODES, code)),
      [],
    );
  });

  it('and every code that lib raises is in the table', () => {
    for (const file of listFiles('lib', (name) => name.endsWith('.js'))) {
      for (const [, code] of (readText(file) ?? '').matchAll(/new EveryonceError\(\s*'(\w+)'/g)) {
        assert.ok(Object.hasOwn(codes.CODES, code), `${file}: ${code}`);
      }
    }
  });

  it('on the limits of the protocol', () => {
    const pairs = {
      kProducerWindow: LIMITS.sendSpan,
      kMaxPositionsPerPacket: LIMITS.positions,
      kMaxStatusIds: LIMITS.statusIds,
      kMaxMembersPerPacket: LIMITS.members,
      kMaxPackageParts: LIMITS.packageParts,
      kMaxBodyDepth: LIMITS.bodyDepth,
      kMaxRidBytes: LIMITS.ridCharacters,
      kMaxNextBytes: LIMITS.nextBytes,
      frame_bytes: DEFAULT_LIMITS.frame,
      body_bytes: DEFAULT_LIMITS.body,
      window: DEFAULT_LIMITS.window,
      page: DEFAULT_LIMITS.page,
      rate: DEFAULT_LIMITS.rate,
    };
    for (const [name, value] of Object.entries(pairs)) assert.equal(nativeLimit(name), value, name);
    assert.equal(PROTOCOL_VERSION, 1);
  });
});
