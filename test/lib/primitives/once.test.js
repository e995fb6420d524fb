// `once`, Lock and tokens over the embedded store: the same machine as in PostgreSQL.
import assert from 'node:assert/strict';
import { once, tokens } from '../../../lib/idempotency/index.js';
import { createServer } from '../../../lib/server/server.js';
import { cleanUp, makeDirectory, onCleanUp } from './support.js';

describe('once over the embedded store', () => {
  afterEach(cleanUp);

  it('runs a handler once for a key, keeps its result through a restart, and lets it try again after a throw', async () => {
    const store = { data: makeDirectory() };
    let runs = 0;
    const work = async (/** @type {any} */ message, /** @type {any} */ { attempt, fence }) => {
      runs += 1;
      if (message.bad && attempt === 1) throw new Error('not yet');
      return { fence, of: message.id };
    };
    const handle = once({ store, key: (/** @type {any} */ message) => message.id }, work);
    const [one, two] = await Promise.all([handle({ id: 'a' }), handle({ id: 'a' })]);
    assert.deepEqual([one, runs], [two, 1]);
    await assert.rejects(handle({ id: 'b', bad: true }), /not yet/);
    const second = await handle({ id: 'b', bad: true });
    assert.ok(second.fence > one.fence);
    await handle.close();
    const again = once({ store, key: (/** @type {any} */ message) => message.id }, work);
    onCleanUp(() => again.close());
    assert.deepEqual(await again({ id: 'a' }), one);
    assert.equal(runs, 3);
  });

  it("tokens live in a server's store", async () => {
    const server = createServer({ memory: true, insecure: true });
    onCleanUp(() => server.close());
    const made = tokens({ store: server, ttlMs: 60_000 });
    onCleanUp(() => made.close());
    const [id] = await made.issue('alice', 1);
    const claim = await made.claim(id, 10_000);
    await made.commit(claim, 1);
    await assert.rejects(async () => {
      const again = await made.claim('never-issued-1', 10_000);
      if (again.state !== undefined) throw Object.assign(new Error(again.state), { code: again.state });
    });
  });
});
