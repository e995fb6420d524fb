// Every bad vector of test/vectors against the real server: the code, the key that the answer names, and a store that
// holds what it held before. The user is in none of the vectors' conversations but dm:alice:bob.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { RawClient, login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const vectors = JSON.parse(readFileSync(new URL('../vectors/bad-packets.json', import.meta.url), 'utf8'));
const MEMBER = 'alice';

/** The frame with its fill. */
function frameOf({ frame, fill = {} }) {
  return Object.entries(fill).reduce(
    (text, [marker, [fillText, times]]) => text.replaceAll(marker, fillText.repeat(times)),
    frame,
  );
}

/** What the server must answer to a refused packet: [type, code] and the key its message names. */
function expectedOf(packet) {
  const isNack = packet.t === 'send' && packet.conv && packet.id;
  // A stranger can't tell whether a conversation exists, also by a broken send.
  const isMember = packet.conv === 'dm:alice:bob';
  const isStranger = isNack && !isMember;
  // A number that is out of turn is the first thing to say of a send, whatever else is wrong with it.
  const isOutOfTurn = isNack && isMember && packet.n > 1;
  const code = isStranger ? 'unknown_conv' : isOutOfTurn ? 'unknown_producer' : packet.error;
  return { t: isNack ? 'nack' : 'error', code, field: code === packet.error ? packet.field : '' };
}

/** All that the server says to a frame, up to its pong or its close. */
async function answersTo(client, text) {
  client.text(text);
  client.send({ t: 'ping' });
  await Promise.race([client.take('pong'), client.closed]).catch(() => client.closed);
  return client.packets.filter(({ t }) => t === 'error' || t === 'nack');
}

function check(answers, expected, name) {
  assert.deepEqual(
    answers.map(({ t, code }) => ({ t, code })),
    expected.map(({ t, code }) => ({ t, code })),
    `${name}: ${JSON.stringify(answers)}`,
  );
  for (const [index, { field }] of expected.entries()) {
    if (field) assert.match(answers[index].message, new RegExp(`"${field}"`), name);
  }
}

describe('flow: bad vectors', () => {
  afterEach(cleanUp);

  it(`answers all ${vectors.length} as written, and stores nothing`, async function () {
    this.timeout(60_000);
    const server = await startServer({ limits: { rate: 0 } });
    const bystander = await login(server, 'bob');
    const before = await bystander.ask({ t: 'counts' });
    for (const [index, vector] of vectors.entries()) {
      const client = await login(server, MEMBER, { device: `v${index}` });
      const answers = await answersTo(client, frameOf(vector));
      const expected = vector.refused
        ? [{ t: 'error', code: vector.refused, field: '' }]
        : vector.packets.filter((packet) => packet.error).map(expectedOf);
      check(answers, expected, vector.name);
      client.ws.terminate();
      await client.closed;
    }
    assert.deepEqual((await bystander.ask({ t: 'counts' })).convs, before.convs);
    assert.equal(server.stats().messages, 0);
  });

  it('ends a connection whose hello is one of them', async function () {
    this.timeout(20_000);
    const server = await startServer();
    for (const vector of vectors.filter(({ packets }) => packets?.[0].t === 'hello' && packets[0].error)) {
      const client = await RawClient.open(server);
      client.text(frameOf(vector));
      const [error, code] = await Promise.all([client.take('error'), client.closed]);
      assert.equal(code, 4400, vector.name);
      assert.match(error.message, new RegExp(`"${vector.packets[0].field}"`), vector.name);
    }
  });
});
