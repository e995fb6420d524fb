/**
 * Judges a history (history.js). Pure: the same events give the same verdict. The rules, each finding naming its own:
 *
 * | counted as | rule | what it found |
 * | --- | --- | --- |
 * | lost | `not_in_log` | an acked or kept message is not in the log |
 * | lost | `not_delivered` | a message of the log was not given to a device that watches its conversation |
 * | lost | `hole` | a seq below the highest is in nobody's log |
 * | lost | `reader_lacks` | one member's log lacks what another's has |
 * | lost | `number_hole` | a producer's number was passed over: not stored, not refused, not skipped |
 * | lost | `package_torn` | a part of a package is missing, or something stands between two parts |
 * | lost | `not_told` | a connected device was not told that there is news |
 * | repeated | `accepted_twice` | two answers say that a message is new |
 * | repeated | `acked_again` | a device was offered again what it had acked |
 * | repeated | `twice_in_log` | one message at two places |
 * | repeated | `delivered_twice` | one device was given a message again |
 * | repeated | `own_delivered` | a device was given what it had sent itself |
 * | swapped | `log_order` | the log has one device's messages in another order than it sent them |
 * | swapped | `delivery_order` | a device was given a smaller seq after a larger one |
 * | swapped | `real_time` | a message sent after another's ack stands before it |
 * | changed | `bytes` | a body is not what was sent |
 * | changed | `phantom` | nobody sent this |
 * | changed | `place_reused` | one (conversation, epoch, seq) named two messages |
 * | changed | `acks_disagree` | two answers for one message |
 * | changed | `elsewhere` | an ack or delivery names another place than the log |
 * | changed | `refused_in_log` | a message with a final refusal was stored |
 * | changed | `mid_reused` | two messages have one mid, or a later one the smaller |
 * | changed | `not_visible` | a device saw what its user may not see |
 *
 * @typedef {import('./history.js').HistoryEvent} HistoryEvent
 * @typedef {'lost' | 'repeated' | 'swapped' | 'changed'} Count
 * @typedef {{ count: Count, rule: string, user?: string, device?: string, conv?: string, id?: string, epoch?: number, seq?: number, detail?: string }} Finding
 * @typedef {object} Verdict
 * @property {number} sent messages handed over by the application
 * @property {number} acked
 * @property {number} delivered to handlers, all devices together
 * @property {number} lost
 * @property {number} repeated
 * @property {number} swapped
 * @property {number} changed
 * @property {number} redone deliveries that came again because the device's process was killed before it had saved how far it was
 * @property {Finding[]} findings
 */
import { checkDeliveries } from './deliveries.js';
import { Log } from './log.js';
import { isVoidBy, messageKey, placeOf } from './names.js';
import { checkNumbers } from './numbers.js';
import { checkSights } from './sights.js';

/**
 * @param {Iterable<HistoryEvent>} events each device's in the order in which they happened there
 * @returns {Verdict}
 */
export function judge(events) {
  const run = sortOut(events);
  /** @type {Finding[]} */
  const findings = [];
  const log = new Log(run, findings);
  log.check();
  checkSends(run, log, findings);
  checkOrder(run, log, findings);
  checkNumbers(run, log, findings);
  checkSights(run, log, findings);
  const { delivered, redone } = checkDeliveries(run, log, findings);
  const count = (/** @type {Count} */ wanted) => findings.filter(({ count }) => count === wanted).length;
  return {
    sent: run.sends.size,
    acked: [...run.sends.values()].filter(({ ack }) => ack).length,
    delivered,
    lost: count('lost'),
    repeated: count('repeated'),
    swapped: count('swapped'),
    changed: count('changed'),
    redone,
    findings,
  };
}

/** @param {Verdict} verdict */
export const isClean = ({ lost, repeated, swapped, changed }) => lost + repeated + swapped + changed === 0;

/**
 * @typedef {object} Sent one message of the application
 * @property {HistoryEvent} invoke
 * @property {HistoryEvent} [ack] the first
 * @property {HistoryEvent} [nack]
 * @property {boolean} kept
 *
 * @typedef {object} Run the history by subject
 * @property {Map<string, Sent>} sends by messageKey
 * @property {HistoryEvent[]} log
 * @property {HistoryEvent[]} gone
 * @property {HistoryEvent[]} voids
 * @property {Map<string, HistoryEvent[]>} devices `deliver` and `restart` of each (user, device), in order
 * @property {HistoryEvent[]} watches
 * @property {HistoryEvent[]} acks
 * @property {Set<string>} producers (user, device) that sent anything
 * @property {HistoryEvent[]} skips
 * @property {HistoryEvent[]} sights `see`, `confirm` and `told`, in order
 */

