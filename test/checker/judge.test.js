// The judge itself is tested by planted faults: a history that is right, and one small thing wrong with it at a time.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashBody, History, readHistory } from '../../lib/checker/history.js';
import { isClean, judge } from '../../lib/checker/judge.js';

const conv = 'dm:ann:bob';
const epoch = 7;

/** @typedef {import('../../lib/checker/history.js').HistoryEvent} HistoryEvent */

/**
 * Ann sends a1, a2, a3 and Bob b1 in between; each sees the other's, and both read the log: a1 b1 a2 a3.
 *
 * @returns {HistoryEvent[]}
 */
function goodHistory() {
  const history = new History();
  let t = 0;
  const record = (/** @type {HistoryEvent} */ event) => history.record({ ...event, t: (t += 1) });
  const [ann, bob] = [
    { user: 'ann', device: 'A' },
    { user: 'bob', device: 'B' },
  ];
  record({ op: 'watch', ...ann, conv });
  record({ op: 'watch', ...bob, conv });
  const sent = [
    { ...ann, id: 'a1' },
    { ...bob, id: 'b1' },
    { ...ann, id: 'a2' },
    { ...ann, id: 'a3' },
  ];
  for (const [index, { user, device, id }] of sent.entries()) {
    const place = { conv, epoch, seq: index + 1, mid: `m${index}`, id };
    const message = { ...place, from: user, fromDevice: device, type: 'text', hash: hashBody(id) };
    record({ op: 'invoke', user, device, conv, id, hash: hashBody(id) });
    record({ op: 'keep', user, device, conv, id });
    record({ op: 'ack', user, device, ...place });
    record({ op: 'deliver', ...(user === 'ann' ? bob : ann), ...message });
  }
  for (const reader of ['ann', 'bob']) {
    for (const { from, fromDevice, id, seq, hash, mid } of messagesOf(history.events)) {
      record({ op: 'log', user: reader, device: 'R', conv, epoch, seq, mid, from, fromDevice, id, type: 'text', hash });
    }
  }
  return history.events;
}

/** @param {HistoryEvent[]} events */
const messagesOf = (events) => events.filter(({ op }) => op === 'deliver').sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));

/** @param {HistoryEvent[]} events @param {Partial<HistoryEvent>} wanted @returns {number} */
function indexOf(events, wanted) {
  const index = events.findIndex((event) =>
    Object.entries(wanted).every(([key, value]) => event[/** @type {keyof HistoryEvent} */ (key)] === value),
  );
  assert.notEqual(index, -1, JSON.stringify(wanted));
  return index;
}

/** @param {HistoryEvent[]} events @param {Partial<HistoryEvent>} wanted @param {Partial<HistoryEvent>} changes */
function change(events, wanted, changes) {
  const index = indexOf(events, wanted);
  events[index] = { ...events[index], ...changes };
}

/** @param {HistoryEvent[]} events @param {Partial<HistoryEvent>} wanted */
const drop = (events, wanted) => void events.splice(indexOf(events, wanted), 1);

/** Swaps the seqs of two messages wherever they appear. @param {HistoryEvent[]} events @param {string} a @param {string} b */
function swapPlaces(events, a, b) {
  const [seqA, seqB] = [a, b].map((id) => events[indexOf(events, { op: 'log', id })].seq);
  const [midA, midB] = [a, b].map((id) => events[indexOf(events, { op: 'log', id })].mid);
  for (const event of events) {
    if (event.seq === undefined || (event.id !== a && event.id !== b)) continue;
    Object.assign(event, event.id === a ? { seq: seqB, mid: midB } : { seq: seqA, mid: midA });
  }
}

