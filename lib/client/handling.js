/**
 * Calling the application's message handlers: one after the other, awaited, again after a back-off where one throws, and
 * not for ever, so that one bad message never blocks a conversation.
 */
import { EveryonceError } from '../protocol/index.js';
import { backoff } from './clock.js';

const AGAIN = { min: 100, max: 10_000 };

/**
 * @param {import('./inbox.js').Message} message
 * @param {Pick<import('./inbox.js').InboxHost, 'clock' | 'random' | 'handlers' | 'maxAttempts' | 'emit'>} host
 * @returns {Promise<boolean>} true when it counts as handled; false where there is no handler any more
 */
export async function handleMessage(message, host) {
  const { id, conv, epoch, seq, type } = message;
  if (type === 'system.gone') {
    host.emit('gap', { conv, epoch, from: seq, to: seq, reason: 'gone' });
    return true;
  }
  const done = new Set();
  for (let attempt = 1; ; attempt++) {
    const handlers = host.handlers();
    if (handlers.length === 0) return false;
    try {
      for (const handler of handlers) {
        if (done.has(handler)) continue;
        await handler(message);
        done.add(handler);
      }
      return true;
    } catch (cause) {
      if (attempt >= host.maxAttempts) {
        const about = { id, conv, attempts: attempt, cause, handled: message };
        host.emit('error', new EveryonceError('HANDLER_FAILED', undefined, about));
        return true;
      }
      const waitMs = backoff(AGAIN, attempt - 1, host.random);
      await new Promise((resolve) => host.clock.setTimeout(() => resolve(undefined), waitMs));
    }
  }
}
