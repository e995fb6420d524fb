import assert from 'node:assert/strict';
import { Rates } from '../../../lib/server/rates.js';

describe('rates', () => {
  it('holds ten seconds of the rate, and says when there is room again', () => {
    const rates = new Rates(2);
    for (let i = 0; i < 20; i++) assert.equal(rates.take('a', 1000), 0, String(i));
    assert.equal(rates.take('a', 1000), 500);
    assert.equal(rates.take('a', 1250), 250);
    assert.equal(rates.take('b', 1250), 0);
    assert.equal(rates.take('a', 1500), 0);
    assert.equal(rates.take('a', 1500), 500);
    for (let i = 0; i < 20; i++) assert.equal(rates.take('a', 100_000), 0, String(i));
    assert.ok(rates.take('a', 100_000) > 0);
  });

  it('forgets who rested until his bucket was full', () => {
    const rates = new Rates(1);
    for (let i = 0; i < 30; i++) rates.take(`key-${i}`, 1000);
    assert.equal(rates.size, 30);
    for (let i = 0; i < 9; i++) rates.take('other', 11_000);
    assert.equal(rates.size, 1);
  });

  it('takes several at once, or none of them', () => {
    const rates = new Rates(1);
    assert.equal(rates.take('a', 1000, 8), 0);
    assert.equal(rates.take('a', 1000, 3), 1000);
    assert.equal(rates.take('a', 1000, 2), 0);
  });

  it('keeps so many in mind, and forgets who rested longest', () => {
    const rates = new Rates(1, 2);
    for (let i = 0; i < 10; i++) rates.take('a', 1);
    rates.take('b', 1);
    assert.ok(rates.take('a', 1) > 0);
    rates.take('c', 1);
    assert.equal(rates.size, 2);
    assert.ok(rates.take('a', 1) > 0, 'b was forgotten, not a');
  });

  it('0 is no limit', () => {
    const rates = new Rates(0);
    for (let i = 0; i < 1000; i++) assert.equal(rates.take('a', 1), 0);
    assert.equal(rates.size, 0);
  });
});
