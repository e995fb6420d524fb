// A store is copied, and lives on as its copy: what clients hold beyond it is void, comes again where its sender still
// has it, and is shown once. And what the command line says of a store.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, FileOutbox, createServer } from '../../lib/index.js';
import { login } from './support/raw-client.js';
import { cleanUp, makeDirectory, onCleanUp, spawnServer, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const BIN = fileURLToPath(new URL('../../bin/everyonce.js', import.meta.url));

/** Runs `everyonce` with these arguments, to its end. */
async function everyonce(...args) {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const [code] = await once(child, 'close');
  return { code, ...said };
}

async function backup(data, to = join(makeDirectory(), 'copy')) {
  const { code, out, err } = await everyonce('backup', '--data', data, '--to', to);
  assert.equal(code, 0, err);
  assert.match(out, /to use it: everyonce serve --data/);
  return to;
}

/** What a store holds of a conversation, by `inspect --json`: { about, messages }. */
async function read(data, conv = DM) {
  const { code, out, err } = await everyonce('inspect', '--data', data, '--json', conv);
  assert.equal(code, 0, err);
  const [about, ...messages] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { about, messages };
}

/** A server over a copy, in this process; clients of the first one's port find it there. */
async function startOn(data, port = 0) {
  const server = createServer({ insecure: true, data });
  onCleanUp(() => server.close());
  const { port: taken } = await server.listen(port);
  return Object.assign(server, { port: taken });
}

/** A client with an outbox in `dir`, and the ids that its handler was given, in order. */
function person(user, { port }, dir = makeDirectory()) {
  const outbox = new FileOutbox({ dir });
  const client = new Client({ url: `ws://127.0.0.1:${port}/everyonce`, token: user, outbox, reconnect: { min: 20, max: 100 } }); // prettier-ignore
  const shown = [];
  const gaps = [];
  let change = () => {};
  client.on('message', (message) => {
    shown.push(message);
    change();
  });
  client.on('epoch', (about) => gaps.push(about));
  client.on('error', () => {}); // the connection is cut on purpose
  onCleanUp(() => client.close());
  return {
    client,
    dir,
    shown,
    epochs: gaps,
    ids: () => shown.map(({ id }) => id),
    /** Resolves when the handler was given all of these. */
    async has(ids) {
      while (!ids.every((id) => shown.some((message) => message.id === id))) {
        await new Promise((resolve) => (change = () => resolve(undefined)));
      }
    },
  };
}

describe('flow: backup', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('taken while messages flow, and put in its place: nothing shown twice, nothing of anyone lost', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data });
    const [alice, bob] = [person('alice', first), person('bob', first)];
    await Promise.all([alice.client.connect(), bob.client.connect()]);
    const sent = { alice: [], bob: [] };
    const say = async (user, { client }, body) => sent[user].push((await client.send(DM, body)).id);
    const both = (body) => Promise.all([say('alice', alice, body), say('bob', bob, body)]);
    // A client keeps its last 64 acked messages: more than are sent here, so all of them can come again.
    const made = backup(data);
    for (let i = 0; i < 40; i++) await both(`early ${i}`);
    const copy = await made;
    for (let i = 0; i < 10; i++) await both(`late ${i}`);
    await Promise.all([alice.has(sent.bob), bob.has(sent.alice)]);
    await first.close();

    const held = await read(copy);
    const top = held.messages.length;
    assert.ok(top <= 80, `${top} in the copy`);
    const second = await startOn(copy, first.port);
    // Each one's last message follows all that it has to send again.
    await both('after');
    await Promise.all([alice.has(sent.bob), bob.has(sent.alice)]);

    const { about, messages } = await read(copy);
    assert.deepEqual(
      inOrder(messages.map(({ id }) => id)),
      inOrder([...sent.alice, ...sent.bob]),
      'each is stored once',
    );
    assert.deepEqual(messages.slice(0, top), held.messages, 'what the copy had is as it was');
    for (const [i, { seq, at, mid }] of messages.entries()) {
      assert.equal(seq, i + 1);
      if (i > 0) assert.ok(at >= messages[i - 1].at && BigInt(mid) > BigInt(messages[i - 1].mid), `back at ${seq}`);
    }
    if (top > 0) assert.deepEqual(about.epochs, [about.epochs[0], [about.epoch, top + 1]]);
    assert.deepEqual(inOrder(alice.ids()), inOrder(sent.bob), 'shown to alice once each');
    assert.deepEqual(inOrder(bob.ids()), inOrder(sent.alice), 'shown to bob once each');
    await second.close();
  });

  it('of a stopped store: devices that come back days later, from their files, lose and double nothing', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data });
    const [alice, bob] = [person('alice', first), person('bob', first)];
    await Promise.all([alice.client.connect(), bob.client.connect()]);
    const sent = [];
    for (let i = 0; i < 5; i++) sent.push((await alice.client.send(DM, i)).id);
    await bob.has(sent);
    await first.close();
    const copy = await backup(data);
    // The original lives on for a while, then its disk is gone.
    const again = await startOn(data, first.port);
    for (let i = 5; i < 9; i++) sent.push((await alice.client.send(DM, i)).id);
    await bob.has(sent);
    const lateOfBob = (await bob.client.send(DM, 'of bob')).id;
    await alice.has([lateOfBob]);
    await Promise.all([alice.client.close(), bob.client.close()]);
    await again.close();

    const second = await startOn(copy);
    const [laterBob, carol] = [person('bob', second, bob.dir), person('bob', second)];
    await laterBob.client.connect();
    const laterAlice = person('alice', second, alice.dir);
    await laterAlice.client.connect();
    sent.push((await laterAlice.client.send(DM, 'new')).id);
    await carol.client.connect();
    await Promise.all([laterBob.has(sent.slice(-1)), carol.has([...sent, lateOfBob])]);
    assert.deepEqual(laterBob.ids(), sent.slice(-1), 'what it had shown came again and was not shown again');
    assert.deepEqual(laterAlice.ids(), []);
    assert.deepEqual(laterBob.epochs.map(({ keep, voided }) => [keep, voided]), [[5, 5]]); // prettier-ignore
    const { messages } = await read(copy);
    assert.deepEqual(inOrder(messages.map(({ id }) => id)), inOrder([...sent, lateOfBob]));
    assert.deepEqual(carol.ids(), messages.map(({ id }) => id)); // prettier-ignore
  });

  it('a conversation that the copy has never heard of comes back from those who wrote it', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data });
    const [alice, bob] = [person('alice', first), person('bob', first)];
    await Promise.all([alice.client.connect(), bob.client.connect()]);
    const copy = await backup(data);
    const sent = [];
    for (let i = 0; i < 3; i++) sent.push((await alice.client.send(DM, i)).id);
    await bob.has(sent);
    const ofBob = (await bob.client.send(DM, 'of bob')).id;
    await alice.has([ofBob]);
    await first.close();
    await startOn(copy, first.port);
    sent.push((await alice.client.send(DM, 'after')).id);
    const last = (await bob.client.send(DM, 'after')).id;
    await Promise.all([alice.has([last]), bob.has(sent)]);
    const { messages } = await read(copy);
    assert.deepEqual(inOrder(messages.map(({ id }) => id)), inOrder([...sent, ofBob, last]));
    assert.deepEqual([alice.ids(), bob.ids()], [[ofBob, last], sent]);
  });

  it('positions are judged as the protocol says, and acks beyond the copy do not count for what comes in their place', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data });
    const alice = await login(first, 'alice');
    const bob = await login(first, 'bob');
    for (let n = 1; n <= 4; n++) await alice.say(DM, `message-${n}`, n, { n });
    const copy = await backup(data);
    const acks = [];
    for (let n = 5; n <= 8; n++) acks.push(await alice.say(DM, `message-${n}`, n, { n }));
    for (let n = 1; n <= 8; n++) await bob.take('msg', { id: `message-${n}` });
    const old = acks[0].epoch;
    bob.send({ t: 'got', conv: DM, epoch: old, seq: 8 });
    bob.send({ t: 'read', conv: DM, epoch: old, seq: 8 });
    await bob.settled();
    await first.close();

    const second = await startOn(copy);
    const place = ({ welcome }) => welcome.convs.find(({ conv }) => conv === DM);
    const back = await login(second, 'bob', { pe: 2, at: { [DM]: [old, 8] } });
    const { epoch, head, got, read: readMark, unread, resume, keep } = place(back);
    assert.ok(epoch > old);
    assert.deepEqual([head, got, readMark, unread, resume, keep], [4, 4, 0, 4, 'truncated', 4]);
    const asks = { [DM]: [old, 3], 'dm:bob:carol': [old, 1] };
    const { convs } = await back.ask({ t: 'resume', at: asks });
    assert.deepEqual(
      convs.map(({ conv, resume: judged, keep: kept, epoch: of }) => [conv, judged, kept, of]),
      [
        [DM, 'ok', undefined, epoch],
        ['dm:bob:carol', 'reset', undefined, 0],
      ],
    );
    for (const [at, judged] of [
      [[old, 4], 'ok'],
      [[old, 5], 'truncated'],
      [[old + 1, 1], 'reset'],
      [[epoch, 4], 'ok'],
      [[epoch, 5], 'truncated'],
    ]) {
      const other = await login(second, 'bob', { device: `device-${judged}-${at[1]}`, at: { [DM]: at } });
      assert.equal(place(other).resume, judged, `${at}`);
      assert.equal(place(other).got, judged === 'reset' ? 0 : 4, `${at}`);
    }
    // Another order than before, and one that the first server never had: bob gets them though it had acked up to 8.
    const sender = await login(second, 'alice', { pe: 2 });
    const fresh = [];
    for (let n = 5; n <= 9; n++) fresh.push(await sender.say(DM, `message-${n}`, n, { n }));
    assert.deepEqual(fresh.map((ack) => [ack.seq, ack.epoch, ack.dup]), [5, 6, 7, 8, 9].map((seq) => [seq, epoch, undefined])); // prettier-ignore
    for (const [i, ack] of fresh.slice(0, 4).entries()) {
      assert.ok(ack.at >= acks[i].at && BigInt(ack.mid) > BigInt(acks[3].mid), 'ids and times go on');
    }
    for (let n = 5; n <= 9; n++) assert.equal((await back.take('msg', { id: `message-${n}` })).seq, n);
    // An ack in the old history is cut to what survived of it.
    back.send({ t: 'got', conv: DM, epoch: old, seq: 9 });
    const page = await back.ask({ t: 'pull', conv: DM, limit: 10, order: 'oldest' });
    assert.deepEqual(page.items.map(({ seq }) => seq), [5, 6, 7, 8, 9]); // prettier-ignore
    const dup = await sender.say(DM, 'message-3', 3, { n: 3 });
    assert.deepEqual([dup.dup, dup.seq, dup.epoch], [true, 3, old]);
  });

  it('a copy stays one until its new epochs are durable, however often the process dies', async () => {
    const data = join(makeDirectory(), 'data');
    const first = await startServer({ data });
    await first.publish({ conv: DM, from: 'alice', id: 'message-1', body: 1 });
    const copy = await backup(data);
    const state = () => /state (\w+)/.exec(readFileSync(join(copy, 'everyonce.store'), 'utf8'))?.[1];
    assert.equal(state(), 'restored');
    assert.equal((await read(copy)).about.epochs.length, 1, 'to look at it changes nothing');
    assert.equal(state(), 'restored');
    for (const diesBeforeTheMarkIsGone of [true, true, false]) {
      const { child, exited, listening } = spawnServer('--port', '0', '--insecure', '--data', copy);
      await listening;
      assert.equal(state(), 'ready');
      child.kill('SIGKILL');
      await exited;
      if (diesBeforeTheMarkIsGone) {
        const file = join(copy, 'everyonce.store');
        writeFileSync(file, readFileSync(file, 'utf8').replace('ready', 'restored'));
      }
    }
    // Nobody has touched the conversation yet: its new epoch is still due, and it is one.
    assert.equal((await read(copy)).about.renew, true);
    const second = await startOn(copy);
    const { epoch } = await second.publish({ conv: DM, from: 'alice', id: 'message-2', body: 2 });
    const { about } = await read(copy);
    assert.deepEqual(about.epochs.slice(1), [[epoch, 2]]);
    await second.close();
    const third = await startOn(copy);
    assert.equal((await third.publish({ conv: DM, from: 'alice', id: 'message-3', body: 3 })).epoch, epoch);
  });

  it('--restored and restored: true begin new epochs, a usual start does not', async () => {
    const data = join(makeDirectory(), 'data');
    const epochs = [];
    for (const options of [{}, {}, { restored: true }, {}]) {
      const server = createServer({ insecure: true, data, ...options });
      epochs.push((await server.publish({ conv: DM, from: 'alice', body: 1 })).epoch);
      await server.close();
    }
    const { child, exited, listening } = spawnServer('--port', '0', '--insecure', '--restored', '--data', data);
    const alice = await login({ port: await listening }, 'alice');
    epochs.push((await alice.say(DM, 'message-1', 1, { n: 1 })).epoch);
    child.kill('SIGTERM');
    await exited;
    assert.deepEqual([epochs[1], epochs[3]], [epochs[0], epochs[2]]);
    assert.ok(epochs[2] > epochs[1] && epochs[4] > epochs[3], epochs.join());
    assert.throws(() => createServer({ insecure: true, memory: true, restored: true }), { option: 'restored' });
  });

  it('refuses, and says what to do', async () => {
    const data = join(makeDirectory(), 'data');
    const server = await startServer({ data });
    await server.publish({ conv: DM, from: 'alice', body: 1 });
    const full = makeDirectory();
    writeFileSync(join(full, 'holiday.jpg'), '');
    const fails = async (exit, says, ...args) => {
      const { code, out, err } = await everyonce(...args);
      assert.deepEqual([code, out], [exit, ''], err);
      assert.match(err, says);
    };
    await fails(1, /is not empty \(it has holiday.jpg\): choose/, 'backup', '--data', data, '--to', full);
    await fails(1, /is a file: choose/, 'backup', '--data', data, '--to', join(full, 'holiday.jpg'));
    await fails(1, /lies in the store/, 'backup', '--data', data, '--to', join(data, 'copy'));
    await fails(2, /holds no everyonce store/, 'backup', '--data', full, '--to', join(makeDirectory(), 'copy'));
    await fails(1, /nothing is stored under the name g:none/, 'inspect', '--data', data, 'g:none');
    assert.deepEqual(readdirSync(full), ['holiday.jpg']);
    rmSync(join(data, 'everyonce.sock'));
    await fails(1, /is open in process .*try again/, 'inspect', '--data', data);
    await server.close();
    assert.equal((await everyonce('inspect', '--data', data)).code, 0);
    // A copy that was cut off before its end is no store.
    const copy = await backup(data);
    rmSync(join(copy, 'everyonce.store'));
    assert.throws(() => createServer({ insecure: true, data: copy }), { code: 'STORE_VERSION' });
  });

  it('leaves nothing behind in the data directory, neither of a fetch that was cut off nor of a server that was killed', async () => {
    const data = join(makeDirectory(), 'data');
    const { child, exited, listening } = spawnServer('--port', '0', '--insecure', '--data', data);
    await listening;
    assert.equal(statSync(join(data, 'everyonce.sock')).mode & 0o777, 0o600);
    const [cut, other] = [reach(data), reach(data)];
    const { name } = await cut.ask({ id: 1, do: 'backup' });
    assert.ok(existsSync(join(data, name, 'everyonce.store')));
    const refused = await other.ask({ id: 'x', do: 'backup' });
    assert.deepEqual([refused.id, refused.error.code], ['x', 'BACKUP_REFUSED']);
    cut.socket.destroy();
    let next = refused;
    while (!next.ok) next = await other.ask({ do: 'backup' });
    assert.ok(!existsSync(join(data, name)), 'a copy goes with the one that asked for it');
    assert.ok(existsSync(join(data, next.name)));
    child.kill('SIGKILL');
    await exited;
    const server = await startOn(data);
    assert.deepEqual(await reach(data).ask({ id: 2, do: 'inspect' }), {
      id: 2,
      ok: true,
      found: { convs: [], more: false },
    });
    assert.deepEqual(readdirSync(data).sort(), ['everyonce.lock', 'everyonce.sock', 'everyonce.store', 'rocksdb']);
    await server.close();
    assert.deepEqual(readdirSync(data).sort(), ['everyonce.lock', 'everyonce.store', 'rocksdb']);
  });

  it('answers bad requests on the socket file, and cuts a line without end', async () => {
    const data = join(makeDirectory(), 'data');
    await startServer({ data });
    const peer = reach(data);
    for (const bad of [
      '{',
      '7',
      '{"do":"drop"}',
      '{"do":"inspect","conv":5}',
      '{"do":"inspect","limit":0}',
      '{"do":"inspect","after":3}',
      '{"do":"inspect","conv":"g:a","after":-1}',
    ]) {
      const answer = await peer.ask(bad);
      assert.equal(answer.ok, false, bad);
      assert.equal(typeof answer.error.message, 'string', bad);
    }
    // One that asks and asks, and takes no answer, holds nobody up.
    const deaf = reach(data);
    deaf.socket.pause();
    deaf.socket.write('{"do":"inspect"}\n'.repeat(20_000));
    const { socket } = reach(data);
    socket.write('x'.repeat(200_000));
    await new Promise((closed) => socket.on('close', closed));
    assert.equal((await peer.ask({ do: 'inspect' })).ok, true);
  });

  it('finds the server of a directory whose path is too long for a socket', async () => {
    const data = join(makeDirectory(), 'd'.repeat(120), 'data');
    mkdirSync(join(data, '..'));
    const server = await startServer({ data });
    await server.createConversation({ conv: 'g:team', creator: 'alice', members: ['bob'] });
    const { out, err } = await everyonce('inspect', '--data', data);
    assert.match(out, /^g:team: head 1, 2 members/, err);
    const pointer = readFileSync(join(data, 'everyonce.sock.path'), 'utf8').trim();
    assert.equal(statSync(pointer).mode & 0o777, 0o600);
    await server.close();
    assert.ok(!existsSync(pointer) && !existsSync(join(data, 'everyonce.sock.path')));
  });

  it('inspect shows every conversation and every message, over pages, running and stopped alike', async () => {
    const data = join(makeDirectory(), 'data');
    const server = await startServer({ data });
    for (let i = 0; i < 60; i++)
      await server.createConversation({ conv: `g:c${i}`, creator: 'alice', members: ['bob'] });
    const sends = Array.from({ length: 450 }, (_, i) =>
      server.publish({ conv: DM, from: 'bob', id: `message-${i}`, body: { i } }),
    );
    await Promise.all(sends);
    await server.publish({ conv: DM, from: 'bob', id: 'escapes-1', body: '\u009b31m\u202e' });
    const look = async () => {
      const list = await everyonce('inspect', '--data', data, '--json');
      const one = await read(data);
      const text = await everyonce('inspect', '--data', data, DM);
      return { list: list.out, one, text: text.out };
    };
    const running = await look();
    await server.close();
    assert.deepEqual(await look(), running);
    const list = running.list.trim().split('\n').map((line) => JSON.parse(line)); // prettier-ignore
    assert.equal(list.length, 61);
    assert.deepEqual(inOrder(list.map(({ conv }) => conv)), list.map(({ conv }) => conv)); // prettier-ignore
    assert.deepEqual([running.one.about.head, running.one.about.names], [451, ['alice', 'bob']]);
    assert.deepEqual(running.one.messages.map(({ seq }) => seq), Array.from({ length: 451 }, (_, i) => i + 1)); // prettier-ignore
    assert.match(running.text, /\\u009b31m\\u202e"/);
  });
});

/** @param {string[]} names */
function inOrder(names) {
  return [...names].sort((a, b) => (a < b ? -1 : 1));
}

/** A connection to a server's socket file. */
function reach(data) {
  const socket = connect(join(data, 'everyonce.sock'));
  socket.on('error', () => {});
  onCleanUp(() => socket.destroy());
  const lines = createInterface({ input: socket });
  lines.on('error', () => {});
  return {
    socket,
    /** Says one line, takes the answer. */
    async ask(request) {
      socket.write(`${typeof request === 'string' ? request : JSON.stringify(request)}\n`);
      const [line] = await once(lines, 'line');
      return JSON.parse(line);
    },
  };
}
