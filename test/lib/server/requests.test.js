import assert from 'node:assert/strict';
import { EDGE } from '../../../lib/server/defaults.js';
import { Requests } from '../../../lib/server/requests.js';

function makeRequests(taken = true) {
  const sent = [];
  const requests = new Requests((id, user, bytes) => {
    sent.push({ id, user, packet: JSON.parse(String(bytes)) });
    return taken;
  });
  return { requests, sent };
}

describe('requests', () => {
  it('gives each call its own answer', async () => {
    const { requests, sent } = makeRequests();
    const first = requests.call('alice', { t: 'create', conv: 'g:a' }, {});
    const second = requests.call('', { t: 'send', conv: 'g:a', id: 'x' }, {});
    assert.deepEqual(sent[0].packet, { rid: sent[0].id, t: 'create', conv: 'g:a' });
    assert.deepEqual(sent[1], { id: sent[1].id, user: '', packet: { t: 'send', conv: 'g:a', id: 'x' } });
    requests.answer(sent[1].id, { t: 'ack', seq: 2 });
    requests.answer(sent[0].id, { t: 'ok' });
    assert.deepEqual(await first, { t: 'ok' });
    assert.deepEqual(await second, { t: 'ack', seq: 2 });
    assert.equal(requests.size, 0);
  });

  it('rejects with the code of a nack or an error, and what it concerns', async () => {
    const { requests, sent } = makeRequests();
    const nacked = requests.call('a', { t: 'send' }, { conv: 'g:a', id: 'x' });
    requests.answer(sent[0].id, { t: 'nack', code: 'unavailable', message: 'wait', retry: 50 });
    await assert.rejects(nacked, { code: 'unavailable', retryable: true, retryAfterMs: 50, conv: 'g:a', id: 'x' });
    const refused = requests.call('a', { t: 'history' }, {});
    requests.answer(sent[1].id, { t: 'error', code: 'unsupported', message: 'not yet' });
    await assert.rejects(refused, { code: 'unsupported', retryable: false, message: 'not yet' });
  });

  it('ignores answers that nobody waits for', () => makeRequests().requests.answer(17, { t: 'ok' }));

  it('rejects what the engine does not take, and what JSON can not say', async () => {
    await assert.rejects(makeRequests(false).requests.call('a', { t: 'send' }, {}), { code: 'unavailable' });
    const { requests, sent } = makeRequests();
    await assert.rejects(requests.call('a', { t: 'send', body: 1n }, {}), { code: 'INVALID_ARGUMENT', field: 'body' });
    assert.deepEqual([requests.size, sent.length], [0, 0]);
  });

  it('is bounded, and rejects what is left at the end', async () => {
    const { requests } = makeRequests();
    const calls = Array.from({ length: EDGE.requests }, () => requests.call('a', { t: 'x' }, {}).catch((e) => e.code));
    await assert.rejects(requests.call('a', { t: 'x' }, {}), { code: 'unavailable', retryable: true });
    requests.abandon();
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['CLOSED']));
    assert.equal(requests.size, 0);
  });
});
