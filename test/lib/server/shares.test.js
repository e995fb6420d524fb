import assert from 'node:assert/strict';
import { Shares } from '../../../lib/server/shares.js';

describe('shares', () => {
  it('gives each key so many, and forgets who holds nothing', () => {
    const shares = new Shares(2);
    assert.deepEqual(
      [shares.take('a'), shares.take('a'), shares.take('a'), shares.take('b')],
      [true, true, false, true],
    );
    shares.give('a');
    assert.deepEqual([shares.take('a'), shares.take('a')], [true, false]);
    for (const key of ['a', 'a', 'a', 'b', 'nobody']) shares.give(key);
    assert.equal(shares.size, 0);
    assert.ok(shares.take('a') && shares.take('a'), 'giving back too much gives no credit');
    assert.equal(shares.take('a'), false);
  });

  it('0 is no limit', () => {
    const shares = new Shares(0);
    for (let i = 0; i < 100; i++) assert.ok(shares.take('a'));
    shares.give('a');
    assert.equal(shares.size, 0);
  });
});