/** What each planted fault must be counted as, and by which rules. @type {Record<string, { plant: (events: HistoryEvent[]) => void, found: Record<string, number>, rules: string[] }>} */
const planted = {
  'an acked message that nobody can read': {
    plant: (events) => {
      for (const user of ['ann', 'bob']) drop(events, { op: 'log', user, id: 'a3' });
      drop(events, { op: 'deliver', user: 'bob', id: 'a3' });
    },
    found: { lost: 1 },
    rules: ['not_in_log'],
  },
  'a message that was kept, never acked, and is nowhere': {
    plant: (events) => {
      for (const user of ['ann', 'bob']) drop(events, { op: 'log', user, id: 'a3' });
      drop(events, { op: 'deliver', user: 'bob', id: 'a3' });
      drop(events, { op: 'ack', id: 'a3' });
    },
    found: { lost: 1 },
    rules: ['not_in_log'],
  },
  'a message in the log that the other side was never given': {
    plant: (events) => drop(events, { op: 'deliver', user: 'bob', id: 'a2' }),
    found: { lost: 1 },
    rules: ['not_delivered'],
  },
  'a hole in the numbers': {
    plant: (events) => {
      for (const event of events) if (event.seq === 4) event.seq = 5;
    },
    found: { lost: 1 },
    rules: ['hole'],
  },
  "one member's log without another's message": {
    plant: (events) => drop(events, { op: 'log', user: 'bob', id: 'b1' }),
    found: { lost: 1 },
    rules: ['reader_lacks'],
  },
  'a message stored twice': {
    plant: (events) => {
      for (const user of ['ann', 'bob']) {
        const read = events[indexOf(events, { op: 'log', user, id: 'a3' })];
        events.push({ ...read, seq: 5, mid: 'm5' });
      }
    },
    found: { repeated: 1 },
    rules: ['twice_in_log'],
  },
  'a message given to a handler twice': {
    plant: (events) => {
      const at = indexOf(events, { op: 'deliver', user: 'bob', id: 'a2' });
      events.splice(at, 0, { ...events[at] });
    },
    found: { repeated: 1 },
    rules: ['delivered_twice'],
  },
  "a device's own message given back to it": {
    plant: (events) => {
      const at = indexOf(events, { op: 'deliver', user: 'bob', id: 'a3' });
      events.splice(at, 0, { ...events[at], user: 'ann', device: 'A' });
    },
    found: { repeated: 1 },
    rules: ['own_delivered'],
  },
  'two messages of one device in the wrong order': {
    plant: (events) => {
      swapPlaces(events, 'a2', 'a3');
      // So that nothing but the sender's own order is wrong: both were under way at the same time, and given in order.
      for (const id of ['a2', 'a3']) change(events, { op: 'invoke', id }, { t: 0 });
      const [second, third] = ['a2', 'a3'].map((id) => indexOf(events, { op: 'deliver', id }));
      [events[second], events[third]] = [events[third], events[second]];
    },
    found: { swapped: 1 },
    rules: ['log_order'],
  },
  'two messages given in the wrong order': {
    plant: (events) => {
      const [second, third] = ['a2', 'a3'].map((id) => indexOf(events, { op: 'deliver', id }));
      [events[second], events[third]] = [events[third], events[second]];
    },
    found: { swapped: 1 },
    rules: ['delivery_order'],
  },
  'a message before another that was acked before it was sent': {
    plant: (events) => swapPlaces(events, 'b1', 'a1'),
    found: { swapped: 1 },
    rules: ['real_time'],
  },
  'a body that is another in the log': {
    plant: (events) => {
      for (const user of ['ann', 'bob']) change(events, { op: 'log', user, id: 'a1' }, { hash: hashBody('other') });
    },
    found: { changed: 1 },
    rules: ['bytes'],
  },
  'a body that is another for one reader': {
    plant: (events) => change(events, { op: 'log', user: 'bob', id: 'a1' }, { hash: hashBody('other') }),
    found: { changed: 1 },
    rules: ['bytes'],
  },
  'a body that is another at the handler': {
    plant: (events) => change(events, { op: 'deliver', id: 'a1' }, { hash: hashBody('other') }),
    found: { changed: 1 },
    rules: ['bytes'],
  },
  'a phantom: stored and given, sent by nobody': {
    plant: (events) => {
      for (const op of /** @type {const} */ (['invoke', 'keep'])) drop(events, { op, id: 'a3' });
    },
    found: { changed: 3 },
    rules: ['phantom', 'phantom', 'phantom'],
  },
  'one number used for two messages': {
    plant: (events) => change(events, { op: 'log', user: 'bob', id: 'a3' }, { id: 'zz' }),
    found: { changed: 1 },
    rules: ['place_reused'],
  },
  'one number pushed for one message and stored for another': {
    plant: (events) => {
      const { t, ...invoke } = events[indexOf(events, { op: 'invoke', id: 'a3' })];
      assert.ok(t);
      events.push({ ...invoke, id: 'a4', n: 4 });
      events.push({ ...events[indexOf(events, { op: 'deliver', id: 'a3' })], id: 'a4' });
    },
    found: { changed: 1 },
    rules: ['place_reused'],
  },
  'two acks of one message that disagree': {
    plant: (events) => void events.push({ ...events[indexOf(events, { op: 'ack', id: 'a2' })], seq: 9 }),
    found: { changed: 1 },
    rules: ['acks_disagree'],
  },
  'an ack that names another place than the log': {
    plant: (events) => change(events, { op: 'ack', id: 'a2' }, { mid: 'm99' }),
    found: { changed: 1 },
    rules: ['elsewhere'],
  },
  'a refused message in the log': {
    plant: (events) => change(events, { op: 'ack', id: 'a2' }, { op: 'nack', code: 'too_large' }),
    found: { changed: 1 },
    rules: ['refused_in_log'],
  },
};

