// What protocol.md answers to what is no packet, while two others go on talking and notice nothing.
import assert from 'node:assert/strict';
import { RawClient, login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const BAD = 'dm:bob:mallory';
const send = (body, more = '"n":1') => `{"t":"send","conv":"${BAD}","id":"bad-input-1",${more},"body":${body}}`;
const nest = (depth) => '['.repeat(depth) + ']'.repeat(depth);

/** Frame → what is answered; the connection stays. @type {[string, string, Record<string, unknown>][]} */
const ANSWERED = [
  ['no JSON', '{"t":"ping"', { t: 'error', code: 'bad_request' }],
  ['nothing', '', { t: 'error', code: 'bad_request' }],
  ['a number', '5', { t: 'error', code: 'bad_request' }],
  ['an array of no packets', '[5]', { t: 'error', code: 'bad_request' }],
  ['no t', '{"conv":"g:a"}', { t: 'error', code: 'bad_request' }],
  ['t of the wrong type', '{"t":5,"rid":"x"}', { t: 'error', code: 'bad_request' }],
  ['an unknown t', '{"t":"dance","rid":"x"}', { t: 'error', code: 'unsupported', rid: 'x' }],
  ['a body like {"a":tru}', send('{"a":tru}'), { t: 'error', code: 'bad_request' }],
  ['a body like [1,,2]', send('[1,,2]'), { t: 'error', code: 'bad_request' }],
  ['a body like [01]', send('[01]'), { t: 'error', code: 'bad_request' }],
  ['no body', `{"t":"send","conv":"${BAD}","id":"bad-input-1","n":1}`, { t: 'nack', code: 'bad_request' }],
  ['no id', `{"t":"send","conv":"${BAD}","n":1,"body":1}`, { t: 'error', code: 'bad_request' }],
  ['a bad conv', '{"t":"send","conv":"dm:x","id":"bad-input-1","n":1,"body":1}', { t: 'error', code: 'bad_request' }],
  ['n of 0', send('1', '"n":0'), { t: 'nack', code: 'bad_request' }],
  ['n as text', send('1', '"n":"1"'), { t: 'nack', code: 'bad_request' }],
  ['n beyond 2^53', send('1', '"n":9007199254740993'), { t: 'nack', code: 'bad_request' }],
  ['a reserved type', send('1', '"type":"system.members"'), { t: 'nack', code: 'bad_request' }],
  ['a body too deep', send(nest(65)), { t: 'nack', code: 'bad_request' }],
  ['a body too large', send(`"${'x'.repeat(16_385)}"`), { t: 'nack', code: 'too_large' }],
  ['a frame of brackets', nest(20_000), { t: 'error', code: 'bad_request' }],
  ['got without seq', '{"t":"got","conv":"dm:bob:mallory"}', { t: 'error', code: 'bad_request' }],
  [
    'pull of a bad order',
    '{"t":"pull","rid":1,"order":"sideways","limit":1}',
    { t: 'error', code: 'bad_request', rid: 1 },
  ],
  ['pull with a forged next', '{"t":"pull","rid":1,"order":"oldest","limit":1,"next":"AAAA"}', { t: 'error', code: 'bad_request', rid: 1 }], // prettier-ignore
  ['status of no list', '{"t":"status","rid":1,"conv":"dm:bob:mallory","ids":{}}', { t: 'error', code: 'bad_request' }],
  ['create of a dm', '{"t":"create","rid":1,"conv":"dm:a:b","members":[]}', { t: 'error', code: 'bad_request' }],
];

/** What ends the connection that sent it. @type {[string, (client: RawClient) => void, number][]} */
const CLOSED = [
  ['a binary frame', (client) => client.ws.send(Buffer.from('{"t":"ping"}')), 4400],
  ['a frame above limits.frame', (client) => client.text(`{"t":"ping","x":"${'x'.repeat(65_536)}"}`), 1009],
  [
    'bytes that are not UTF-8',
    (client) => client.ws.send(Buffer.from('{"t":"\xff"}', 'latin1'), { binary: false }),
    1007,
  ],
  ['an 11th bad packet within a minute', (client) => Array.from({ length: 11 }, () => client.text('{')), 4400],
];

describe('flow: bad input', () => {
  let server;
  let alice;
  let bob;
  let mallory;
  let n;
  beforeEach(async () => {
    server = await startServer({ memory: true });
    [alice, bob, mallory] = [await login(server, 'alice'), await login(server, 'bob'), await login(server, 'mallory')];
    n = 0;
  });
  afterEach(cleanUp);

  /** alice and bob exchange one more message, in order, and hear nothing else. */
  const chat = async () => {
    n += 1;
    assert.equal((await alice.say(DM, `chatting-${n}`, n, { n })).seq, n);
    assert.equal((await bob.take('msg')).seq, n);
    assert.deepEqual(bob.packets.filter(({ t }) => t !== 'head' && t !== 'receipt'), []); // prettier-ignore
  };

  for (const [what, frame, expected] of ANSWERED) {
    it(`${what}: ${expected.t} ${expected.code}`, async () => {
      await chat();
      mallory.text(frame);
      const answer = await mallory.take((packet) => packet.t === 'error' || packet.t === 'nack');
      const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, answer[key]]));
      assert.deepEqual(seen, expected, JSON.stringify(answer));
      assert.equal(typeof answer.message, 'string');
      await chat();
      await mallory.settled();
    });
  }

  for (const [what, act, code] of CLOSED) {
    it(`${what}: closed with ${code}`, async () => {
      await chat();
      act(mallory);
      assert.equal(await mallory.closed, code);
      await chat();
    });
  }

  it('a bad frame uses no n; a bad send that could be read uses its own', async () => {
    mallory.text(send('[01]'));
    await mallory.take('error');
    assert.equal((await mallory.say(BAD, 'bad-input-1', 'good', { n: 1 })).t, 'ack');
    mallory.text(send(nest(65), '"n":2').replace('bad-input-1', 'bad-input-2'));
    assert.equal((await mallory.take('nack')).n, 2);
    assert.equal((await mallory.say(BAD, 'bad-input-3', 'good', { n: 3 })).seq, 2);
  });

  it('garbage before the hello closes that connection alone', async () => {
    for (const frame of [
      '{',
      '[]',
      '"hello"',
      '{"t":"hello"}',
      `{"t":"hello","v":1,"device":"${'d'.repeat(65)}","pe":1}`,
    ]) {
      const stranger = await RawClient.open(server);
      stranger.text(frame);
      if (frame === '[]') {
        // No packet at all: the hello is still owed.
        stranger.send({ t: 'hello', v: 1, device: 'd', pe: 1, token: 'eve' });
        await stranger.take('welcome');
      } else {
        assert.equal(await stranger.closed, 4400, frame);
      }
      await chat();
    }
  });
});
