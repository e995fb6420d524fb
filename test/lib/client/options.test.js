/** What the client's constructor takes, and what it refuses: docs/protocol.md and the Client of the API against the naive server. */
import assert from 'node:assert/strict';
import { Client } from '../../../lib/client/index.js';
import { DM } from './fake/rules.js';
import { makeWorld } from './fake/world.js';

describe('client: options', () => {
  it('names the option that is wrong', () => {
    const WebSocket = class {};
    assert.throws(() => new Client({ url: 'ws://a' }), { code: 'NO_WEBSOCKET' });
    for (const [option, value] of [
      ['url', 'ftp://a'],
      ['url', undefined],
      ['token', 7],
      ['device', 'a b'],
      ['device', 'server'],
      ['outbox', {}],
      ['ackTimeout', 0],
      ['retries', -1],
      ['reconnect', { min: 5, max: 1 }],
      ['backlog', 'later'],
      ['onIncomplete', 'forget'],
      ['maxAttempts', 0],
      ['maxQueued', 0.5],
    ]) {
      // prettier-ignore
      assert.throws(() => new Client({ url: 'ws://a', WebSocket, [option]: value }), { code: 'INVALID_ARGUMENT', option }, option);
    }
  });

  it('refuses what no server could take, naming the field', async () => {
    const client = makeWorld().makeClient('alice');
    await assert.rejects(client.send('dm:bob:alice', 1), { code: 'INVALID_ARGUMENT', field: 'conv' });
    await assert.rejects(client.send(DM, undefined), { code: 'INVALID_ARGUMENT', field: 'body' });
    await assert.rejects(client.send(DM, 1n), { code: 'INVALID_ARGUMENT', field: 'body' });
    await assert.rejects(client.send(DM, 1, { id: 'short' }), { code: 'INVALID_ARGUMENT', field: 'id' });
    await assert.rejects(client.send(DM, 1, { type: 'system.members' }), { code: 'INVALID_ARGUMENT', field: 'type' });
    await assert.rejects(client.createConversation('dm:a:b', []), { code: 'INVALID_ARGUMENT', field: 'conv' });
    await assert.rejects(client.sendPackage(DM, []), { code: 'INVALID_ARGUMENT', field: 'bodies' });
    await assert.rejects(client.sendPackage(DM, [1, undefined]), { code: 'INVALID_ARGUMENT', field: 'body' });
    assert.deepEqual(client.outbox(), []);
  });
});