describe('the judge', () => {
  it('takes what retention has removed at the word of its ack, and misses what was not delivered of it all the same', () => {
    const events = goodHistory();
    for (const id of ['a1', 'b1']) for (const user of ['ann', 'bob']) drop(events, { op: 'log', user, id });
    assert.equal(isClean(judge(events)), false);
    for (const user of ['ann', 'bob']) events.push({ op: 'gone', user, device: 'R', conv, epoch, seq: 1, to: 2 });
    assert.deepEqual(judge(events).findings, []);
    drop(events, { op: 'deliver', user: 'bob', id: 'a1' });
    assert.deepEqual(judge(events).findings.map(({ rule }) => rule), ['not_delivered']); // prettier-ignore
  });

  it('finds nothing in a history that is right', () => {
    const verdict = judge(goodHistory());
    assert.deepEqual(verdict.findings, []);
    assert.ok(isClean(verdict));
    assert.deepEqual([verdict.sent, verdict.acked, verdict.delivered, verdict.redone], [4, 4, 4, 0]);
  });

  for (const [name, { plant, found, rules }] of Object.entries(planted)) {
    it(`flags ${name}`, () => {
      const events = goodHistory();
      plant(events);
      const verdict = judge(events);
      const { lost, repeated, swapped, changed } = verdict;
      const text = JSON.stringify(verdict.findings, null, 1);
      assert.deepEqual(
        { lost, repeated, swapped, changed },
        { lost: 0, repeated: 0, swapped: 0, changed: 0, ...found },
        text,
      );
      assert.deepEqual(verdict.findings.map(({ rule }) => rule).sort(), rules, text);
      assert.ok(!isClean(verdict));
    });
  }

  it('takes a message that was handed over and never kept for one that may or may not arrive', () => {
    for (const arrived of [true, false]) {
      const events = goodHistory();
      drop(events, { op: 'keep', id: 'a3' });
      drop(events, { op: 'ack', id: 'a3' });
      if (!arrived) {
        for (const user of ['ann', 'bob']) drop(events, { op: 'log', user, id: 'a3' });
        drop(events, { op: 'deliver', id: 'a3' });
      }
      assert.deepEqual(judge(events).findings, []);
    }
  });

  it('lets a killed device go back to what it had saved, once, and on in order from there', () => {
    const events = goodHistory();
    const again = ['a2', 'a3'].map((id) => events[indexOf(events, { op: 'deliver', id })]);
    events.push({ op: 'restart', user: 'bob', device: 'B' }, ...again);
    const verdict = judge(events);
    assert.deepEqual(verdict.findings, []);
    assert.equal(verdict.redone, 2);
    events.push(again[1]);
    assert.deepEqual(
      judge(events).findings.map(({ rule }) => rule),
      ['delivered_twice'],
    );
    events.pop();
    events.push(events[indexOf(events, { op: 'deliver', id: 'a1' })]);
    assert.deepEqual(
      judge(events).findings.map(({ rule }) => rule),
      ['delivery_order'],
    );
  });
});

describe('a history in a file', () => {
  /** @type {string} */
  let dir;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'everyonce-history-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  it('goes on numbering after a restart, and leaves out a line that a kill cut short', () => {
    const path = join(dir, 'history.jsonl');
    const event = { op: /** @type {const} */ ('invoke'), user: 'ann', device: 'A', conv };
    const first = new History(path);
    first.record({ ...event, id: 'a1' });
    first.record({ ...event, id: 'a2' });
    first.close();
    const second = new History(path);
    second.record({ ...event, id: 'a3' });
    second.close();
    appendFileSync(path, '{"op":"inv');
    assert.deepEqual(
      readHistory(path).map(({ id, n }) => [id, n]),
      [
        ['a1', 1],
        ['a2', 2],
        ['a3', 3],
      ],
    );
    // The next process goes on behind what is whole.
    const third = new History(path);
    third.record({ op: 'restart', user: 'ann', device: 'A' });
    third.close();
    assert.deepEqual(
      readHistory(path).map(({ op }) => op),
      ['invoke', 'invoke', 'invoke', 'restart'],
    );
  });

  it('tells who waits for something to happen, and gives up in time', async () => {
    const history = new History();
    const seen = history.until(() => history.events.length === 2, 1000, 'two events');
    for (const id of ['a1', 'a2']) history.record({ op: 'invoke', user: 'ann', device: 'A', conv, id });
    await seen;
    await assert.rejects(
      history.until(() => false, 1, 'nothing'),
      /not within 1 ms: nothing/,
    );
  });
});
