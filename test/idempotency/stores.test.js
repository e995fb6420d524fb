// once, Lock and tokens over the stores of everyonce itself.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lock, once, tokens } from '../../lib/idempotency/index.js';
import { createServer } from '../../lib/index.js';
import { redisCluster, redisServer } from '../support/redis.js';

/** @type {Record<string, () => { store: any, close: () => any } | Promise<{ store: any, close: () => any }>>} */
const STORES = {
  memory: () => ({ store: { memory: true }, close: () => {} }),
  'a data directory': () => {
    const data = mkdtempSync(join(tmpdir(), 'everyonce-claims-'));
    return { store: { data }, close: () => rmSync(data, { recursive: true, force: true }) };
  },
  'a server': () => {
    const server = createServer({ memory: true, insecure: true });
    return { store: server, close: () => server.close() };
  },
  Redis: async () => ({ store: { redis: await redisUrl() }, close: () => {} }),
  'a Redis Cluster': async () => ({ store: { redis: { nodes: (await redisCluster()).nodes } }, close: () => {} }),
  'a server on Redis': async () => {
    const server = createServer({ redis: await redisUrl(), insecure: true });
    return { store: server, close: () => server.close() };
  },
};

async function redisUrl() {
  const { host, port } = await redisServer();
  return `redis://${host}:${port}`;
}

for (const [title, open] of Object.entries(STORES)) {
  describe(`the kit on ${title}`, () => {
    let opened;
    /** What Redis holds, the next place would find. */
    const scope = title.replaceAll(' ', '-');
    const closing = [];
    beforeEach(async () => (opened = await open()));
    afterEach(async () => {
      for (const one of closing.splice(0)) await one.close();
      await opened.close();
    });
    const kept = (one) => (closing.push(one), one);

    it('once: a throw frees the key, success keeps the result, concurrent calls wait', async () => {
      const runs = [];
      const handle = kept(
        once({ store: opened.store, scope, key: (m) => m }, async (m, { attempt, fence }) => {
          runs.push(fence);
          if (attempt === 1) throw new Error('first');
          return { m, attempt };
        }),
      );
      await assert.rejects(handle('a'), /^Error: first$/);
      const answers = await Promise.all([handle('a'), handle('a'), handle('a')]);
      assert.deepEqual(answers, Array(3).fill({ m: 'a', attempt: 2 }));
      assert.equal(runs.length, 2);
      assert.ok(runs[1] > runs[0]);
    });

    it('once: final failures, attempts that are used up, other payloads', async () => {
      const failing = (over, error) =>
        kept(
          once({ store: opened.store, key: () => 'k', ...over }, () =>
            Promise.reject(Object.assign(new Error('no'), error)),
          ),
        );
      const final = failing({ scope: `final-${scope}` }, { final: true });
      await assert.rejects(final('m'), /^Error: no$/);
      await assert.rejects(final('m'), { code: 'FAILED' });
      const tired = failing({ scope: `tired-${scope}`, maxAttempts: 1 }, {});
      for (const wanted of [/no/, { code: 'EXHAUSTED' }, { code: 'EXHAUSTED' }])
        await assert.rejects(tired('m'), wanted);
      const printed = kept(
        once({ store: opened.store, scope: `print-${scope}`, key: () => 'p', fingerprint: (m) => m }, (m) => m),
      );
      assert.equal(await printed('one'), 'one');
      await assert.rejects(printed('two'), { code: 'MISMATCH' });
    });

    it('Lock and tokens', async () => {
      const lock = kept(new Lock({ store: opened.store, name: 'door' }));
      const fences = [await lock.with(({ fence }) => fence), await lock.with(({ fence }) => fence)];
      assert.ok(fences[1] > fences[0]);
      const t = kept(tokens({ store: opened.store }));
      const [id] = await t.issue('alice');
      const claim = await t.claim(id);
      assert.deepEqual([claim.state, await t.commit(claim, 5), (await t.claim(id)).result], ['ACQUIRED', 5, 5]);
      assert.equal((await t.claim('unknown-token')).state, 'UNKNOWN');
    });
  });
}

describe('the kit on no store', () => {
  it('is refused', () => {
    for (const store of [{ nothing: 1 }, { data: '' }, { memory: false }]) {
      assert.throws(() => once({ store, key: () => 1 }, () => 1), { code: 'BAD_OPTION' });
    }
    for (const store of [undefined, null, 'data']) {
      assert.throws(() => once({ store, key: () => 1 }, () => 1), { code: 'INVALID_ARGUMENT', option: 'store' });
    }
  });
});
