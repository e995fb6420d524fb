// What an operator watches, as Prometheus text. Each server has a registry of its own, so that several in one process do
// not mix; values that the engine counts are read when they are asked for.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import { addFeedMetrics } from './feed-metrics.js';

/** Counters of the engine's stats(): metric name → [key of stats, what it counts]. @type {Record<string, [string, string]>} */
export const ENGINE_COUNTERS = {
  everyonce_packets_total: ['packets', 'packets received'],
  everyonce_messages_accepted_total: ['acks', 'sends acked, duplicates included'],
  everyonce_duplicates_total: ['duplicates', 'sends that had been accepted before'],
  everyonce_nacks_total: ['nacks', 'sends refused'],
  everyonce_errors_total: ['errors', 'other packets refused'],
  everyonce_unavailable_total: ['unavailable', 'sends refused because the store was down or slow'],
  everyonce_pushes_total: ['pushes', 'messages written to receivers'],
  everyonce_redeliveries_total: ['redeliveries', 'messages pushed again for want of an ack'],
  everyonce_pages_total: ['pages', 'pages pulled'],
  everyonce_replaced_total: ['replaced', 'connections closed by a newer one of the same device'],
  everyonce_commits_total: ['groups', 'groups committed to the log'],
  everyonce_commands_total: ['commands', 'commands in those groups'],
  everyonce_syncs_total: ['syncs', 'syncs of the store'],
  everyonce_removed_messages_total: ['removedMessages', 'messages removed by retention'],
  everyonce_removed_bytes_total: ['removedBytes', 'bytes of their records'],
  everyonce_retention_runs_total: [
    'retentionRuns',
    'rounds of retention over all conversations that came to their end',
  ],
  everyonce_retention_failures_total: ['retentionFailures', 'conversations that retention could not look at'],
  everyonce_redis_refusals_total: [
    'redisRefusals',
    'times that Redis refused a password, or one side the certificate of the other',
  ],
  everyonce_bells_rung_total: ['bellsRung', 'bells given to other server processes'],
  everyonce_bells_heard_total: ['bellsHeard', 'bells of other server processes'],
  everyonce_bells_dropped_total: ['bellsDropped', 'bells not given out, since too much waited or Redis was away'],
  everyonce_bells_lost_total: ['bellsLost', 'bells of others that are known to have been missed'],
  everyonce_bell_gaps_total: ['bellGaps', 'times that messages were given out though one before them had not come'],
  everyonce_catch_ups_total: ['catchUps', 'connections that were sent to read what no bell told them of'],
  everyonce_resubscriptions_total: ['resubscriptions', 'subscriptions to bells that had to be made again'],
};

/**
 * @typedef {object} MetricsSource
 * @property {() => Record<string, any>} stats the engine's counters
 * @property {() => number} connections open now
 * @property {() => number} inboxBytes received and not yet taken by the engine
 * @property {() => number} requests application calls without an answer
 * @property {import('./feeds.js').Feeds} [feeds] consumer groups
 */

export class Metrics {
  #registry = new Registry();
  #delay = monitorEventLoopDelay({ resolution: 20 });
  #source;
  #traffic;
  #closes;
  // Plain numbers on the hot path; prom-client's labels cost a look-up each.
  #bytesIn = 0;
  #bytesOut = 0;

  /** @param {MetricsSource} source */
  constructor(source) {
    this.#source = source;
    this.#delay.enable();
    const registers = [this.#registry];
    for (const [name, [key, help]] of Object.entries(ENGINE_COUNTERS)) {
      new Counter({ name, help, registers, collect: copyInto(() => Number(source.stats()[key] ?? 0)) });
    }
    this.#gauge('everyonce_connections', 'open WebSockets', () => source.connections());
    this.#gauge('everyonce_inbox_bytes', 'received, waiting for the engine', () => source.inboxBytes());
    this.#gauge('everyonce_requests', 'calls of the application without an answer', () => source.requests());
    this.#gauge('everyonce_group_size', 'commands per commit so far', () => this.#groupSize());
    this.#gauge(
      'everyonce_retention_timestamp_seconds',
      'when the last round of retention ended; 0: none has',
      () => Number(source.stats().retentionAt ?? 0) / 1000,
    );
    this.#gauge('everyonce_subscriptions', 'channels of bells subscribed to', () =>
      Number(source.stats().subscriptions ?? 0),
    );
    this.#gauge('everyonce_event_loop_delay_seconds', 'p99 since the last look', () => this.#takeDelay());
    if (source.feeds) addFeedMetrics(this.#registry, source.feeds);
    this.#traffic = new Counter({
      name: 'everyonce_bytes_total',
      help: 'bytes of frames',
      labelNames: ['direction'],
      registers,
    });
    this.#closes = new Counter({
      name: 'everyonce_closes_total',
      help: 'closed connections',
      labelNames: ['code'],
      registers,
    });
  }

  /** @param {number} bytes of one received frame */
  received(bytes) {
    this.#bytesIn += bytes;
  }

  /** @param {number} bytes of one written run of frames */
  wrote(bytes) {
    this.#bytesOut += bytes;
  }

  /** @param {number} code a connection's close code */
  closed(code) {
    // Any peer may send any code; only so many may become time series.
    const isOurs = code === 1000 || code === 1001 || code === 1006 || (code >= 1007 && code <= 1013) || code >= 4400;
    this.#closes.inc({ code: isOurs && code < 4430 ? String(code) : 'other' });
  }

  /** @returns {Promise<string>} */
  text() {
    this.#traffic.reset();
    this.#traffic.inc({ direction: 'in' }, this.#bytesIn);
    this.#traffic.inc({ direction: 'out' }, this.#bytesOut);
    return this.#registry.metrics();
  }

  get contentType() {
    return this.#registry.contentType;
  }

  /** Lets go of the event loop's histogram. */
  stop() {
    this.#delay.disable();
  }

  /**
   * @param {string} name
   * @param {string} help
   * @param {() => number} read
   */
  #gauge(name, help, read) {
    new Gauge({ name, help, registers: [this.#registry], collect: copyInto(read) });
  }

  #groupSize() {
    const { commands = 0, groups = 0 } = this.#source.stats();
    return groups === 0 ? 0 : commands / groups;
  }

  #takeDelay() {
    const seconds = this.#delay.percentile(99) / 1e9;
    this.#delay.reset();
    return Number.isFinite(seconds) ? seconds : 0;
  }
}

/**
 * prom-client calls `collect` on the metric itself.
 *
 * @param {() => number} read
 * @returns {(this: Counter | Gauge) => void}
 */
function copyInto(read) {
  return function () {
    this.reset();
    this.inc(read());
  };
}
