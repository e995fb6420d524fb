// once, Lock and tokens over the claims of PostgreSQL; processes that are killed in mid-handler.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { PostgresClaims } from '../../lib/idempotency/claims/postgres.js';
import { Lock, once, sqlOnce, tokens } from '../../lib/idempotency/index.js';
import { postgresDatabase } from '../support/postgres.js';
import { START_MS, gate } from './support/databases.js';

const CHILD = fileURLToPath(new URL('support/once-child.js', import.meta.url));

describe('once over PostgreSQL', () => {
  let address;
  let pool;
  let store;
  let key = 0;
  before(async function () {
    this.timeout(START_MS);
    address = await postgresDatabase();
    pool = new pg.Pool({ ...address, max: 20 });
    store = { postgres: pool };
    await pool.query('CREATE TABLE effect (pid int)');
    await sqlOnce.migrate(pool);
  });
  after(() => pool.end());
  beforeEach(() => key++);

  const make = (handler, options = {}) => once({ store, key: () => key, ...options }, handler);
  const lapse = () =>
    pool.query(`UPDATE everyonce_claims SET lease_until = now() - interval '1 second' WHERE key LIKE '%:' || $1`, [
      key,
    ]);
  /** In one statement, so that no renewal of the first owner comes between. */
  const takenOver = async (record) => {
    const { rows } = await pool.query(
      `UPDATE everyonce_claims SET owner = 'other', fence = nextval('everyonce_claims_fence') WHERE key = $1 RETURNING fence`,
      [record],
    );
    return { claim: { key: record, owner: 'other' }, fence: Number(rows[0].fence) };
  };
  /** Claims of which some acts go wrong, or are watched. */
  const tampered = (over) => {
    const claims = new PostgresClaims(pool);
    const acts = ['claim', 'renew', 'commit', 'release', 'issue', 'close'];
    const plain = Object.fromEntries(acts.map((act) => [act, (request) => claims[act](request)]));
    return { ...plain, ...over(claims) };
  };

  it('runs the handler until it has succeeded, and gives its result to all later calls', async () => {
    const seen = [];
    const handle = make(async (message, { attempt, fence }) => {
      seen.push([message, attempt, fence]);
      if (attempt < 3) throw new Error(`attempt ${attempt}`);
      return { done: attempt };
    });
    await assert.rejects(handle('m'), /^Error: attempt 1$/);
    await assert.rejects(handle('m'), /^Error: attempt 2$/);
    assert.deepEqual([await handle('m'), await handle('n')], [{ done: 3 }, { done: 3 }]);
    assert.deepEqual(
      seen.map(([m, n]) => [m, n]),
      [
        ['m', 1],
        ['m', 2],
        ['m', 3],
      ],
    );
    assert.ok(seen[0][2] < seen[1][2] && seen[1][2] < seen[2][2], 'the fence rises with every attempt');
  });

  it('lets one of many concurrent calls work, and the others wait for its result', async () => {
    let runs = 0;
    const go = gate();
    const handler = async () => {
      runs++;
      await go.opened;
      return runs;
    };
    // Two handlers stand for two processes: they share nothing but the store.
    const [a, b] = [make(handler), make(handler)];
    const calls = Array.from({ length: 20 }, (_, n) => (n % 2 ? a : b)('m'));
    go.open();
    assert.deepEqual(new Set(await Promise.all(calls)), new Set([1]));
    assert.equal(runs, 1);
  });

  it('says BUSY and when to come again, where the concurrent one takes longer than waitMs', async () => {
    const [started, go] = [gate(), gate()];
    const first = make(async () => {
      started.open();
      await go.opened;
      return 'first';
    })('m');
    await started.opened;
    await assert.rejects(make(() => 'second', { waitMs: 0 })('m'), (error) => {
      assert.deepEqual([error.code, error.retryable], ['BUSY', true]);
      return error.retryAfterMs > 0 && error.retryAfterMs <= 30_000;
    });
    go.open();
    assert.equal(await first, 'first');
  });

  it('keeps a final error: later calls throw FAILED without running', async () => {
    let runs = 0;
    const handle = make(() => {
      runs++;
      throw Object.assign(new Error('no such account'), { final: true, code: 'NO_ACCOUNT' });
    });
    await assert.rejects(handle('m'), /^Error: no such account$/);
    await assert.rejects(handle('m'), {
      code: 'FAILED',
      reason: { name: 'Error', message: 'no such account', code: 'NO_ACCOUNT' },
    });
    assert.equal(runs, 1);
  });

  it('gives up after maxAttempts', async () => {
    const handle = make(() => Promise.reject(new Error('again')), { maxAttempts: 2 });
    for (const wanted of [/again/, /again/, { code: 'EXHAUSTED' }, { code: 'EXHAUSTED' }]) {
      await assert.rejects(handle('m'), wanted);
    }
  });

  it('refuses the same key with another payload', async () => {
    const handle = make((m) => m, { fingerprint: (m) => m });
    assert.equal(await handle('one'), 'one');
    await assert.rejects(handle('two'), { code: 'MISMATCH' });
  });

  it('keeps a result that is no JSON as a failure, for the effect is done', async () => {
    let runs = 0;
    const handle = make(() => {
      runs++;
      return 1n;
    });
    await assert.rejects(handle('m'), { code: 'BAD_RESULT' });
    await assert.rejects(handle('m'), { code: 'FAILED' });
    assert.equal(runs, 1);
  });

  it('renews the lease while the handler runs', async () => {
    const renewedOften = gate();
    let renewals = 0;
    const watched = tampered((claims) => ({
      renew: async (request) => {
        const answer = await claims.renew(request);
        // Four thirds of the lease: it would have run out.
        if (++renewals === 4) renewedOften.open();
        return answer;
      },
    }));
    const handle = make(() => renewedOften.opened.then(() => 'long'), { store: watched, leaseMs: 450 });
    assert.equal(await handle('m'), 'long');
    const { rows } = await pool.query(`SELECT attempt FROM everyonce_claims WHERE key LIKE '%:' || $1`, [key]);
    assert.deepEqual(rows, [{ attempt: 1 }]);
  });

  it('aborts the signal and throws FENCED when another one has taken over; the other result stands', async () => {
    const started = gate();
    let reason;
    const first = make(
      async (_, { signal }) => {
        started.open();
        await event(signal, 'abort');
        reason = signal.reason.code;
        return 'late';
      },
      { leaseMs: 300 },
    )('m');
    const fenced = assert.rejects(first, { code: 'FENCED', retryable: true });
    await started.opened;
    const { claim, fence } = await takenOver(`once::${key}`);
    await fenced;
    assert.equal(reason, 'FENCED');
    await new PostgresClaims(pool).commit({ ...claim, fence, result: '"second"', keepMs: 60_000 });
    assert.equal(await make(() => 'third')('m'), 'second');
  });

  it('throws FENCED where the store can not be asked until the lease has run out', async () => {
    const dead = tampered(() => ({ renew: () => new Promise(() => {}) }));
    const handle = make((_, { signal }) => event(signal, 'abort'), { store: dead, leaseMs: 60 });
    await assert.rejects(handle('m'), { code: 'FENCED' });
  });

  it('refuses the commit of a late one, also where it never heard that it was late', async () => {
    const deaf = tampered(() => ({ renew: async () => ({ state: 'RENEWED' }) }));
    const [started, go] = [gate(), gate()];
    const first = make(() => (started.open(), go.opened.then(() => 'late')), { store: deaf })('m');
    await started.opened;
    await lapse();
    assert.equal(await make(() => 'second')('m'), 'second');
    go.open();
    await assert.rejects(first, { code: 'FENCED' });
  });

  it('does not wait for ever for a handler that does not return', async () => {
    const handle = make(() => new Promise(() => {}), { maxRunMs: 30 });
    await assert.rejects(handle('m'), { code: 'TIMEOUT' });
  });

  it('takes an answer of the store that was lost for what it was', async () => {
    const lost = new Set();
    const losing = (act) => async (request, claims) => {
      const answer = await claims[act](request);
      if (lost.has(act)) return answer;
      lost.add(act);
      throw Object.assign(new Error('connection reset'), { retryable: true });
    };
    const flaky = tampered((claims) => ({
      claim: (request) => losing('claim')(request, claims),
      commit: (request) => losing('commit')(request, claims),
    }));
    let runs = 0;
    const handle = make(() => ++runs, { store: flaky });
    assert.equal(await handle('m'), 1);
    assert.deepEqual([...lost], ['claim', 'commit']);
    assert.equal(runs, 1);
  });

  it('says GONE where the record was lost while the handler ran', async () => {
    const handle = make(() =>
      pool.query(`DELETE FROM everyonce_claims WHERE key LIKE '%:' || $1`, [key]).then(() => 1),
    );
    await assert.rejects(handle('m'), { code: 'GONE' });
  });

  it('sets scopes apart', async () => {
    const [a, b] = ['mail', 'bill'].map((scope) => make(() => scope, { scope }));
    assert.deepEqual([await a('m'), await b('m')], ['mail', 'bill']);
  });

  it('closes: what waits is told, what works is waited for, and no timer stays', async () => {
    const [started, go] = [gate(), gate()];
    const handle = make(() => (started.open(), go.opened));
    const first = handle('m');
    await started.opened;
    const waiting = assert.rejects(handle('m'), { code: 'CLOSED' });
    const closed = handle.close();
    await waiting;
    await assert.rejects(handle('m'), { code: 'CLOSED' });
    go.open();
    await Promise.all([first, closed]);
  });

  it('refuses what it can not take', async () => {
    const bad = [
      [{ key: () => 1 }, 'store'],
      [{ store, key: 'id' }, 'key'],
      [{ store, key: () => 1, leaseMs: 0 }, 'leaseMs'],
      [{ store, key: () => 1, leaseMs: 2 ** 31 }, 'leaseMs'],
      [{ store, key: () => 1, waitMs: -1 }, 'waitMs'],
      [{ store, key: () => 1, keepMs: Infinity }, 'keepMs'],
      [{ store, key: () => 1, maxAttempts: 0 }, 'maxAttempts'],
      [{ store, key: () => 1, scope: 'a:b' }, 'scope'],
      [{ store, key: () => 1, fingerprint: 'x' }, 'fingerprint'],
    ];
    for (const [options, option] of bad) {
      assert.throws(() => once(options, () => 1), { code: 'INVALID_ARGUMENT', option }, option);
    }
    assert.throws(() => once({ store, key: () => 1 }), { option: 'handler' });
    for (const wrong of [undefined, null, {}, '', 'x'.repeat(513), NaN, '\ud800']) {
      await assert.rejects(once({ store, key: () => wrong }, () => 1)('m'), {
        code: 'INVALID_ARGUMENT',
        option: 'key',
      });
    }
  });

  describe('processes that are killed', () => {
    const children = [];
    after(async () => {
      for (const child of children.filter((one) => one.exitCode === null && one.signalCode === null)) {
        child.kill('SIGKILL');
        await event(child, 'exit');
      }
    });
    const start = (orders) => {
      const child = spawn(
        process.execPath,
        [CHILD, JSON.stringify({ address, leaseMs: 1000, waitMs: 60_000, ...orders })],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      children.push(child);
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      return { child, said: async () => JSON.parse((await lines.next()).value) };
    };

    it('before the effect: another process takes over when the lease has run out', async function () {
      this.timeout(START_MS);
      const id = 'killed-before';
      const first = start({ key: id, hang: 'before' });
      const { fence } = await first.said();
      first.child.kill('SIGKILL');
      const second = start({ key: id });
      const taken = await second.said();
      assert.equal(taken.started, 2);
      assert.ok(taken.fence > fence);
      assert.deepEqual([await second.said(), await second.said()], [{ effect: true }, { result: 2 }]);
      const [code] = second.child.exitCode === null ? await event(second.child, 'exit') : [second.child.exitCode];
      assert.equal(code, 0, 'nothing keeps it alive');
      const third = start({ key: id });
      assert.deepEqual(await third.said(), { result: 2 });
    });

    it('after the effect: the effect stands once, because sqlOnce guards it', async function () {
      this.timeout(START_MS);
      const id = 'killed-after';
      const first = start({ key: id, hang: 'after' });
      assert.equal((await first.said()).started, 1);
      assert.deepEqual(await first.said(), { effect: true });
      first.child.kill('SIGKILL');
      const second = start({ key: id });
      assert.equal((await second.said()).started, 2);
      assert.deepEqual([await second.said(), await second.said()], [{ effect: false }, { result: 2 }]);
      const { rows } = await pool.query('SELECT pid FROM effect WHERE pid = ANY($1)', [
        [first.child.pid, second.child.pid],
      ]);
      assert.deepEqual(rows, [{ pid: first.child.pid }]);
    });
  });

  describe('Lock', () => {
    it('lets one work at a time, each with a higher fence', async () => {
      const locks = [0, 1, 2].map(() => new Lock({ store, name: 'till' }));
      let inside = 0;
      const fences = [];
      const work = async ({ fence }) => {
        assert.equal(++inside, 1);
        fences.push(fence);
        await pool.query('SELECT 1');
        inside--;
        return fence;
      };
      const answers = await Promise.all(Array.from({ length: 9 }, (_, n) => locks[n % 3].with(work)));
      assert.equal(new Set(answers).size, 9);
      assert.deepEqual(
        fences,
        fences.toSorted((a, b) => a - b),
      );
    });

    it('is free after a throw, says BUSY after waitMs, and loses to a lapsed lease', async () => {
      const lock = new Lock({ store, name: 'door', waitMs: 0, leaseMs: 300 });
      await assert.rejects(
        lock.with(() => Promise.reject(new Error('no'))),
        /^Error: no$/,
      );
      const started = gate();
      const first = lock.with(async ({ signal }) => {
        started.open();
        await event(signal, 'abort');
      });
      const fenced = assert.rejects(first, { code: 'FENCED' });
      await started.opened;
      await assert.rejects(
        lock.with(() => 1),
        { code: 'BUSY' },
      );
      const { claim, fence } = await takenOver('lock:door');
      await fenced;
      await new PostgresClaims(pool).release({ ...claim, fence, mode: 'retry' });
      assert.ok((await lock.with((held) => held.fence)) > fence);
    });

    it('refuses what it can not take', async () => {
      assert.throws(() => new Lock({ store, name: '' }), { option: 'name' });
      assert.throws(() => new Lock({ store, name: 'x', leaseMs: 1 }), { option: 'leaseMs' });
      await assert.rejects(new Lock({ store, name: 'x' }).with(5), { option: 'work' });
    });
  });

  describe('tokens', () => {
    it('are issued, claimed, committed once, and told again', async () => {
      const t = tokens({ store });
      const [id, other] = await t.issue('alice', 2);
      assert.match(id, /^[A-Za-z0-9_-]{22}$/);
      assert.notEqual(id, other);
      const claim = await t.claim(id);
      assert.equal(claim.state, 'ACQUIRED');
      assert.equal((await t.claim(id)).state, 'BUSY');
      assert.deepEqual(await t.commit(claim, { seq: 7 }), { seq: 7 });
      assert.deepEqual(await t.commit(claim, { seq: 8 }), { seq: 7 });
      const done = await t.claim(id);
      assert.deepEqual([done.state, done.result], ['DONE', { seq: 7 }]);
      assert.equal((await t.claim('never-issued')).state, 'UNKNOWN');
    });

    it('are free again after a handler failed, which the article loses', async () => {
      const t = tokens({ store });
      const [id] = await t.issue('alice');
      const first = await t.claim(id);
      await t.release(first);
      await assert.rejects(t.release(first), { code: 'FENCED' });
      const second = await t.claim(id);
      assert.deepEqual([second.state, second.attempt], ['ACQUIRED', 2]);
      await assert.rejects(t.commit(first, 1), { code: 'FENCED' });
      await t.release(second, 'spam');
      const failed = await t.claim(id);
      assert.deepEqual([failed.state, failed.reason], ['FAILED', 'spam']);
    });

    it('refuse what they can not take', async () => {
      const t = tokens({ store });
      assert.throws(() => tokens({ store, ttlMs: 0 }), { option: 'ttlMs' });
      await assert.rejects(t.issue('alice', 1001), { option: 'n' });
      await assert.rejects(t.issue('', 1), { option: 'owner' });
      await assert.rejects(t.claim(''), { option: 'id' });
      await assert.rejects(t.commit({ id: 'x' }), { option: 'claim' });
    });
  });
});
