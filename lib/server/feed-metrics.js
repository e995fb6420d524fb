// What an operator watches of consumer groups: how far behind they are, and what they gave up.

import { Counter, Gauge } from 'prom-client';

/** Gauges: metric name → what it tells, of a group's lag at a time. @type {Record<string, [string, (lag: import('./feeds.js').Lag, nowMs: number) => number]>} */
export const FEED_GAUGES = {
  everyonce_consumer_lag_messages: ['accepted messages that the group has not passed', (lag) => lag.messages],
  everyonce_consumer_lag_seconds: [
    'age of the oldest message that the group has not passed',
    ({ messages, oldest }, nowMs) => (messages === 0 || oldest === 0 ? 0 : Math.max(0, nowMs - oldest) / 1000),
  ],
  everyonce_consumer_dead_letters: ['messages that were given up, and wait for a replay', (lag) => lag.deadLetters],
};

/** Counters of this process: metric name → [member of Counts, what it counts]. @type {Record<string, [keyof import('./feeds.js').Counts, string]>} */
export const FEED_COUNTERS = {
  everyonce_consumer_handled_total: ['handled', 'messages handled'],
  everyonce_consumer_repeated_total: ['repeated', 'messages that had been handled before, or whose bizId had'],
  everyonce_consumer_failed_total: ['failed', 'attempts that failed'],
  everyonce_consumer_parked_total: ['parked', 'messages given up as dead letters'],
};

/**
 * @param {import('prom-client').Registry} registry
 * @param {import('./feeds.js').Feeds} feeds
 */
export function addFeedMetrics(registry, feeds) {
  const registers = [registry];
  const labelNames = ['group'];
  for (const [name, [help, read]] of Object.entries(FEED_GAUGES)) {
    new Gauge({
      name,
      help,
      registers,
      labelNames,
      async collect() {
        this.reset();
        // A server that is closing has no lag to tell.
        const groups = await feeds.list().catch(() => []);
        for (const { group } of groups) {
          const lag = await feeds.lag(group).catch(() => undefined);
          if (lag) this.set({ group }, read(lag, Date.now()));
        }
      },
    });
  }
  for (const [name, [member, help]] of Object.entries(FEED_COUNTERS)) {
    new Counter({
      name,
      help,
      registers,
      labelNames,
      async collect() {
        this.reset();
        const groups = await feeds.list().catch(() => []);
        for (const { group } of groups) this.inc({ group }, feeds.counts(group)[member]);
      },
    });
  }
}
