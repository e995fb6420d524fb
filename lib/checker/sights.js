/** What devices saw, had acked, and were told of. */
import { messageKey } from './names.js';

/**
 * @typedef {import('./history.js').HistoryEvent} HistoryEvent
 * @typedef {import('./judge.js').Run} Run
 * @typedef {import('./judge.js').Finding} Finding
 * @typedef {import('./log.js').Log} Log
 */

/** @param {Run} run @param {Log} log @param {Finding[]} findings */
export function checkSights(run, log, findings) {
  /** By device and conversation, what is acked for good. @type {Map<string, Set<number>>} */
  const acked = new Map();
  for (const event of run.sights) {
    const { op, user, device, conv = '', epoch, seq = 0, to = seq, id } = event;
    const about = { user, device, conv, id, epoch, seq };
    const key = `${user} ${device} ${conv}`;
    if (op === 'confirm') {
      if (!acked.has(key)) acked.set(key, new Set());
      for (let each = seq; each <= to; each++) acked.get(key)?.add(each);
    } else if (op === 'told') {
      if (seq < to) findings.push({ count: 'lost', rule: 'not_told', ...about, detail: `of ${to}` });
    } else {
      checkSight(event, about, log, findings);
      // Reading back shows what is acked, too.
      if (event.how !== 'history' && acked.get(key)?.has(seq))
        findings.push({ count: 'repeated', rule: 'acked_again', ...about, detail: event.how });
    }
  }
}

/** @param {HistoryEvent} sight @param {object} about @param {Log} log @param {Finding[]} findings */
function checkSight(sight, about, log, findings) {
  const { user, device, conv = '', seq = 0, from, fromDevice, how } = sight;
  const stored = log.at(sight);
  /** @type {(rule: string, detail?: string) => void} */
  const changed = (rule, detail) => void findings.push({ count: 'changed', rule, ...about, detail });
  if (!stored && log.isGone(sight)) return;
  if (!stored) changed('elsewhere', `${how}, the log has nothing there`);
  else if (messageKey(stored, stored.from, stored.fromDevice) !== messageKey(sight, from, fromDevice))
    changed('place_reused', `${how}, the log has ${stored.id} there`);
  else if (stored.hash !== sight.hash) changed('bytes', how);
  if (how !== 'history' && from === user && fromDevice === device)
    findings.push({ count: 'repeated', rule: 'own_delivered', ...about, detail: how });
  if (stored && !log.visibility(conv).shows(user, seq)) changed('not_visible', how);
}
