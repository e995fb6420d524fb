import assert from 'node:assert/strict';
import { Metrics } from '../../../lib/server/metrics.js';

const source = (stats) => ({ stats: () => stats, connections: () => 3, inboxBytes: () => 4, requests: () => 5 });

/** @returns {Map<string, number>} sample → value */
function parse(text) {
  const samples = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('metrics', () => {
  it("says what the engine and the edge count, each server's own", async () => {
    const stats = { acks: 10, groups: 2, commands: 12 };
    const [one, other] = [new Metrics(source(stats)), new Metrics(source({}))];
    one.received(100);
    one.wrote(7);
    one.closed(4409);
    one.closed(3333);
    one.closed(3334);
    const samples = parse(await one.text());
    assert.equal(samples.get('everyonce_messages_accepted_total'), 10);
    assert.equal(samples.get('everyonce_group_size'), 6);
    assert.equal(samples.get('everyonce_connections'), 3);
    assert.equal(samples.get('everyonce_bytes_total{direction="in"}'), 100);
    assert.equal(samples.get('everyonce_bytes_total{direction="out"}'), 7);
    assert.equal(samples.get('everyonce_closes_total{code="4409"}'), 1);
    assert.equal(samples.get('everyonce_closes_total{code="other"}'), 2);
    stats.acks = 11;
    assert.equal(parse(await one.text()).get('everyonce_messages_accepted_total'), 11);
    assert.equal(parse(await other.text()).get('everyonce_bytes_total{direction="in"}'), 0);
    one.stop();
    other.stop();
  });
});
