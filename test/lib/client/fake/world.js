import { Client, MemoryOutbox } from '../../../../lib/client/index.js';
import { FakeNetwork } from './network.js';
import { FakeServer } from './server.js';
import { VirtualClock, seeded } from './clock.js';

/** A server, a network and clients under one clock and one seed. */
export function makeWorld(seed = 1) {
  const random = seeded(seed);
  const clock = new VirtualClock();
  const server = new FakeServer({ clock, random });
  const network = new FakeNetwork({ clock, random, server });
  const clients = [];

  /** A client with what its handler got in `received` and what it reported in `events`. */
  function makeClient(user, options = {}) {
    const { handler = () => {}, listen = true, ...rest } = options;
    const client = new Client({
      url: 'ws://server',
      token: user,
      outbox: new MemoryOutbox(),
      clock,
      random,
      WebSocket: network.WebSocket,
      ...rest,
    });
    client.received = [];
    client.events = [];
    if (listen) {
      client.on('message', (message) => {
        client.received.push(message);
        return handler(message);
      });
    }
    for (const event of ['state', 'outbox', 'receipt', 'signal', 'gap', 'epoch', 'moved', 'error', 'read', 'device']) {
      client.on(event, (...about) => client.events.push({ event, about: about[0], more: about[1] }));
    }
    client.of = (event) => client.events.filter((entry) => entry.event === event).map((entry) => entry.about);
    clients.push(client);
    return client;
  }

  /** Connects and lets it happen. */
  async function online(...some) {
    const connected = Promise.all(some.map((client) => client.connect()));
    await clock.advance(100);
    await connected;
  }

  return { clock, random, server, network, clients, makeClient, online };
}
