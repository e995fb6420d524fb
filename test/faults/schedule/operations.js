/** What each operation of plan.js is, done by a device. */
import { direct, groups } from './plan.js';

/**
 * @typedef {import('./device.js').Device} Device
 * @typedef {import('./plan.js').Step} Step
 */

const burst = 12;

/** A conversation that the device's user may be in: the step's, or one of its own. @param {Step} step @param {string} user */
export function convOf({ conv, a }, user) {
  const isMine = !conv.startsWith('dm:') || conv.split(':').includes(user);
  const mine = direct.filter((each) => each.split(':').includes(user));
  return isMine ? conv : mine[a % mine.length];
}

/** @param {Device} device @param {Step} step @param {'add' | 'remove' | 'leave'} t */
async function changeMembers(device, { a, b }, t) {
  const members = t === 'leave' ? undefined : [['bob'], ['cyd'], ['bob', 'cyd']][a % 3];
  const answer = await device.ask({ t, conv: groups[b % groups.length], members });
  if (answer.t !== 'ok' && answer.code !== 'unknown_conv') device.problem(`${t}: ${JSON.stringify(answer)}`);
}

/** @type {Record<string, (device: Device, step: Step, conv: string) => unknown>} */
export const operations = {
  say: (device, _step, conv) => device.sender(conv).send(),
  burst: (device, _step, conv) => {
    for (let i = 0; i < burst; i++) device.sender(conv).send();
  },
  free: (device, _step, conv) => device.sender(conv).send({ numbered: false }),
  package: (device, { a, b, c }, conv) => {
    device.sender(conv).send({ parts: 2 + (a % 4), isReversed: b % 2 === 0 });
    if (c % 3 === 0) device.connection?.cut(false);
  },
  again: (device, { a }, conv) => device.sender(conv).again(a),
  conflict: (device, { a }, conv) => device.sender(conv).conflict(a),
  gap: (device, _step, conv) => device.sender(conv).gap(),
  // A type that no message may have: refused for good, and its number with it.
  refused: (device, _step, conv) => device.sender(conv).send({ type: 'NO TYPE' }),
  skip: (device, { a }, conv) => device.sender(conv).giveUp(1 + (a % 3)),
  got: (device, { a }, conv) => device.got(conv, a),
  read: (device, _step, conv) => device.read(conv),
  pull: async (device, { a, b, c }, conv) => {
    await device.pull({
      conv: a % 3 === 0 ? undefined : conv,
      limit: 1 + (b % 6),
      order: c % 3 === 0 ? 'oldest' : 'newest',
      hold: a % 5 === 0 ? true : undefined,
      goOn: b % 3 !== 0,
    });
    // What came out of order is acked out of order.
    if (c % 2 === 0) device.got(conv, 2 * a + 1);
  },
  // A few pages down from the newest, the last of them not acked.
  newest: async (device, { a, b }, conv) => {
    for (let pages = 0; pages < 2 + (a % 3); pages++) {
      const page = await device.pull({ conv, limit: 1 + (b % 5), order: 'newest', goOn: pages > 0 });
      if (!page?.next) return;
    }
  },
  drain: (device) => device.drain(),
  history: (device, { a }, conv) => device.history(conv, a),
  counts: (device) => device.countsOf(() => {}),
  status: (device, _step, conv) => device.status(conv),
  settle: (device) => device.settled(),
  cut: (device, { a }) => device.connection?.cut(a % 2 === 0),
  replace: (device) => device.connect(),
  reconnect: async (device, { a, b }) => {
    device.connection?.close();
    await device.connect({ live: a % 4 !== 0, withPositions: b % 2 === 0 });
  },
  add: (device, step) => changeMembers(device, step, 'add'),
  remove: (device, step) => changeMembers(device, step, 'remove'),
  leave: (device, step) => changeMembers(device, step, 'leave'),
};
