// The law of the claim machine (lib/idempotency/claims/interface.js), run on every implementation.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

/**
 * @typedef {object} Harness
 * @property {import('../../lib/idempotency/claims/interface.js').Claims} claims
 * @property {(key: string) => unknown} lapse makes the lease of a key have run out
 * @property {(key: string) => unknown} expire makes the record of a key have expired
 * @property {() => unknown} close
 */

/** @param {string} title @param {() => Promise<Harness>} open @param {number} [startMs] */
export function claimConformance(title, open, startMs = 10_000) {
  describe(`the claim machine: ${title}`, () => {
    /** @type {Harness} */
    let harness;
    let claims;
    let key;
    before(async function () {
      this.timeout(startMs);
      harness = await open();
      claims = harness.claims;
    });
    after(() => harness.close());
    beforeEach(() => (key = `key-${randomUUID()}`));

    const leaseMs = 60_000;
    const keepMs = 600_000;
    const claim = (owner, over = {}) => claims.claim({ key, owner, leaseMs, keepMs, ...over });
    const states = (answers) => answers.map(({ state }) => state);

    it('gives a new key to one owner, and says BUSY to others and HELD to the same', async () => {
      const first = await claim('a');
      assert.deepEqual([first.state, first.attempt], ['ACQUIRED', 1]);
      assert.ok(Number.isSafeInteger(first.fence) && first.fence > 0);
      const busy = await claim('b');
      assert.equal(busy.state, 'BUSY');
      assert.ok(busy.retryAfterMs > 0 && busy.retryAfterMs <= leaseMs, `retryAfterMs ${busy.retryAfterMs}`);
      const held = await claim('a');
      assert.deepEqual([held.state, held.fence, held.attempt], ['HELD', first.fence, 1]);
    });

    it('gives it to one of 50 that ask at once', async () => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => claim(`owner-${n}`)));
      const count = (state) => states(answers).filter((one) => one === state).length;
      assert.deepEqual([count('ACQUIRED'), count('BUSY')], [1, 49]);
    });

    it('keeps a result, for the same commit again and for every later claim', async () => {
      const { fence } = await claim('a');
      const commit = (over) => claims.commit({ key, owner: 'a', fence, result: '{"n":1}', keepMs, ...over });
      assert.equal((await commit()).state, 'COMMITTED');
      const again = await commit({ result: '{"n":2}' });
      assert.deepEqual([again.state, again.result], ['ALREADY', '{"n":1}']);
      const done = await claim('b');
      assert.deepEqual([done.state, done.fence, done.result], ['DONE', fence, '{"n":1}']);
      assert.equal((await claim('a')).state, 'DONE');
    });

    it('keeps that there was no result', async () => {
      const { fence } = await claim('a');
      await claims.commit({ key, owner: 'a', fence, result: undefined, keepMs });
      const done = await claim('b');
      assert.deepEqual([done.state, done.result], ['DONE', undefined]);
    });

    it('lets a lapsed lease be taken over with a higher fence, and fences the one before off', async () => {
      const first = await claim('a');
      await harness.lapse(key);
      const second = await claim('b');
      assert.deepEqual([second.state, second.attempt], ['TAKEOVER', 2]);
      assert.ok(second.fence > first.fence);
      const late = { key, owner: 'a', fence: first.fence };
      assert.equal((await claims.renew({ ...late, leaseMs })).state, 'FENCED');
      assert.equal((await claims.release({ ...late, mode: 'retry' })).state, 'FENCED');
      const refused = await claims.commit({ ...late, result: '"late"', keepMs });
      assert.deepEqual([refused.state, refused.fence], ['FENCED', second.fence]);
      await claims.commit({ key, owner: 'b', fence: second.fence, result: '"b"', keepMs });
      assert.equal((await claims.commit({ ...late, result: '"late"', keepMs })).state, 'FENCED');
      assert.equal((await claim('c')).result, '"b"');
    });

    it('lets who is late renew and commit as long as nobody has taken over', async () => {
      const { fence } = await claim('a');
      await harness.lapse(key);
      assert.equal((await claims.renew({ key, owner: 'a', fence, leaseMs })).state, 'RENEWED');
      assert.equal((await claim('b')).state, 'BUSY');
      await harness.lapse(key);
      assert.equal((await claims.commit({ key, owner: 'a', fence, result: '1', keepMs })).state, 'COMMITTED');
    });

    it('gives a lapsed lease to one of many', async () => {
      await claim('a');
      await harness.lapse(key);
      const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => claim(`owner-${n}`)));
      assert.equal(states(answers).filter((state) => state === 'TAKEOVER').length, 1);
      assert.equal(states(answers).filter((state) => state === 'BUSY').length, 29);
    });

    it('frees a key for the next attempt, and counts attempts', async () => {
      for (const attempt of [1, 2]) {
        const taken = await claim(`o${attempt}`, { maxAttempts: 2 });
        assert.deepEqual([taken.state, taken.attempt], ['ACQUIRED', attempt]);
        const released = { key, owner: `o${attempt}`, fence: taken.fence, mode: 'retry', keepMs };
        assert.equal((await claims.release(released)).state, 'RELEASED');
        assert.equal((await claims.release(released)).state, 'FENCED');
      }
      assert.equal((await claim('x', { maxAttempts: 2 })).state, 'EXHAUSTED');
      const later = await claim('y', { maxAttempts: 2 });
      assert.deepEqual([later.state, later.reason], ['FAILED', 'exhausted']);
    });

    it('says EXHAUSTED where the last attempt died', async () => {
      await claim('a', { maxAttempts: 1 });
      await harness.lapse(key);
      assert.equal((await claim('b', { maxAttempts: 1 })).state, 'EXHAUSTED');
    });

    it('keeps a failure for good, with its reason', async () => {
      const { fence } = await claim('a');
      await claims.release({ key, owner: 'a', fence, mode: 'fail', reason: 'no such account', keepMs });
      const failed = await claim('b');
      assert.deepEqual([failed.state, failed.reason], ['FAILED', 'no such account']);
      assert.equal((await claims.commit({ key, owner: 'a', fence, result: '1', keepMs })).state, 'FENCED');
    });

    it('refuses another fingerprint in every state', async () => {
      const { fence } = await claim('a', { fingerprint: 'one' });
      const other = () => claim('b', { fingerprint: 'two' });
      assert.equal((await other()).state, 'MISMATCH');
      await harness.lapse(key);
      assert.equal((await other()).state, 'MISMATCH');
      await claims.commit({ key, owner: 'a', fence, result: '1', keepMs });
      assert.equal((await other()).state, 'MISMATCH');
      assert.equal((await claim('b', { fingerprint: 'one' })).state, 'DONE');
    });

    it('forgets what has expired, and its next fence is higher still', async () => {
      const { fence } = await claim('a', { fingerprint: 'one' });
      await claims.commit({ key, owner: 'a', fence, result: '1', keepMs });
      await harness.expire(key);
      assert.equal((await claims.commit({ key, owner: 'a', fence, result: '1', keepMs })).state, 'GONE');
      assert.equal((await claims.renew({ key, owner: 'a', fence, leaseMs })).state, 'GONE');
      assert.equal((await claims.release({ key, owner: 'a', fence, mode: 'retry' })).state, 'GONE');
      const next = await claim('b', { fingerprint: 'two' });
      assert.deepEqual([next.state, next.attempt], ['ACQUIRED', 1]);
      assert.ok(next.fence > fence);
    });

    it('with requireIssued takes what was issued, and nothing else', async () => {
      assert.equal((await claim('a', { requireIssued: true })).state, 'UNKNOWN');
      await claims.issue({ keys: [key], ttlMs: 60_000, owner: 'alice' });
      const taken = await claim('a', { requireIssued: true });
      assert.deepEqual([taken.state, taken.attempt], ['ACQUIRED', 1]);
      await claims.issue({ keys: [key], ttlMs: 60_000, owner: 'alice' });
      assert.equal((await claim('b', { requireIssued: true })).state, 'BUSY', 'issuing again does not free it');
      await claims.commit({ key, owner: 'a', fence: taken.fence, result: '1', keepMs });
      assert.equal((await claim('b', { requireIssued: true })).state, 'DONE');
    });

    it('forgets issued keys that nobody used', async () => {
      await claims.issue({ keys: [key], ttlMs: 60_000 });
      await harness.expire(key);
      assert.equal((await claim('a', { requireIssued: true })).state, 'UNKNOWN');
    });

    it('takes keys and owners as they are', async () => {
      for (const odd of [`'; DROP TABLE x; --`, 'a b', 'é', 'É', '😀', '{tag}', '%s\n']) {
        const answer = await claims.claim({ key: `${key}${odd}`, owner: odd, leaseMs, keepMs });
        assert.equal(answer.state, 'ACQUIRED', odd);
      }
    });

    it('keeps one owner through random acts of several, as a naive model says', async () => {
      const seed = Number(process.env.EVERYONCE_SEED ?? Math.floor(Math.random() * 2 ** 31));
      const random = mulberry(seed);
      const model = { state: 'none', owner: '', fence: 0, result: undefined, lapsed: false };
      for (let step = 0; step < 150; step++) {
        const owner = `o${Math.floor(random() * 3)}`;
        const mine = model.state === 'C' && model.owner === owner;
        const told = `seed ${seed}, step ${step}, ${JSON.stringify(model)}`;
        const act = Math.floor(random() * 6);
        if (act < 2) {
          const { state, fence } = await claim(owner);
          if (model.state === 'D') assert.equal(state, 'DONE', told);
          else if (model.state === 'C' && !model.lapsed) assert.equal(state, mine ? 'HELD' : 'BUSY', told);
          else {
            assert.equal(state, model.state === 'C' ? 'TAKEOVER' : 'ACQUIRED', told);
            assert.ok(fence > model.fence, told);
            Object.assign(model, { state: 'C', owner, fence, lapsed: false });
          }
        } else if (act === 2 && model.state === 'C') {
          await harness.lapse(key);
          model.lapsed = true;
        } else if (act === 3 && model.state !== 'none') {
          const { state } = await claims.release({ key, owner, fence: model.fence, mode: 'retry', keepMs });
          assert.equal(state, mine ? 'RELEASED' : 'FENCED', told);
          if (mine) model.state = 'I';
        } else if (act === 4 && model.state !== 'none') {
          const { state } = await claims.renew({ key, owner, fence: model.fence, leaseMs });
          assert.equal(state, mine ? 'RENEWED' : 'FENCED', told);
          if (mine) model.lapsed = false;
        } else if (act === 5 && model.state !== 'none' && random() < 0.2) {
          const { state } = await claims.commit({ key, owner, fence: model.fence, result: `"${step}"`, keepMs });
          assert.equal(state, mine ? 'COMMITTED' : model.state === 'D' ? 'ALREADY' : 'FENCED', told);
          if (mine) model.state = 'D';
        }
      }
    });
  });
}

/** @param {number} seed */
export function mulberry(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
