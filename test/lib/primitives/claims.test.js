import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClaims } from '../../../lib/primitives/claims.js';
import { createServer } from '../../../lib/server/server.js';
import { claimConformance } from './claim-conformance.js';
import { cleanUp, closing, makeDirectory, withClock } from './support.js';

claimConformance('a store in memory', () => {
  const { store, options, advance } = withClock();
  return { claims: openClaims(store, options), advance };
});

claimConformance('a data directory', () => {
  const dir = mkdtempSync(join(tmpdir(), 'everyonce-claims-'));
  const claims = openClaims({ data: dir });
  const close = claims.close.bind(claims);
  claims.close = async () => {
    await close();
    rmSync(dir, { recursive: true });
  };
  return { claims };
});

claimConformance("a server's store", () => {
  const server = createServer({ memory: true, insecure: true });
  const claims = openClaims(server);
  const close = claims.close.bind(claims);
  claims.close = async () => {
    await close();
    await server.close();
  };
  return { claims };
});

describe('claims', () => {
  afterEach(cleanUp);

  it('survive: what was told is there when the store is opened again, fences go on', async () => {
    const data = makeDirectory();
    const before = openClaims({ data });
    const first = await before.claim({ key: 'k', owner: 'a', leaseMs: 1000, keepMs: 1000 });
    await before.commit({ key: 'k', owner: 'a', fence: first.fence ?? 0, result: '1', keepMs: 60_000 });
    await before.close();
    const after = closing(openClaims({ data }));
    assert.equal((await after.claim({ key: 'k', owner: 'b', leaseMs: 1000, keepMs: 1000 })).result, '1');
    const second = await after.claim({ key: 'l', owner: 'b', leaseMs: 1000, keepMs: 1000 });
    assert.ok(Number(second.fence) > Number(first.fence));
  });

  it('refuse bad arguments by name', async () => {
    const claims = closing(openClaims({ memory: true }));
    const good = { key: 'k', owner: 'o', leaseMs: 1000, keepMs: 1000, fence: 1, mode: 'retry' };
    for (const [option, values] of Object.entries({
      key: ['', 7, null, undefined, 'x'.repeat(1025), 'é'.repeat(513), '\ud800', 'x'.repeat(1024 * 1024), {}],
      owner: ['', 7, 'x'.repeat(257)],
      leaseMs: [0, -1, NaN, Infinity, 1.5, '7', 2 ** 53 + 2],
      keepMs: [-1, NaN, 2 ** 53],
      fingerprint: [7, 'x'.repeat(1025)],
      maxAttempts: [-1, 1.5, 2 ** 32],
    })) {
      for (const value of values) {
        const request = /** @type {any} */ ({ ...good, [option]: value });
        await assert.rejects(claims.claim(request), { code: 'INVALID_ARGUMENT', option }, `${option} ${String(value)}`);
      }
    }
    for (const fence of [-1, NaN, 1.5, 2 ** 53, '1', undefined]) {
      const request = /** @type {any} */ ({ ...good, fence });
      for (const act of [claims.renew, claims.commit, claims.release]) {
        await assert.rejects(act.call(claims, request), { code: 'INVALID_ARGUMENT', option: 'fence' });
      }
    }
    await assert.rejects(claims.release({ ...good, mode: /** @type {any} */ ('x') }), { option: 'mode' });
    await assert.rejects(claims.commit({ ...good, result: 'x'.repeat(1024 * 1024 + 1) }), { option: 'result' });
    await assert.rejects(claims.issue({ keys: /** @type {any} */ ('k'), ttlMs: 1 }), { option: 'keys' });
    await assert.rejects(claims.claim(/** @type {any} */ (undefined)), { code: 'BAD_OPTION' });
    assert.equal((await claims.claim(good)).state, 'ACQUIRED', 'and goes on');
  });

  it('are removed some time after they were forgotten', async () => {
    const { store, options, advance } = withClock();
    const claims = closing(openClaims(store, options));
    const names = Array.from({ length: 700 }, (_, i) => `k${i}`);
    await Promise.all(names.map((key) => claims.claim({ key, owner: 'o', leaseMs: 10, keepMs: 10 })));
    advance(1000);
    // A slice comes within a second, after whatever is asked meanwhile.
    while (claims.stats().expired < 700) await claims.renew({ key: 'k', owner: 'o', fence: 1, leaseMs: 1 });
    assert.equal(claims.stats().expired, 700);
  });
});
