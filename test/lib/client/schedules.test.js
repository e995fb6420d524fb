/**
 * Random schedules: clients of several users and devices under a network that drops, repeats, delays and cuts, a server
 * that restarts, refuses and (in some) loses the end of a log. Then the faults stop, and everything must be as promised.
 */
import assert from 'node:assert/strict';
import { seeded } from './fake/clock.js';
import { makeWorld } from './fake/world.js';
import { chosenSeed } from '../../support/seed.js';

const DM = 'dm:alice:bob';
const GROUP = 'g:all';
const SEEDS = Number(process.env.EVERYONCE_SEEDS ?? 10);
const FIRST_SEED = chosenSeed();

const key = (m) => `${m.from}/${m.device}/${m.id}`;

/** One run of the schedule that `seed` names. */
async function run(seed, { truncating = false, tokens = false } = {}) {
  const world = makeWorld(seed);
  const { clock, server, network, makeClient } = world;
  const chance = seeded(seed ^ 0x5eed);
  const pick = (list) => list[Math.floor(chance() * list.length)];
  server.groups.set(GROUP, ['alice', 'bob', 'carol']);
  server.limits.rate = chance() < 0.3 ? 50 : 0;
  if (tokens) Object.assign(server, { tokens: 'required', tokenTtlMs: 5_000 + chance() * 60_000 });
  // A handler that takes its time, and sometimes fails, in virtual time.
  const handler = async (message) => {
    if (chance() < 0.1) await new Promise((resolve) => clock.setTimeout(resolve, chance() * 300));
    if (chance() < 0.02) throw new Error(`handler fails at ${message.seq}`);
  };
  const clients = ['alice', 'alice', 'bob', 'carol'].map((user) => makeClient(user, { handler, maxAttempts: 50 }));
  await world.online(...clients);

  const sent = [];
  const send = (client, conv) => {
    const body = { text: `${sent.length}`, pad: 'x'.repeat(chance() * 50) };
    const record = { client, conv, body, outcome: null };
    sent.push(record);
    client.send(conv, body).then(
      (ack) => (record.outcome = ack),
      (error) => (record.outcome = error),
    );
  };
  Object.assign(network.faults, {
    drop: chance() * 0.05,
    repeat: chance() * 0.05,
    cut: chance() * 0.01,
    latencyMs: 1 + chance() * 200,
  });
  server.unavailable = chance() * 0.05;
  for (let step = 0; step < 120; step++) {
    const dice = chance();
    const client = pick(clients);
    const conv = client.user === 'carol' ? GROUP : pick([DM, GROUP]);
    if (dice < 0.7) for (let i = chance() * 6; i > 0; i--) send(client, conv);
    else if (dice < 0.74) network.cutAll();
    else if (dice < 0.76) network.faults.refuse = !network.faults.refuse;
    else if (dice < 0.78 && truncating)
      server.truncate(conv, Math.floor(server.conversation(conv).head * (0.7 + chance() * 0.3)));
    else if (dice < 0.8 && tokens) {
      server.tokens = server.tokens ? undefined : 'required';
      for (const connection of [...server.connections]) connection.end(1012);
    } else await clock.advance(chance() * 3000);
    if (chance() < 0.3) await clock.advance(chance() * 200);
  }
  if (tokens) server.tokenTtlMs = Infinity;
  Object.assign(network.faults, { drop: 0, repeat: 0, cut: 0, refuse: false });
  server.unavailable = 0;
  await clock.advance(200_000);
  return { ...world, sent, clients };
}

/** What every run must end with. */
function judge({ server, sent, clients }, { truncating = false } = {}) {
  const logs = [...server.conversations.values()];
  const seen = new Map();
  for (const log of logs) {
    log.messages.forEach((message, index) => assert.equal(message.seq, index + 1, 'dense'));
    for (const message of log.messages) {
      assert.ok(!seen.has(key(message)), `stored twice: ${key(message)}`);
      seen.set(key(message), message);
    }
    for (const client of clients) {
      const numbers = log.messages.filter((m) => m.from === client.user && m.device === client.device).map((m) => m.n);
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
        'the order of sending is kept',
      );
    }
  }
  for (const { client, conv, body, outcome } of sent) {
    assert.ok(outcome, `never settled: ${body.text}`);
    if (outcome instanceof Error) assert.equal(outcome.code, 'UNCONFIRMED');
    const stored = server.conversations.get(conv).messages.filter((m) => m.body.text === body.text);
    assert.equal(stored.length, 1, `${body.text} is stored ${stored.length} times`);
    assert.deepEqual(stored[0].body, body);
    if (!(outcome instanceof Error) && !truncating) assert.equal(stored[0].seq, outcome.seq);
    assert.equal(stored[0].from, client.user);
  }
  for (const client of clients) {
    assert.deepEqual(client.outbox(), []);
    for (const log of logs.filter(({ conv }) => server.isMember(conv, client.user))) {
      const expected = log.messages.filter((m) => m.device !== client.device).map(key);
      const received = client.received.filter((m) => m.conv === log.conv).map(key);
      // The handler may fail: what counts is that it went through, so repeats in a row are one.
      const once = received.filter((k, index) => index === 0 || k !== received[index - 1]);
      if (truncating) {
        assert.deepEqual([...once].sort(), [...expected].sort(), `${client.user} in ${log.conv}`);
      } else assert.deepEqual(once, expected, `${client.user} in ${log.conv}`);
      assert.equal(log.got(`${client.user}/${client.device}`), log.head, 'all is acked');
    }
  }
}

describe('client: random schedules', function () {
  this.timeout(120_000);

  it(`stores and shows everything once, in order (seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1})`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        judge(await run(seed));
      } catch (error) {
        throw new Error(`EVERYONCE_SEED=${seed}: ${error.message}`, { cause: error });
      }
    }
  });

  it(`the same where tokens are required at times, and run out (seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1})`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        judge(await run(seed, { tokens: true }));
      } catch (error) {
        throw new Error(`EVERYONCE_SEED=${seed}: ${error.message}`, { cause: error });
      }
    }
  });

  it(`recovers what a server lost of its log (seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1})`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        judge(await run(seed, { truncating: true }), { truncating: true });
      } catch (error) {
        throw new Error(`EVERYONCE_SEED=${seed}: ${error.message}`, { cause: error });
      }
    }
  });
});
