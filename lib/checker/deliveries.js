/** What each device's handler was given, against the log. */
import { comparePlaces, messageKey } from './names.js';

/**
 * @typedef {import('./history.js').HistoryEvent} HistoryEvent
 * @typedef {import('./judge.js').Run} Run
 * @typedef {import('./judge.js').Finding} Finding
 * @typedef {import('./log.js').Log} Log
 */

/**
 * @param {Run} run
 * @param {Log} log
 * @param {Finding[]} findings
 * @returns {{ delivered: number, redone: number }}
 */
export function checkDeliveries(run, log, findings) {
  let delivered = 0;
  let redone = 0;
  /** @type {Map<string, Set<string>>} */
  const given = new Map();
  for (const [device, events] of run.devices) {
    const check = new DeviceCheck(run, log, findings);
    for (const event of events) {
      if (event.op === 'restart') check.restart();
      else check.deliver(event);
    }
    delivered += events.filter(({ op }) => op === 'deliver').length;
    redone += check.redone;
    given.set(device, check.given);
  }
  for (const watch of run.watches) checkComplete(watch, given, log, findings);
  return { delivered, redone };
}

/** @param {HistoryEvent} watch @param {Map<string, Set<string>>} given @param {Log} log @param {Finding[]} findings */
function checkComplete({ user, device, conv = '', seq: start = 0, except = [] }, given, log, findings) {
  const had = given.get(`${user} ${device}`);
  const visible = log.visibility(conv);
  // Whoever is out can't be sent what is left to come.
  if (!visible.isMember(user)) return;
  for (const stored of log.conversation(conv)) {
    const { from, fromDevice, id, epoch, seq = 0 } = stored;
    if (seq <= start || !visible.shows(user, seq)) continue;
    if (from === user && (fromDevice === device || except.includes(String(fromDevice)))) continue;
    if (had?.has(messageKey(stored, from, fromDevice))) continue;
    findings.push({ count: 'lost', rule: 'not_delivered', user, device, conv, id, epoch, seq });
  }
}

class DeviceCheck {
  /** Names of all that it was given. @type {Set<string>} */
  given = new Set();
  redone = 0;
  #run;
  #log;
  #findings;
  /** The place last given, by conversation. @type {Map<string, HistoryEvent>} */
  #last = new Map();
  /** Conversations in which nothing was given since the process was started again. @type {Set<string>} */
  #fresh = new Set();
  /** What was given before the last kill and may come once more. @type {Set<string>} */
  #mayRedo = new Set();

  /** @param {Run} run @param {Log} log @param {Finding[]} findings */
  constructor(run, log, findings) {
    this.#run = run;
    this.#log = log;
    this.#findings = findings;
  }

  restart() {
    this.#fresh = new Set(this.#last.keys());
    this.#mayRedo = new Set(this.given);
  }

  /** @param {HistoryEvent} event */
  deliver(event) {
    const { user, device, from, fromDevice, conv = '' } = event;
    const key = messageKey(event, from, fromDevice);
    if (from === user && fromDevice === device) this.#add('repeated', 'own_delivered', event);
    this.#checkContent(event, key);
    this.#checkOrder(event, conv);
    if (!this.given.has(key)) this.given.add(key);
    else if (this.#mayRedo.delete(key)) this.redone += 1;
    else this.#add('repeated', 'delivered_twice', event);
  }

  /** @param {HistoryEvent} event @param {string} conv */
  #checkOrder(event, conv) {
    if (this.#log.isVoid(event)) return;
    const last = this.#last.get(conv);
    // After a kill it goes back to what it had saved, and on in order from there.
    const wentBack = this.#fresh.delete(conv);
    const ahead = last === undefined || comparePlaces(event, last) > 0;
    if (!ahead && !wentBack && comparePlaces(event, last) < 0)
      this.#add('swapped', 'delivery_order', event, `after ${last.seq}`);
    if (ahead || wentBack) this.#last.set(conv, event);
  }

  /** @param {HistoryEvent} event @param {string} key */
  #checkContent(event, key) {
    const stored = this.#log.at(event);
    const sent = this.#run.sends.get(key);
    if (!sent && event.from !== 'system') this.#add('changed', 'phantom', event, 'delivered');
    if (sent && sent.invoke.hash !== event.hash) this.#add('changed', 'bytes', event, 'delivered');
    if (this.#log.isVoid(event)) return;
    if (!stored && !this.#log.isGone(event))
      this.#add('changed', 'elsewhere', event, 'delivered, the log has nothing there');
    if (stored && messageKey(stored, stored.from, stored.fromDevice) !== key) {
      this.#add('changed', 'place_reused', event, `the log has ${stored.id} there`);
    } else if (stored && !this.#log.visibility(String(event.conv)).shows(event.user, event.seq ?? 0)) {
      this.#add('changed', 'not_visible', event, 'delivered');
    }
  }

  /**
   * @param {import('./judge.js').Count} count
   * @param {string} rule
   * @param {HistoryEvent} event
   * @param {string} [detail]
   */
  #add(count, rule, { user, device, conv, id, epoch, seq }, detail) {
    this.#findings.push({ count, rule, user, device, conv, id, epoch, seq, detail });
  }
}
