/** @typedef {import('./history.js').HistoryEvent} HistoryEvent */

/**
 * Names one message: whoever sent it, and its id, are what stays the same over retries.
 *
 * @param {{ conv?: string, id?: string }} message
 * @param {string | undefined} user that sent it
 * @param {string | undefined} device
 */
export const messageKey = ({ conv, id }, user, device) => `${user} ${device} ${conv} ${id}`;

/** @param {HistoryEvent} stored of `log` @returns {{ user?: string, device?: string, conv?: string, id?: string, epoch?: number, seq?: number }} for a finding */
export function placeOf({ from, fromDevice, conv, id, epoch, seq }) {
  return { user: from, device: fromDevice, conv, id, epoch, seq };
}

/**
 * Whether a place was lost when the store went back as `it` says.
 *
 * @param {HistoryEvent} place
 * @param {HistoryEvent} it of `void`
 */
export const isVoidBy = ({ conv, epoch = 0, seq = 0 }, it) =>
  it.conv === conv && epoch <= (it.epoch ?? 0) && seq > (it.seq ?? 0);

/**
 * Below 0 where `a` stands before `b` in their conversation.
 *
 * @param {HistoryEvent} a
 * @param {HistoryEvent} b
 */
export const comparePlaces = (a, b) => (a.epoch ?? 0) - (b.epoch ?? 0) || (a.seq ?? 0) - (b.seq ?? 0);
