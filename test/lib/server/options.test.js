import assert from 'node:assert/strict';
import { EveryonceError } from '../../../lib/protocol/errors.js';
import { LIMITS } from '../../../lib/server/defaults.js';
import { readOptions } from '../../../lib/server/options.js';

const insecure = true;

const refuses = (options, code, option, says = /./) =>
  assert.throws(
    () => readOptions(options),
    (error) => {
      assert.ok(error instanceof EveryonceError, String(error));
      assert.deepEqual([error.code, error.option], [code, option]);
      assert.match(error.message, says);
      return true;
    },
  );

describe('options', () => {
  it('has a default for everything but who is it', () => {
    const settings = readOptions({ insecure });
    assert.equal(settings.data, './data');
    assert.equal(settings.fsync, true);
    assert.equal(settings.dedupWindowMs, 86_400_000);
    assert.equal(settings.origins, null);
    assert.equal(settings.loopbackOnly, true);
    assert.match(settings.node, /^[0-9a-f]{8}$/);
    for (const [name, { value }] of Object.entries(LIMITS)) assert.equal(settings.limits[name], value, name);
    settings.logger.error({}, 'nothing is written');
  });

  it('takes a store in memory by both names', () => {
    assert.equal(readOptions({ insecure, memory: true }).data, null);
    assert.equal(readOptions({ insecure, data: null }).data, null);
    refuses({ insecure, memory: true, data: './x' }, 'BAD_OPTION', 'data');
  });

  it('keeps options that are given as undefined at their defaults', () => {
    const settings = readOptions({ insecure, data: undefined, redis: undefined, limits: { rate: undefined } });
    assert.equal(settings.limits.rate, 100);
  });

  it('reads what is on Redis, and what it leaves to it', () => {
    assert.equal(readOptions({ insecure }).redis, null);
    const { data, redis } = readOptions({
      insecure,
      redis: 'redis://cache',
      durability: { replicas: 2, timeoutMs: 50 },
    });
    assert.equal(data, null);
    assert.deepEqual(redis, { nodes: ['redis://cache'], cluster: false, replicas: 2, replicaTimeoutMs: 50 });
    const nodes = ['redis://one:7000', 'redis://two:7001'];
    assert.deepEqual(readOptions({ insecure, redis: { nodes } }).redis, {
      nodes,
      cluster: undefined,
      replicas: 0,
      replicaTimeoutMs: 1000,
    });
    refuses({ insecure, redis: 'http://cache' }, 'BAD_OPTION', 'redis');
    refuses({ insecure, redis: 'redis://cache', data: './data' }, 'BAD_OPTION', 'data');
    refuses({ insecure, durability: { replicas: 1 } }, 'BAD_OPTION', 'durability.replicas');
  });

  it('reads what is removed', () => {
    assert.equal(readOptions({ insecure }).retention, null);
    assert.equal(readOptions({ insecure, retention: {} }).retention, null);
    assert.deepEqual(readOptions({ insecure, retention: { days: 0.5 } }).retention, {
      maxAgeMs: 43_200_000,
      messages: 0,
      untilAcked: false,
      everyMs: 60_000,
    });
    assert.deepEqual(
      readOptions({ insecure, retention: { messages: 1e6, untilAcked: true, everyMs: 100 } }).retention,
      {
        maxAgeMs: 0,
        messages: 1e6,
        untilAcked: true,
        everyMs: 100,
      },
    );
    refuses({ insecure, retention: { everyMs: 1000 } }, 'BAD_OPTION', 'retention', /a rule/);
    refuses({ insecure, retention: { untilAcked: false } }, 'BAD_OPTION', 'retention', /a rule/);
  });

  it('refuses what does not exist, at both levels', () => {
    refuses({ insecure, dta: './x' }, 'BAD_OPTION', 'dta', /no such option/);
    refuses({ insecure, limits: { farme: 1 } }, 'BAD_OPTION', 'limits.farme', /frame/);
    refuses({ insecure, durability: { sync: true } }, 'BAD_OPTION', 'durability.sync');
    refuses([], 'BAD_OPTION', 'options');
  });

  const wrong = [
    ['retention', 30],
    ['retention', { weeks: 1 }, 'retention.weeks'],
    ['retention', { days: 0 }, 'retention.days'],
    ['retention', { days: '30' }, 'retention.days'],
    ['retention', { days: NaN }, 'retention.days'],
    ['retention', { messages: 0 }, 'retention.messages'],
    ['retention', { messages: 1.5 }, 'retention.messages'],
    ['retention', { untilAcked: 'yes' }, 'retention.untilAcked'],
    ['retention', { days: 1, everyMs: 99 }, 'retention.everyMs'],
    ['data', 5],
    ['data', ''],
    ['data', 'a\0b'],
    ['memory', 'yes'],
    ['durability', 'disk'],
    ['node', 'a b'],
    ['limits', 5],
    ['dedup', []],
    ['origins', 'https://example.com'],
    ['origins', ['example.com']],
    ['origins', ['https://example.com/']],
    ['origins', ['*']],
    ['logger', 5],
  ];
  for (const [option, value, named = option] of wrong) {
    it(`refuses ${option}: ${JSON.stringify(value)}`, () =>
      refuses({ insecure, [option]: value }, 'BAD_OPTION', named));
  }

  it('refuses wrong values inside groups, and says what it wants', () => {
    refuses({ insecure, durability: { fsync: 1 } }, 'BAD_OPTION', 'durability.fsync', /true or false, not 1/);
    refuses({ insecure, dedup: { windowMs: 5 } }, 'BAD_OPTION', 'dedup.windowMs');
    refuses({ insecure, dedup: { tokens: 'on' } }, 'BAD_OPTION', 'dedup.tokens');
    refuses({ insecure, dedup: { tokenTtlMs: 999 } }, 'BAD_OPTION', 'dedup.tokenTtlMs');
    refuses({ insecure, dedup: { tokenKey: 'x'.repeat(31) } }, 'BAD_OPTION', 'dedup.tokenKey');
    refuses({ insecure, logger: { warn: 1 } }, 'BAD_OPTION', 'logger.warn');
    for (const [name, { min, max }] of Object.entries(LIMITS)) {
      for (const value of [min - 1, max + 1, min + 0.5, String(min), NaN]) {
        refuses(
          { insecure, limits: { [name]: value } },
          'BAD_OPTION',
          `limits.${name}`,
          new RegExp(`${min} to ${max}`),
        );
      }
    }
    refuses({ insecure, limits: { body: 2048, frame: 2048 } }, 'BAD_OPTION', 'limits.body');
  });

  it('wants exactly one way to know who it is', () => {
    const secret = 's'.repeat(32);
    refuses({}, 'BAD_OPTION', 'authenticate', /exactly one/);
    refuses({ insecure: false }, 'BAD_OPTION', 'authenticate');
    refuses({ insecure, jwtSecret: secret }, 'BAD_OPTION', 'authenticate');
    refuses({ authenticate: 'alice' }, 'BAD_OPTION', 'authenticate');
    refuses({ jwks: 'file:///etc/passwd' }, 'BAD_OPTION', 'jwks');
    assert.equal(readOptions({ jwtSecret: secret, insecure: false }).loopbackOnly, false);
    assert.equal(readOptions({ jwks: 'https://example.com/keys' }).loopbackOnly, false);
    const authenticate = () => null;
    assert.equal(readOptions({ authenticate }).authenticate, authenticate);
  });

  it('refuses a short secret without saying it', () => {
    refuses({ jwtSecret: 'hunter2' }, 'BAD_OPTION', 'jwtSecret', /^(?!.*hunter2).*32 bytes/);
  });
});
