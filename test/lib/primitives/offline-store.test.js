import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OfflineStore } from '../../../lib/primitives/offline-store.js';
import { offlineConformance } from './offline-conformance.js';
import { cleanUp, closing, makeDirectory } from './support.js';

offlineConformance('a store in memory', () => new OfflineStore({ store: { memory: true } }), { steps: 100_000 });

offlineConformance(
  'a data directory',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'everyonce-offline-'));
    const store = new OfflineStore({ store: { data: dir } });
    const close = store.close.bind(store);
    store.close = async () => {
      await close();
      rmSync(dir, { recursive: true });
    };
    return store;
  },
  { steps: 500 },
);

describe('OfflineStore', () => {
  afterEach(cleanUp);

  it('keeps what it took, and a walk, through a restart', async () => {
    const data = makeDirectory();
    const before = new OfflineStore({ store: { data } });
    for (const msgId of ['m1', 'm2', 'm3']) await before.append('bob', { msgId, sender: 'alice', content: msgId });
    const { next } = await before.pull('bob', { limit: 2 });
    await before.close();
    const after = closing(new OfflineStore({ store: { data } }));
    assert.equal((await after.counts('bob')).total, 3);
    const page = await after.pull('bob', { limit: 2, next });
    assert.deepEqual(page.items, [{ msgId: 'm3', sender: 'alice', content: 'm3' }]);
    assert.equal((await after.counts('bob')).total, 1);
  });

  it('refuses bad options by name, and what comes after close', async () => {
    assert.throws(() => new OfflineStore(/** @type {any} */ ({})), { code: 'BAD_OPTION', option: 'store' });
    assert.throws(() => new OfflineStore({ store: { memory: true }, keepMs: -1 }), { option: 'keepMs' });
    assert.throws(() => new OfflineStore({ store: { postgres: {} } }), {
      code: 'BAD_OPTION',
      option: 'store.postgres',
    });
    const query = () => {};
    const bad = { postgres: { query }, table: 'a; drop' };
    assert.throws(() => new OfflineStore({ store: bad }), { code: 'BAD_OPTION', option: 'store.table' });
    const store = new OfflineStore({ store: { memory: true } });
    await store.close();
    await assert.rejects(store.counts('bob'), { code: 'CLOSED' });
  });
});
