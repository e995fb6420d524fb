import assert from 'node:assert/strict';
import { EveryonceError } from '../../../lib/protocol/errors.js';
import { Readiness } from '../../../lib/server/readiness.js';

/** Requests that are answered by the code given for their type; undefined: with success. */
const requests = (codes) => {
  const asked = [];
  const call = async (user, { t }) => {
    asked.push(t);
    if (codes[t] === 'never') return new Promise(() => {});
    if (codes[t]) throw new EveryonceError(codes[t]);
    return { t: 'ok' };
  };
  return { asked, call };
};

describe('readiness', () => {
  it('is ok where the store answers', async () => {
    const store = requests({});
    assert.equal(await new Readiness(store).check(), 'ok');
    assert.deepEqual(store.asked, ['counts']);
  });

  it('tries a commit where it does not: that is what recovers a store', async () => {
    const store = requests({ counts: 'unavailable', leave: 'unavailable' });
    assert.equal(await new Readiness(store).check(), 'unavailable');
    assert.deepEqual(store.asked, ['counts', 'leave']);
    assert.equal(await new Readiness(requests({ counts: 'unavailable', leave: 'unknown_conv' })).check(), 'ok');
  });

  it('asks once for many, and does not wait for ever', async () => {
    const store = requests({ counts: 'never' });
    const readiness = new Readiness(store, 20);
    assert.deepEqual(await Promise.all([readiness.check(), readiness.check()]), ['unavailable', 'unavailable']);
    assert.equal(await readiness.check(), 'unavailable');
    assert.deepEqual(store.asked, ['counts']);
  });
});