/** @param {Iterable<HistoryEvent>} events @returns {Run} */
function sortOut(events) {
  /** @type {Run} */
  const run = {
    sends: new Map(),
    log: [],
    gone: [],
    voids: [],
    devices: new Map(),
    watches: [],
    acks: [],
    producers: new Set(),
    skips: [],
    sights: [],
  };
  /** @type {HistoryEvent[]} */
  const answers = [];
  const all = [...events];
  run.voids = all.filter(({ op }) => op === 'void');
  for (const event of run.voids.length > 0 ? all.map((one) => inLineage(one, run.voids)) : all) {
    const device = `${event.user} ${event.device}`;
    if (event.op === 'invoke') {
      run.sends.set(messageKey(event, event.user, event.device), { invoke: event, kept: false });
      run.producers.add(device);
    } else if (event.op === 'ack' || event.op === 'nack' || event.op === 'keep') answers.push(event);
    else if (event.op === 'log') run.log.push(event);
    else if (event.op === 'gone') run.gone.push(event);
    else if (event.op === 'void') continue;
    else if (event.op === 'watch') run.watches.push(event);
    else if (event.op === 'skip') run.skips.push(event);
    else if (event.op === 'see' || event.op === 'confirm' || event.op === 'told') run.sights.push(event);
    else if (run.devices.has(device)) run.devices.get(device)?.push(event);
    else run.devices.set(device, [event]);
  }
  for (const answer of answers) {
    const sent = run.sends.get(messageKey(answer, answer.user, answer.device));
    if (answer.op === 'ack') run.acks.push(answer);
    if (!sent) continue;
    if (answer.op === 'ack') sent.ack ??= answer;
    else if (answer.op === 'nack') sent.nack ??= answer;
    else sent.kept = true;
  }
  return run;
}

/** The epoch of all places that a store which went back still has, or has since. */
const LINEAGE = Number.MAX_SAFE_INTEGER;

/**
 * Where a store went back, a place that survived keeps its number and may be told under a later epoch: it is the same place.
 *
 * @param {HistoryEvent} event
 * @param {HistoryEvent[]} voids
 * @returns {HistoryEvent}
 */
function inLineage(event, voids) {
  if (event.op === 'void' || event.seq === undefined || event.epoch === undefined) return event;
  if (event.op !== 'log' && voids.some((it) => isVoidBy(event, it))) return event;
  return { ...event, epoch: LINEAGE };
}

/** What became of each message that was sent. @param {Run} run @param {Log} log @param {Finding[]} findings */
function checkSends(run, log, findings) {
  for (const [key, { invoke, ack, nack, kept }] of run.sends) {
    const { user, device, conv, id } = invoke;
    const stored = log.find(key);
    // What went back with the store is sent again, and may be refused then.
    const isAcked = ack && !(nack && log.isVoid(ack));
    if (!stored && (isAcked || (kept && !nack)))
      findings.push({ count: 'lost', rule: 'not_in_log', user, device, conv, id });
    if (stored && nack && !ack)
      findings.push({ count: 'changed', rule: 'refused_in_log', user, device, conv, id, detail: nack.code });
  }
  /** @type {Set<string>} */
  const accepted = new Set();
  for (const ack of run.acks) {
    if (log.isVoid(ack)) continue;
    const { user, device, conv, id, epoch, seq } = ack;
    const key = messageKey(ack, user, device);
    const sent = run.sends.get(key)?.ack;
    const first = sent && log.isVoid(sent) ? ack : sent;
    const finding = { user, device, conv, id, epoch, seq };
    if (ack.dup === false && accepted.has(key))
      findings.push({ count: 'repeated', rule: 'accepted_twice', ...finding });
    if (ack.dup === false) accepted.add(key);
    if (!first) findings.push({ count: 'changed', rule: 'phantom', ...finding, detail: 'ack' });
    else if (!isSamePlace(ack, first)) findings.push({ count: 'changed', rule: 'acks_disagree', ...finding });
    else if (ack === first) {
      const stored = log.find(key);
      if (stored && !isSamePlace(ack, stored))
        findings.push({ count: 'changed', rule: 'elsewhere', ...finding, detail: 'ack' });
    }
  }
}

/** @param {HistoryEvent} a @param {HistoryEvent} b */
function isSamePlace(a, b) {
  return a.epoch === b.epoch && a.seq === b.seq && (a.mid === undefined || b.mid === undefined || a.mid === b.mid);
}

/** One device's order, and the order of what did not overlap in time. @param {Run} run @param {Log} log @param {Finding[]} findings */
function checkOrder(run, log, findings) {
  for (const places of log.conversations()) {
    /** @type {Map<string, number>} */
    const lastOf = new Map();
    for (const stored of places) {
      const sent = run.sends.get(messageKey(stored, stored.from, stored.fromDevice));
      if (!sent || sent.invoke.number === null) continue;
      const producer = `${stored.from} ${stored.fromDevice}`;
      const n = sent.invoke.n ?? 0;
      if (n < (lastOf.get(producer) ?? 0)) findings.push({ count: 'swapped', rule: 'log_order', ...placeOf(stored) });
      lastOf.set(producer, Math.max(n, lastOf.get(producer) ?? 0));
    }
    // From the end: the earliest ack of all that stands behind.
    let ackedBehind = Infinity;
    for (const stored of places.toReversed()) {
      const sent = run.sends.get(messageKey(stored, stored.from, stored.fromDevice));
      // What went back with the store came again when it could.
      if (!sent || (sent.ack && log.isVoid(sent.ack))) continue;
      if ((sent.invoke.t ?? -Infinity) > ackedBehind)
        findings.push({ count: 'swapped', rule: 'real_time', ...placeOf(stored) });
      ackedBehind = Math.min(ackedBehind, sent.ack?.t ?? Infinity);
    }
  }
}
