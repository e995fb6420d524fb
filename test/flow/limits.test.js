// Rates over all connections of a user and of an address, on a real server: warned about, then 4429.
import assert from 'node:assert/strict';
import { RawClient, login } from './support/raw-client.js';
import { cleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';

describe('flow: limits', () => {
  let server;
  afterEach(cleanUp);
  const start = async (limits, more = {}) => (server = await startServer({ memory: true, limits, ...more }));
  const enter = async (user, device, address) => {
    const headers = address ? { 'x-forwarded-for': address } : {};
    const client = await RawClient.open({ port: server.port, headers });
    client.send({ t: 'hello', v: 1, device, pe: 1, token: user });
    await client.take('welcome');
    return client;
  };
  /** Asks so often, in one frame, and gives how often it was refused. */
  const refusals = async (client, times) => {
    client.send(...Array.from({ length: times }, (_, i) => ({ t: 'counts', rid: `x${i}` })));
    let refused = 0;
    for (let i = 0; i < times; i++) {
      const answer = await client.take(({ t }) => t === 'counts' || t === 'error');
      if (answer.t === 'error') {
        assert.deepEqual([answer.code, answer.retry > 0], ['rate_limited', true]);
        refused += 1;
      }
    }
    return refused;
  };

  it('a user has one rate over all devices: warned, then closed with 4429', async () => {
    await start({ rate: 0, userRate: 5 });
    const [phone, laptop, bob] = [
      await enter('alice', 'phone'),
      await enter('alice', 'laptop'),
      await enter('bob', 'b'),
    ];
    assert.equal(await refusals(phone, 40), 0);
    const refused = await refusals(laptop, 30);
    assert.ok(refused > 0, 'the other device had taken its part');
    const nack = await laptop.say(DM, 'message-1', 1, { n: 1 });
    if (nack.t === 'nack') assert.deepEqual([nack.code, nack.retry > 0], ['rate_limited', true]);
    assert.equal(await refusals(bob, 40), 0, 'others notice nothing');
    laptop.send(...Array.from({ length: 300 }, (_, i) => ({ t: 'counts', rid: i })));
    assert.equal(await laptop.closed, 4429);
    assert.equal((await bob.ask({ t: 'counts' })).t, 'counts');
  });

  it('ten times limits.rate is what a user has where nothing is said', async () => {
    await start({ rate: 1 });
    const clients = [];
    for (let i = 0; i < 18; i++) clients.push(await enter('alice', `d${i}`));
    const refused = await Promise.all(clients.map((client) => refusals(client, 9)));
    assert.deepEqual(refused.slice(0, 10), Array(10).fill(0), 'within the rate of each');
    assert.ok(refused.at(-1) > 0, 'and beyond that of all together');
  });

  it('an address has one rate, and behind a trusted proxy each client has its own', async () => {
    await start({ rate: 0, addressRate: 3 }, { trustProxy: true });
    const [alice, carol, bob] = [
      await enter('alice', 'a', '192.0.2.1'),
      await enter('carol', 'c', '192.0.2.2, 192.0.2.1'),
      await enter('bob', 'b', '192.0.2.2'),
    ];
    assert.equal(await refusals(alice, 25), 0);
    assert.ok((await refusals(carol, 25)) > 0, 'of the same address, whatever it wrote before it');
    assert.equal(await refusals(bob, 25), 0);
  });

  it('new connections of a user, and of an address, have a rate', async () => {
    /** How connections end, one after the other: 'welcome', or a close code. */
    const ends = async (users) => {
      const codes = new Set();
      for (const [i, user] of users.entries()) {
        const client = await RawClient.open(server);
        client.send({ t: 'hello', v: 1, device: `d${i}`, pe: 1, token: user });
        const welcomed = client.take('welcome').then(() => 'welcome', () => client.closed); // prettier-ignore
        codes.add(await Promise.race([client.closed, welcomed]));
      }
      return [...codes];
    };
    await start({ userConnects: 1 });
    assert.deepEqual(await ends(Array(40).fill('alice')), ['welcome', 4429]);
    assert.deepEqual(await ends(['bob']), ['welcome']);
    await start({ addressConnects: 1 });
    assert.deepEqual(await ends(Array.from({ length: 40 }, (_, i) => `user-${i}`)), ['welcome', 4429]);
  });

  it('takes nothing before the hello, and one frame of it', async () => {
    await start({});
    const client = await RawClient.open(server);
    client.send(
      { t: 'send', conv: DM, id: 'message-1', body: 1 },
      { t: 'hello', v: 1, device: 'd', pe: 1, token: 'alice' },
    );
    assert.equal(await client.closed, 4400);
    const alice = await login(server, 'alice');
    assert.deepEqual((await alice.ask({ t: 'counts' })).convs, []);
  });
});
