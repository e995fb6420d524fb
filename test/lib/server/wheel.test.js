import assert from 'node:assert/strict';
import { Wheel } from '../../../lib/server/wheel.js';

/** A wheel with a clock of the test's own, slots of 100 ms. */
function makeWheel() {
  let now = 0;
  const wheel = new Wheel(100, () => now);
  return {
    wheel,
    go: (ms) => {
      for (const end = now + ms; now < end;) {
        now += 100;
        wheel.advance();
      }
    },
  };
}

describe('wheel', () => {
  it('looks at an item when its time has come, not before', () => {
    const { wheel, go } = makeWheel();
    const seen = [];
    wheel.add({ tick: (now) => (seen.push(now), 0) }, 250);
    go(200);
    assert.deepEqual(seen, []);
    go(1000);
    assert.deepEqual(seen, [300]);
  });

  it('looks again as often as the item asks', () => {
    const { wheel, go } = makeWheel();
    const seen = [];
    wheel.add({ tick: (now) => (seen.push(now), seen.length < 3 ? 200 : 0) }, 100);
    go(2000);
    assert.deepEqual(seen, [100, 300, 500]);
  });

  it('carries what lies further ahead than one turn', () => {
    const { wheel, go } = makeWheel();
    let done = 0;
    const at = 60_000;
    wheel.add({ tick: (now) => (now >= at ? ((done = now), 0) : at - now) }, at);
    go(at - 100);
    assert.equal(done, 0);
    go(200);
    assert.equal(done, at);
  });

  it('forgets everything when stopped', () => {
    const { wheel, go } = makeWheel();
    let seen = 0;
    wheel.add({ tick: () => (seen++, 0) }, 100);
    wheel.stop();
    go(1000);
    assert.equal(seen, 0);
  });
});
