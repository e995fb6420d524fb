// The rules for schedules, each by a history that is right and one small thing wrong with it: numbers, packages, mids,
// members who come and go, what devices saw and were told.
import assert from 'node:assert/strict';
import { isClean, judge } from '../../lib/checker/judge.js';

const conv = 'g:team';
const place = (/** @type {number} */ seq) => ({ conv, epoch: 7, seq, mid: String(100 + seq) });

/**
 * Ann (device A) has a group; bob (B) joins at 3, leaves at 6. Ann sends number 1, the package 2 and, behind a refused 3
 * and a skipped 4, number 5.
 *
 * @returns {import('../../lib/checker/history.js').HistoryEvent[]}
 */
function goodHistory() {
  /** @type {any[]} */
  const events = [];
  const ann = { user: 'ann', device: 'A', conv };
  const log = (/** @type {number} */ seq, /** @type {object} */ more) =>
    events.push({ op: 'log', user: '', device: '', ...place(seq), ...more });
  const members = (/** @type {number} */ seq, /** @type {object} */ change) =>
    log(seq, { from: 'system', fromDevice: 'system', id: `m${seq}`, type: 'system.members', hash: 'm', change });
  const say = (/** @type {string} */ id, /** @type {number} */ number, /** @type {string} */ pkg = '') =>
    events.push({ op: 'invoke', ...ann, id, number, hash: id, ...(pkg ? { pkg } : {}) });
  const stored = (/** @type {number} */ seq, /** @type {string} */ id, /** @type {number} */ number) => {
    events.push({ op: 'ack', ...ann, ...place(seq), id, dup: false });
    log(seq, { from: 'ann', fromDevice: 'A', number, id, type: 'text', hash: id });
  };
  events.push({ op: 'watch', user: 'bob', device: 'B', conv, seq: 2 });
  members(1, { add: ['ann'] });
  say('a1', 1);
  stored(2, 'a1', 1);
  members(3, { add: ['bob'] });
  say('p1', 2, 'p');
  say('p2', 2, 'p');
  stored(4, 'p1', 2);
  stored(5, 'p2', 2);
  members(6, { remove: ['bob'] });
  say('no', 3);
  events.push({ op: 'nack', ...ann, id: 'no', code: 'bad_request' }, { op: 'skip', ...ann, number: 4, to: 4 });
  say('a2', 5);
  stored(7, 'a2', 5);
  members(8, { add: ['bob'] });
  const bob = { user: 'bob', device: 'B' };
  for (const seq of [3, 4, 5, 6, 8]) {
    const found = events.find((event) => event.op === 'log' && event.seq === seq);
    events.push({ ...found, op: 'see', ...bob, how: 'push' }, { ...found, op: 'deliver', ...bob });
    events.push({ op: 'confirm', ...bob, conv, seq, to: seq });
  }
  events.push({ op: 'told', ...bob, conv, seq: 8, to: 8 });
  return events;
}

/** @type {[rule: string, plant: (events: any[], at: (wanted: object) => any) => void][]} */
const planted = [
  ['number_hole', (events, at) => events.splice(events.indexOf(at({ op: 'skip' })), 1)],
  ['number_hole', (events, at) => events.splice(events.indexOf(at({ op: 'nack' })), 1)],
  ['log_order', (_events, at) => (at({ op: 'log', id: 'a2' }).number = 1)],
  ['package_torn', (events, at) => events.splice(events.indexOf(at({ op: 'log', id: 'p2' })), 1)],
  ['package_torn', (_events, at) => ([at({ op: 'log', id: 'p2' }).seq, at({ op: 'log', id: 'm6' }).seq] = [6, 5])],
  ['accepted_twice', (events, at) => events.push({ ...at({ op: 'ack', id: 'a1' }) })],
  ['mid_reused', (_events, at) => (at({ op: 'log', seq: 5 }).mid = '104')],
  ['mid_reused', (_events, at) => (at({ op: 'log', seq: 5 }).mid = '99')],
  ['acked_again', (events, at) => events.push({ ...at({ op: 'see', seq: 4 }), how: 'page' })],
  ['not_told', (_events, at) => (at({ op: 'told' }).seq = 7)],
  ['not_visible', (events, at) => events.push({ ...at({ op: 'log', seq: 2 }), op: 'see', user: 'bob', device: 'B', how: 'history' })], // prettier-ignore
  ['not_visible', (events, at) => events.push({ ...at({ op: 'log', seq: 7 }), op: 'see', user: 'bob', device: 'B', how: 'push' })], // prettier-ignore
  ['own_delivered', (events, at) => events.push({ ...at({ op: 'log', seq: 7 }), op: 'see', user: 'ann', device: 'A', how: 'push' })], // prettier-ignore
  ['bytes', (_events, at) => (at({ op: 'see', seq: 4 }).hash = 'other')],
  ['place_reused', (_events, at) => (at({ op: 'see', seq: 4 }).id = 'p2')],
  ['elsewhere', (_events, at) => (at({ op: 'see', seq: 4 }).seq = 40)],
  ['not_delivered', (events, at) => events.splice(events.indexOf(at({ op: 'deliver', seq: 5 })), 1)],
];

describe('the judge of schedules', () => {
  it('finds nothing wrong with a history that is right', () => {
    const verdict = judge(goodHistory());
    assert.ok(isClean(verdict), JSON.stringify(verdict.findings));
    assert.equal(verdict.delivered, 5);
  });

  for (const [rule, plant] of planted) {
    it(`flags ${rule}: ${String(plant).replace(/\s+/g, ' ').slice(0, 90)}`, () => {
      const events = goodHistory();
      const at = (/** @type {object} */ wanted) => {
        const found = events.find((event) => Object.entries(wanted).every(([key, value]) => /** @type {any} */ (event)[key] === value)); // prettier-ignore
        assert.ok(found, JSON.stringify(wanted));
        return found;
      };
      plant(events, at);
      const { findings } = judge(events);
      assert.ok(findings.map((finding) => finding.rule).includes(rule), JSON.stringify(findings));
    });
  }

  it('flags a message that was delivered to somebody who had left', () => {
    const events = goodHistory();
    const left = /** @type {any} */ (events.find(({ op, seq }) => op === 'log' && seq === 7));
    events.push({ ...left, op: 'deliver', user: 'bob', device: 'B' });
    const { findings } = judge(events);
    assert.ok(findings.some(({ rule, user, seq }) => rule === 'not_visible' && user === 'bob' && seq === 7));
  });

  it('lets a device that reads back see what it acked', () => {
    const events = goodHistory();
    const seen = events.find(({ op, seq }) => op === 'see' && seq === 4);
    events.push({ .../** @type {any} */ (seen), how: 'history' });
    assert.deepEqual(judge(events).findings, []);
  });
});
