// A random life of a chat, by hand over real sockets; and all that its clients can see and ask of it, to compare two servers.

import { seeded } from '../../lib/client/fake/clock.js';
import { login } from './raw-client.js';

const USERS = ['alice', 'bob', 'carol', 'dave'];
const GROUPS = ['g:late', 'g:open'];
const CONVS = ['dm:alice:bob', 'dm:alice:carol', 'dm:bob:dave', 'dm:alice:dave', ...GROUPS];
/** Of the servers whose history it is. */
export const LIMITS = { body: 2_000, rate: 0 };
const TOO_LARGE = 'x'.repeat(LIMITS.body + 1);

/**
 * @typedef {object} Sent what a device sent under one n
 * @property {number} n
 * @property {Record<string, any>[]} packets as they were sent
 */

/**
 * @typedef {object} Known what its devices and the application know of a life
 * @property {{ user: string, device: string, at: Record<string, [number, number]>, sent: Map<string, Sent[]> }[]} devices
 * @property {Record<string, any>[]} published
 */

/**
 * @param {import('../../../lib/server/server.js').Server & { port: number }} server with LIMITS and `dedup.tokens` accepted
 * @param {number} seed
 * @param {number} steps
 * @returns {Promise<Known>}
 */
export async function liveRandomly(server, seed, steps) {
  const random = seeded(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const upTo = (most) => 1 + Math.floor(random() * most);
  const published = [];
  const devices = [];
  for (const user of USERS) {
    for (const device of user === 'carol' ? ['carol-1'] : [`${user}-1`, `${user}-2`]) {
      const client = await login(server, user, { device, live: false });
      devices.push({ user, device, client, at: {}, sent: new Map() });
    }
  }
  let count = 0;
  const body = () => pick([count, { text: `número ${count} ☃`, deep: [[], {}] }, 'plain', null, 'y'.repeat(upTo(500))]);
  const nextN = (device, conv) => {
    if (!device.sent.has(conv)) device.sent.set(conv, []);
    return (device.sent.get(conv).at(-1)?.to ?? 0) + 1;
  };
  const tell = async (device, conv, n, packets) => {
    device.client.send(...packets);
    const answers = await answersTo(device.client, packets);
    // Who is no stranger uses its n, whatever the answer.
    if (answers[0].code === 'unknown_conv' && device.sent.get(conv).length === 0) return;
    device.sent.get(conv).push({ n, to: n, packets });
    if (answers[0].t === 'ack') device.at[conv] = [answers[0].epoch, answers[0].seq];
  };
  const send = async (device, conv, more = {}) => {
    const n = nextN(device, conv);
    await tell(device, conv, n, [{ t: 'send', conv, n, id: `message-${seed}-${++count}`, body: body(), ...more }]);
  };
  const acts = {
    send: (device, conv) => send(device, conv),
    burst: async (device, conv, messages = upTo(100)) => {
      for (let i = messages; i > 0; i--) await send(device, conv);
    },
    refused: (device, conv) => send(device, conv, { body: TOO_LARGE }),
    async package(device, conv, refused = random() < 0.3) {
      const n = nextN(device, conv);
      const total = 1 + upTo(4);
      const pkg = (i) => ({ id: `package-${seed}-${n}`, i, total });
      const packets = Array.from({ length: total }, (_, i) => ({
        t: 'send',
        conv,
        n,
        id: `part-${i}-${seed}-${++count}`,
        pkg: pkg(i),
        body: refused && i === total - 1 ? TOO_LARGE : body(),
      }));
      await tell(device, conv, n, packets);
    },
    async skip(device, conv) {
      const from = nextN(device, conv);
      const to = from + upTo(pick([2, 200])) - 1;
      const answer = await device.client.ask({ t: 'skip', conv, from, to });
      if (answer.t === 'ok') device.sent.get(conv).push({ n: from, to, packets: [] });
    },
    async token(device, conv) {
      const { tokens } = await device.client.ask({ t: 'tokens', count: 1 });
      await send(device, conv, { id: tokens[0] });
    },
    async publish({ user }, conv) {
      const message = {
        conv,
        from: user,
        id: `published-${seed}-${++count}`,
        type: pick(['text', 'app.note']),
        body: body(),
      };
      await server.publish(message).then(
        () => published.push(message),
        () => {},
      );
    },
    async got({ client }, conv) {
      const from = upTo(60);
      client.send({ t: 'got', conv, ...pick([{ from, to: from + upTo(20) }, { seq: from }]) });
      await client.settled();
    },
    async read({ client }, conv) {
      client.send({ t: 'read', conv, seq: upTo(200) });
      await client.settled();
    },
    async members({ client, user }) {
      const conv = pick(GROUPS);
      const members = USERS.filter((name) => name !== user && random() < 0.5);
      const history = conv === 'g:open' ? { history: 'all' } : {};
      const change = [
        { t: 'create', members, ...history },
        { t: 'add', members },
        { t: 'remove', members },
        { t: 'leave' },
      ];
      await client.ask({ conv, ...pick(change) });
    },
  };
  const draw = ['send', 'send', 'send', 'send', 'burst', 'refused', 'package', 'package', 'skip', 'token', 'publish', 'publish', 'got', 'got', 'read', 'members', 'members']; // prettier-ignore
  // Whatever is drawn: answers in old blocks, one of them a refusal, and more than retention keeps.
  await acts.refused(devices[0], CONVS[0]);
  await acts.burst(devices[0], CONVS[0], 140);
  await devices[0].client.ask({ t: 'create', conv: 'g:late', members: ['bob', 'carol'] });
  for (let i = 0; i < steps; i++) await acts[pick(draw)](pick(devices), pick(CONVS));
  for (const { client } of devices) await client.close();
  return { devices: devices.map(({ client: _client, ...known }) => known), published };
}

/** Acks and nacks, in the order of what they answer. */
async function answersTo(client, packets) {
  const answers = [];
  for (const { id } of packets) answers.push(await client.take((p) => 'ack nack'.includes(p.t) && p.id === id));
  return answers;
}

/** Both pages of a walk that gives `next`, or goes on behind what it brought. */
async function walk(client, packet, step) {
  const items = [];
  for (let more = true, where = {}, pages = 0; more; pages++) {
    if (pages > 100) throw new Error(`${JSON.stringify({ ...packet, ...where })} has no end`);
    const page = await client.ask({ ...packet, ...where });
    if (page.t === 'error') return page.code;
    items.push(...page.items);
    ({ more, where } = step(page, items));
  }
  return items;
}

/**
 * All that can be seen and asked of a server, by each device and by the application.
 *
 * @param {import('../../../lib/server/server.js').Server & { port: number }} server
 * @param {Known} known
 * @returns {Promise<Record<string, any>>} by what it is about
 */
export async function lookAtAll(server, { devices, published }) {
  /** @type {Record<string, any>} */
  const seen = {};
  for (const { user, device, at, sent } of devices) {
    const client = await login(server, user, { device, at, live: false });
    seen[`${device} welcome`] = client.welcome.convs;
    seen[`${device} counts`] = await client.ask({ t: 'counts' }).then(({ rid: _rid, ...counts }) => counts);
    for (const order of ['oldest', 'newest']) {
      seen[`${device} pull ${order}`] = await walk(client, { t: 'pull', limit: 50, order, hold: true }, ({ next }) => ({
        more: next !== undefined,
        where: { next },
      }));
    }
    for (const conv of CONVS) {
      const name = `${device} ${conv}`;
      const back = ({ items, more }) => ({ more, where: { before: items[0]?.seq ?? items[0]?.from } });
      const forth = ({ more, items }) => ({ more, where: { after: items.at(-1)?.seq ?? items.at(-1)?.to } });
      seen[`${name} back`] = await walk(client, { t: 'history', conv, limit: 40, before: 2 ** 40 }, back);
      seen[`${name} forth`] = await walk(client, { t: 'history', conv, limit: 40, after: 0 }, forth);
      const all = sent.get(conv) ?? [];
      const ids = all.flatMap(({ packets }) => packets.map(({ id }) => id)).slice(-99);
      const { found = [], ...status } = await client.ask({ t: 'status', conv, ids: [...ids, 'never-was-sent'] });
      found.sort((a, b) => a.seq - b.seq); // in no order
      status.unknown?.sort();
      seen[`${name} status`] = { ...status, found };
      for (const { n, packets } of all) {
        if (packets.length === 0) {
          seen[`${name} ${n} skipped`] = await client.say(conv, 'another-id-than-any', 1, { n });
          continue;
        }
        client.send(...packets);
        const answers = await answersTo(client, packets);
        seen[`${name} ${n}`] = answers;
        // Of what was refused long ago, or as a package, a store on a disk keeps no ids.
        if (answers[0].t !== 'ack') continue;
        seen[`${name} ${n} other`] = await client.say(conv, 'another-id-than-any', 1, { n });
      }
      const last = all.at(-1)?.to ?? 0;
      // An id of the last 64 n under a new one.
      const known = all.findLast(
        ({ n, packets }) => n > last - 64 && seen[`${name} ${n}`]?.[0].t === 'ack' && packets.length > 0,
      );
      const used = known?.packets[0].id;
      if (used) seen[`${name} used`] = await client.say(conv, used, 1, { n: last + 1 });
      seen[`${name} gap`] = await client.say(conv, 'far-ahead-of-all', 1, { n: last + 3 });
    }
    await client.close();
  }
  for (const message of published) {
    const told = (body) => server.publish({ ...message, body }).catch(({ code }) => code);
    seen[`published ${message.id}`] = [await told(message.body), await told('another body')];
  }
  return seen;
}
