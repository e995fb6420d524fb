// What every store of claims must do (semantics a-2), row by row and under contention. A store's test file calls
// `claimConformance` with how to open one.
import assert from 'node:assert/strict';
import { chosenSeed } from '../../support/seed.js';

/**
 * @typedef {object} Opened
 * @property {any} claims the store: claim, renew, commit, release, issue, close
 * @property {(ms: number) => unknown} [advance] moves the store's clock on. Without it leases are real and short, and the
 *   suite waits as long as the store itself tells (BUSY's retryAfterMs)
 */

const LEASE_MS = 60_000;
const KEEP_MS = 600_000;
const SHORT_MS = 60;

/**
 * @param {string} name
 * @param {() => Promise<Opened> | Opened} open a new, empty store, or one whose keys nobody else uses
 */
export function claimConformance(name, open) {
  describe(`claims on ${name}`, () => {
    /** @type {any} */
    let claims;
    /** @type {((ms: number) => unknown) | undefined} */
    let advance;
    let key = '';
    let count = 0;

    before(async () => ({ claims, advance } = await open()));
    after(() => claims?.close());
    beforeEach(() => {
      count += 1;
      key = `conformance ${process.pid} ${Date.now()} ${count}`;
    });

    const claim = (owner, more = {}) => claims.claim({ key, owner, leaseMs: LEASE_MS, keepMs: KEEP_MS, ...more });
    const commit = (owner, fence, result = '"r"') => claims.commit({ key, owner, fence, result, keepMs: KEEP_MS });
    const release = (owner, fence, mode, more = {}) => claims.release({ key, owner, fence, mode, ...more });
    const renew = (owner, fence, leaseMs = LEASE_MS) => claims.renew({ key, owner, fence, leaseMs });

    /** Claims as soon as the lease of `leaseMs` before has run out, by the store's own word. */
    async function claimAfter(leaseMs, owner) {
      if (advance) await advance(leaseMs);
      for (;;) {
        const answer = await claim(owner);
        if (answer.state !== 'BUSY') return answer;
        assert.ok(!advance, 'the lease has run out');
        await new Promise((resolve) => setTimeout(resolve, answer.retryAfterMs));
      }
    }

    describe('claim', () => {
      it('ACQUIRED where there is none, with a fence and attempt 1', async () => {
        const answer = await claim('a');
        assert.equal(answer.state, 'ACQUIRED');
        assert.equal(answer.attempt, 1);
        assert.ok(Number.isSafeInteger(answer.fence) && answer.fence > 0);
      });

      it('UNKNOWN where it must have been issued and was not', async () => {
        assert.equal((await claim('a', { requireIssued: true })).state, 'UNKNOWN');
        assert.equal((await claim('a')).state, 'ACQUIRED');
      });

      it('ACQUIRED where it was issued; issuing again changes nothing', async () => {
        await claims.issue({ keys: [key], ttlMs: KEEP_MS, owner: 'alice' });
        await claims.issue({ keys: [key], ttlMs: KEEP_MS, owner: 'bob' });
        const { state, fence } = await claim('a', { requireIssued: true });
        assert.equal(state, 'ACQUIRED');
        await claims.issue({ keys: [key], ttlMs: KEEP_MS });
        assert.equal((await claim('b', { requireIssued: true })).state, 'BUSY');
        assert.equal((await commit('a', fence)).state, 'COMMITTED');
      });

      it('HELD for the same owner whose answer was lost, with the same fence', async () => {
        const { fence } = await claim('a');
        const again = await claim('a');
        assert.deepEqual([again.state, again.fence, again.attempt], ['HELD', fence, 1]);
      });

      it('BUSY for another owner, with what is left of the lease', async () => {
        await claim('a');
        const { state, retryAfterMs } = await claim('b');
        assert.equal(state, 'BUSY');
        assert.ok(retryAfterMs > 0 && retryAfterMs <= LEASE_MS, `${retryAfterMs}`);
      });

      it('TAKEOVER when the lease has run out, with a higher fence; the late owner is FENCED', async () => {
        const { fence } = await claim('a', { leaseMs: SHORT_MS });
        const taken = await claimAfter(SHORT_MS, 'b');
        assert.deepEqual([taken.state, taken.attempt], ['TAKEOVER', 2]);
        assert.ok(taken.fence > fence);
        const late = await commit('a', fence);
        assert.deepEqual([late.state, late.fence], ['FENCED', taken.fence]);
        assert.equal((await renew('a', fence)).state, 'FENCED');
        assert.equal((await release('a', fence, 'retry')).state, 'FENCED');
        assert.equal((await commit('b', taken.fence)).state, 'COMMITTED');
      });

      it('MISMATCH for another fingerprint, whatever became of the first', async () => {
        const { fence } = await claim('a', { fingerprint: 'x' });
        assert.equal((await claim('b', { fingerprint: 'y' })).state, 'MISMATCH');
        await commit('a', fence);
        assert.equal((await claim('b', { fingerprint: 'y' })).state, 'MISMATCH');
        assert.equal((await claim('b', { fingerprint: 'x' })).state, 'DONE');
      });

      it('DONE with the result, byte for byte; with none where there was none', async () => {
        const result = JSON.stringify({ text: 'é😀\u0000"\\', list: [1, null] });
        const { fence } = await claim('a');
        await commit('a', fence, result);
        const done = await claim('b');
        assert.deepEqual([done.state, done.result], ['DONE', result]);
        key += ' none';
        const other = await claim('a');
        await claims.commit({ key, owner: 'a', fence: other.fence, keepMs: KEEP_MS });
        assert.equal((await claim('b')).result, undefined);
      });

      it('EXHAUSTED when no attempt is left, FAILED from then on', async () => {
        for (let attempt = 1; attempt <= 3; attempt++) {
          const answer = await claim(`a${attempt}`, { maxAttempts: 3 });
          assert.deepEqual([answer.state, answer.attempt], ['ACQUIRED', attempt]);
          assert.equal((await release(`a${attempt}`, answer.fence, 'retry')).state, 'RELEASED');
        }
        assert.equal((await claim('b', { maxAttempts: 3 })).state, 'EXHAUSTED');
        const failed = await claim('b', { maxAttempts: 3 });
        assert.deepEqual([failed.state, failed.reason], ['FAILED', 'exhausted']);
      });

      it('one of a hundred that claim at once', async () => {
        const all = await Promise.all(Array.from({ length: 100 }, (_, i) => claim(`owner ${i}`)));
        const count = (/** @type {string} */ state) => all.filter((one) => one.state === state).length;
        assert.deepEqual([count('ACQUIRED'), count('BUSY')], [1, 99]);
      });
    });

    describe('renew, commit, release', () => {
      it('GONE where nothing is known', async () => {
        assert.equal((await renew('a', 1)).state, 'GONE');
        assert.equal((await commit('a', 1)).state, 'GONE');
        assert.equal((await release('a', 1, 'retry')).state, 'GONE');
      });

      it('RENEWED keeps the lease', async () => {
        const { fence } = await claim('a', { leaseMs: 1000 });
        assert.equal((await renew('a', fence, LEASE_MS)).state, 'RENEWED');
        const { state, retryAfterMs } = await claim('b');
        assert.equal(state, 'BUSY');
        assert.ok(retryAfterMs > 1000, `${retryAfterMs}`);
      });

      it('FENCED for a wrong owner or fence, and nothing changes', async () => {
        const { fence } = await claim('a');
        for (const other of [
          { owner: 'b', fence },
          { owner: 'a', fence: fence + 1 },
        ]) {
          assert.equal((await renew(other.owner, other.fence)).state, 'FENCED');
          assert.equal((await commit(other.owner, other.fence)).state, 'FENCED');
          assert.equal((await release(other.owner, other.fence, 'fail')).state, 'FENCED');
        }
        assert.equal((await commit('a', fence)).state, 'COMMITTED');
      });

      it('ALREADY for a commit repeated, with the first result', async () => {
        const { fence } = await claim('a');
        assert.equal((await commit('a', fence, '1')).state, 'COMMITTED');
        const again = await commit('a', fence, '2');
        assert.deepEqual([again.state, again.result], ['ALREADY', '1']);
        const other = await commit('b', fence + 1, '3');
        assert.deepEqual([other.state, other.fence, other.result], ['FENCED', fence, '1']);
      });

      it('RELEASED for a retry: free at once, attempts counted, fences rising', async () => {
        const first = await claim('a');
        assert.equal((await release('a', first.fence, 'retry')).state, 'RELEASED');
        const second = await claim('b');
        assert.deepEqual([second.state, second.attempt], ['ACQUIRED', 2]);
        assert.ok(second.fence > first.fence);
        assert.equal((await commit('a', first.fence)).state, 'FENCED');
      });

      it('RELEASED for good: FAILED with the reason', async () => {
        const { fence } = await claim('a');
        assert.equal((await release('a', fence, 'fail', { reason: '{"message":"no"}' })).state, 'RELEASED');
        const failed = await claim('b');
        assert.deepEqual([failed.state, failed.reason], ['FAILED', '{"message":"no"}']);
      });
    });

    it('keys are told apart byte by byte', async () => {
      const base = key;
      for (const other of ['a', 'A', 'ä', 'a\u0308', ' a', 'a ', '%', '😀']) {
        key = base + other;
        assert.equal((await claim('x')).state, 'ACQUIRED', JSON.stringify(other));
      }
    });

    it('forgets what it has kept long enough, and gives the next claim a higher fence', async function () {
      if (!advance) return; // needs a clock that can be moved
      const { fence } = await claim('a');
      await commit('a', fence);
      await advance(KEEP_MS);
      const next = await claim('b');
      assert.deepEqual([next.state, next.attempt], ['ACQUIRED', 1]);
      assert.ok(next.fence > fence);
      await advance(LEASE_MS + KEEP_MS);
      assert.equal((await renew('b', next.fence)).state, 'GONE');
      await claims.issue({ keys: [`${key} issued`], ttlMs: 1000 });
      await advance(1000);
      key += ' issued';
      assert.equal((await claim('c', { requireIssued: true })).state, 'UNKNOWN');
    });

    it('lets who is late renew and commit as long as nobody has taken over', async function () {
      if (!advance) return; // needs a clock that can be moved
      const { fence } = await claim('a');
      await advance(LEASE_MS);
      assert.equal((await renew('a', fence)).state, 'RENEWED');
      assert.equal((await claim('b')).state, 'BUSY');
      await advance(LEASE_MS);
      assert.equal((await commit('a', fence)).state, 'COMMITTED');
    });

    it('gives a lapsed lease to one of many, and says EXHAUSTED where the last attempt died', async function () {
      if (!advance) return;
      await claim('a');
      await advance(LEASE_MS);
      const all = await Promise.all(Array.from({ length: 30 }, (_, i) => claim(`owner ${i}`)));
      assert.equal(all.filter(({ state }) => state === 'TAKEOVER').length, 1);
      assert.equal(all.filter(({ state }) => state === 'BUSY').length, 29);
      await advance(LEASE_MS);
      assert.equal((await claim('x', { maxAttempts: 2 })).state, 'EXHAUSTED');
    });

    it('keeps one owner through random acts of several, as a naive model says', async function () {
      if (!advance) return;
      const seed = chosenSeed();
      const random = mulberry(seed);
      const model = { state: 'none', owner: '', fence: 0, lapsed: false };
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
        } else if (act === 2 && model.state === 'C' && !model.lapsed) {
          await advance(LEASE_MS);
          model.lapsed = true;
          // Not so long that the record is forgotten.
          if (random() < 0.5) {
            assert.equal((await renew(model.owner, model.fence)).state, 'RENEWED', told);
            model.lapsed = false;
          }
        } else if (act === 3 && model.state !== 'none') {
          const { state } = await release(owner, model.fence, 'retry', { keepMs: KEEP_MS * 1000 });
          assert.equal(state, mine ? 'RELEASED' : 'FENCED', told);
          if (mine) model.state = 'I';
        } else if (act === 4 && model.state !== 'none' && random() < 0.2) {
          const { state } = await claims.commit({
            key,
            owner,
            fence: model.fence,
            result: '1',
            keepMs: KEEP_MS * 1000,
          });
          assert.equal(state, mine ? 'COMMITTED' : model.state === 'D' ? 'ALREADY' : 'FENCED', told);
          if (mine) model.state = 'D';
        }
      }
    });
  });
}

/** @param {number} seed @returns {() => number} from 0 below 1 */
export function mulberry(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
