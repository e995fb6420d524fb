// rediss://: TLS to Redis by Node's own OpenSSL, with real servers and certificates made for the run.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as listen } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { migrate } from '../../lib/cli/migrate.js';
import { serve } from '../../lib/cli/serve.js';
import { Dedup, EveryonceError } from '../../lib/index.js';
import { loadAddon } from '../../lib/server/native.js';
import { createServer } from '../../lib/server/server.js';
import { Authority } from '../support/certificates.js';
import { ServerProcess } from '../faults/server-process.js';
import { freePort } from '../support/free-port.js';
import { login } from './support/raw-client.js';
import { startRedis } from './support/redis.js';
import { startTlsRedis } from './support/redis-tls.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from './support/servers.js';

const DM = 'dm:alice:bob';
const id = (n) => `message-${String(n).padStart(4, '0')}`;

describe('flow: TLS to Redis', () => {
  /** @type {Authority} */
  let authority;
  /** @type {import('../support/certificates.js').Pair} */
  let pair;
  before(() => {
    authority = new Authority();
    pair = authority.issue();
  });
  afterEach(cleanUp);

  const on = (url, tls) => ({ data: undefined, redis: { nodes: [url], tls: { ca: authority.cert, ...tls } } });

  it('a server on rediss:// does what it does on redis://, over a restart of Redis, too', async () => {
    const redis = await startTlsRedis(pair, authority, '--appendonly', 'yes', '--appendfsync', 'always');
    const server = await startServer(on(redis.url, { ca: Buffer.from(authority.cert) }));
    const alice = await login(server, 'alice');
    const bob = await login(server, 'bob');
    const first = await alice.say(DM, id(1), { text: 'hi' }, { n: 1 });
    assert.deepEqual([first.t, first.seq, first.safe], ['ack', 1, 'disk']);
    assert.deepEqual((await bob.take('msg')).body, { text: 'hi' });
    await redis.kill();
    const waiting = alice.say(DM, id(2), 'again', { n: 2 });
    await redis.start();
    let answer = await waiting;
    while (answer.code === 'unavailable') answer = await alice.say(DM, id(2), 'again', { n: 2 });
    assert.deepEqual([answer.t, answer.seq], ['ack', 2]);
    // The bells go through connections of their own.
    const other = await startServer(on(redis.url));
    await login(other, 'bob', { device: 'second' });
    const isHeard = async () => /^everyonce_bells_heard_total [1-9]/m.test(await other.metrics());
    for (let n = 3; !(await isHeard()); n++) await alice.say(DM, id(n), 'to another process', { n });
  });

  it('a password, a database, a host by name; the primitives by the same options', async () => {
    const redis = await startTlsRedis(pair, authority, '--requirepass', 'hunter2');
    const url = `rediss://:hunter2@localhost:${redis.port}/3`;
    const dedup = new Dedup({ store: { redis: on(url).redis }, windowMs: 60_000 });
    onCleanUp(() => dedup.close());
    assert.deepEqual([await dedup.check('a'), await dedup.check('a')], ['new', 'duplicate']);
    const wrong = new Dedup({ store: { redis: { nodes: [url] } }, windowMs: 60_000 });
    onCleanUp(() => wrong.close());
    await assert.rejects(wrong.check('a'), { code: 'REDIS_TLS', option: 'store.redis' });
  });

  it('asks for certificates: of whom, in what name, until when, and brings its own', async () => {
    const other = new Authority();
    const [good, wrong, nameless, old, strict] = await Promise.all([
      startTlsRedis(pair, authority),
      startTlsRedis(authority.issue({ names: 'DNS:elsewhere.example' }), authority),
      startTlsRedis(authority.issue({ names: '', subject: '/CN=localhost' }), authority),
      startTlsRedis(authority.issue({ days: -1 }), authority),
      startTlsRedis(pair, authority, '--tls-auth-clients', 'yes'),
    ]);
    const ours = ({ cert, key }) => ({ cert, key });
    const ca = authority.cert;
    const byName = (redis) => redis.url.replace('127.0.0.1', 'localhost');
    const cases = [
      [good.url, { ca: [other.cert, ca] }],
      [byName(good), { ca }],
      [good.url, undefined, /self-signed certificate in certificate chain/],
      [good.url, { ca: other.cert }, /certificate/],
      [good.url, { rejectUnauthorized: false }],
      [good.url, { ca, servername: 'localhost' }],
      [good.url, { ca, servername: 'elsewhere.example' }, /hostname mismatch/],
      [wrong.url, { ca }, /IP address mismatch/],
      [byName(wrong), { ca }, /hostname mismatch/],
      [wrong.url, { ca, servername: 'elsewhere.example' }],
      // RFC 9525: a name that stands in the subject alone is none.
      [byName(nameless), { ca }, /hostname mismatch/],
      [old.url, { ca }, /has expired/],
      [strict.url, { ca }, /certificate required/],
      [strict.url, { ca, ...ours(other.issue()) }, /unknown ca/],
      [strict.url, { ca, ...ours(authority.issue({ subject: '/CN=client' })) }],
    ];
    for (const [i, [url, tls, why]] of cases.entries()) {
      const open = () => createServer({ insecure: true, redis: { nodes: [url], tls } });
      if (why === undefined) await open().close();
      else assert.throws(open, refusal('REDIS_TLS', 'redis', why), `case ${i}`);
    }
  });

  it('says what is no certificate and no key, by option, and shows none of it', async () => {
    const { cert, key } = authority.issue();
    const broken = '-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n';
    const url = 'rediss://:hunter2@127.0.0.1:1';
    for (const [tls, option] of [
      [{ ca: broken }, 'ca'],
      [{ ca: [authority.cert, broken] }, 'ca'],
      [{ ca: authority.cert + broken }, 'ca'],
      [{ ca: [], cert: broken, key }, 'cert'],
      [{ ca: [], cert, key: cert }, 'key'],
      [{ ca: [], cert, key: pair.key }, 'key'],
      [{ ca: [], cert, key: authority.encrypt(pair, 'hunter2') }, 'key'],
      [{ ca: '/etc/ssl/ca.pem' }, 'ca'],
      [{ ca: 1 }, 'ca'],
      [{ cert }, 'key'],
      [{ key }, 'cert'],
      [{ servername: '' }, 'servername'],
      [{ servername: 'a\0b' }, 'servername'],
      [{ rejectUnauthorized: 0 }, 'rejectUnauthorized'],
      [{ passphrase: 'hunter2' }, 'passphrase'],
      [{ cert, key, passphrase: '' }, 'passphrase'],
      [{ cert, key, passphrase: 'x'.repeat(1024) }, 'passphrase'],
      [{ cert, key, password: 'hunter2' }, 'password'],
    ]) {
      const named = `redis.tls.${option}`;
      const open = () => createServer({ insecure: true, redis: { nodes: [url], tls } });
      assert.throws(open, refusal('BAD_OPTION', named, new RegExp(named)), named);
      const store = () => new Dedup({ store: { redis: { nodes: [url], tls } }, windowMs: 1000 });
      assert.throws(store, refusal('BAD_OPTION', `store.${named}`, /./), `store.${named}`);
    }
    const mixed = { nodes: [url, 'redis://127.0.0.1:1'] };
    for (const [redis, option] of [
      [mixed, 'redis.nodes'],
      [{ nodes: ['redis://127.0.0.1:1'], tls: {} }, 'redis.tls'],
      [{ nodes: [url], tls: null }, 'redis.tls'],
    ]) {
      assert.throws(() => createServer({ insecure: true, redis }), refusal('BAD_OPTION', option, /./), option);
    }
    assert.throws(() => new (loadAddon().Redis)(mixed), { code: 'BAD_OPTION', field: 'redis.nodes' });
  });

  it('a key with a passphrase: opened, asked for, or refused as REDIS_TLS', async () => {
    const strict = await startTlsRedis(pair, authority, '--tls-auth-clients', 'yes');
    const ours = authority.issue({ subject: '/CN=client' });
    for (const key of [authority.encrypt(ours, 'hunter2'), authority.encrypt(ours, 'hunter2', 'PKCS 8')]) {
      const tls = (/** @type {string} */ passphrase) => on(strict.url, { cert: ours.cert, key, passphrase });
      const server = await startServer(tls('hunter2'));
      const source = new Dedup({ store: server, windowMs: 60_000 }); // by the server's own certificate
      onCleanUp(() => source.close());
      assert.equal(await source.check(key), 'new');
      await source.close();
      await server.close();
      const wrong = () => createServer({ insecure: true, ...tls('hunter3') });
      assert.throws(wrong, refusal('REDIS_TLS', 'redis.tls.passphrase', /does not open the key/));
      const store = { redis: tls('hunter3').redis };
      assert.throws(
        () => new Dedup({ store, windowMs: 1000 }),
        refusal('REDIS_TLS', 'store.redis.tls.passphrase', /does not open the key/),
      );
    }
    await (await startServer(on(strict.url, { cert: ours.cert, key: ours.key, passphrase: 'none is needed' }))).close();
  });

  it('a certificate that runs out while the server runs is told as REDIS_TLS; with a good one it goes on by itself', async () => {
    const old = authority.issue({ days: -1 });
    const redis = await startTlsRedis(pair, authority);
    const admin = new Redis(redis.port, '127.0.0.1', { tls: { ca: authority.cert, rejectUnauthorized: false } });
    onCleanUp(() => admin.disconnect());
    /** @type {any[]} */
    const errors = [];
    const logger = { error: (/** @type {any} */ { err }) => errors.push(err) };
    const server = await startServer({ ...on(redis.url), logger });
    const dedup = new Dedup({ store: server, windowMs: 60_000 });
    onCleanUp(() => dedup.close());
    const alice = await login(server, 'alice');
    const say = async (/** @type {number} */ n) => alice.say(DM, id(n), n, { n });
    const health = async () => (await fetch(`http://127.0.0.1:${server.port}/everyonce/healthz`)).status;
    assert.deepEqual([(await say(1)).t, await dedup.check('a'), await health()], ['ack', 'new', 200]);

    const use = ({ certFile, keyFile }) =>
      admin.call('CONFIG', 'SET', 'tls-cert-file', certFile, 'tls-key-file', keyFile);
    await use(old);
    assert.equal((await say(2)).t, 'ack', 'what is connected stays so');
    await admin.client('KILL', 'TYPE', 'normal');
    const refused = await say(3);
    assert.deepEqual([refused.t, refused.code], ['nack', 'unavailable']);
    assert.match(refused.message, /certificate has expired/);
    await assert.rejects(dedup.check('b'), { code: 'REDIS_TLS', option: 'store.redis' });
    assert.equal(await health(), 503);
    assert.deepEqual([errors[0]?.code, /certificate has expired/.test(errors[0]?.message)], ['REDIS_TLS', true]);
    assert.match(await server.metrics(), /^everyonce_redis_refusals_total [1-9]/m);

    await use(pair);
    let answer = await say(3);
    while (answer.code === 'unavailable') answer = await say(3);
    assert.deepEqual([answer.t, answer.seq], ['ack', 3]);
    // Its connection is tried again within two seconds.
    const check = () => dedup.check('b').catch((/** @type {any} */ { code }) => code);
    let told = await check();
    while (told === 'REDIS_TLS') {
      await new Promise((resolve) => setImmediate(resolve)); // it is refused at once, and the loop has to turn for it to connect
      told = await check();
    }
    assert.deepEqual([told, await health()], ['new', 200]);
  });

  it('TLS on one side only, and a server that says nothing, are told within the deadline', async () => {
    const plain = await startRedis();
    const secured = await startTlsRedis(pair, authority);
    const silent = await peer(() => {});
    const noise = await peer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const { Redis: Client } = loadAddon();
    const cases = [
      [plain.url.replace('redis:', 'rediss:'), 'REDIS_UNREACHABLE', /to TLS \(without it/],
      [secured.url.replace('rediss:', 'redis:'), 'REDIS_UNREACHABLE', /if it speaks TLS, the URL begins with rediss/],
      [`rediss://127.0.0.1:${silent}`, 'REDIS_UNREACHABLE', /no answer within 2000 ms to TLS/],
      [`rediss://127.0.0.1:${noise}`, 'REDIS_TLS', /TLS: /],
    ];
    const ask = async ([url, code, why]) => {
      const client = new Client({ nodes: [url], tls: { ca: [authority.cert] } });
      onCleanUp(() => client.close());
      await assert.rejects(client.describe(), (error) => error.code === code && why.test(error.message), url);
    };
    await Promise.all(cases.map(ask));
  });

  it('TLS 1.2, and nothing older', async () => {
    const old = await startTlsRedis(pair, authority, '--tls-protocols', 'TLSv1.2');
    await createServer({ insecure: true, ...on(old.url) }).close();
    const older = await startTlsRedis(
      pair,
      authority,
      '--tls-protocols',
      'TLSv1.1',
      '--tls-ciphers',
      'ALL:@SECLEVEL=0',
    );
    assert.throws(() => createServer({ insecure: true, ...on(older.url) }), refusal('REDIS_TLS', 'redis', /version/));
  });

  it('replies of many records, batches of many commands, and a connection that is cut amid them', async () => {
    const redis = await startTlsRedis(pair, authority);
    const client = new (loadAddon().Redis)({ nodes: [redis.url], tls: { ca: [authority.cert] } });
    onCleanUp(() => client.close());
    const large = Buffer.alloc(6 << 20, 'abcdefg');
    await client.command(['SET', 'large', large], 'large');
    const [one, two] = await Promise.all([
      client.command(['GET', 'large'], 'x'),
      client.command(['GET', 'large'], 'x'),
    ]);
    assert.ok(one === String(large) && two === one);
    const counts = await Promise.all(Array.from({ length: 5000 }, () => client.command(['INCR', 'n'], 'n')));
    assert.deepEqual(counts.slice(-2), [4999, 5000]);
    const reading = Promise.allSettled(
      Array.from({ length: 20 }, () => client.command(['GET', 'large'], 'large', true)),
    );
    const direct = new Redis(redis.port, '127.0.0.1', { tls: { ca: authority.cert } });
    onCleanUp(() => direct.disconnect());
    await direct.client('KILL', 'TYPE', 'normal');
    for (const { status, value, reason } of await reading) {
      assert.ok(status === 'fulfilled' ? value === one : reason.code.startsWith('REDIS_'), String(reason));
    }
    assert.equal(await client.command(['INCR', 'n'], 'n'), 5001, 'it connects again');
  });

  it('a Cluster of three masters, each by TLS, with one name for all', async () => {
    const named = authority.issue({ names: 'DNS:redis.example' });
    const ports = await startTlsCluster(named);
    const tls = { ca: authority.cert, servername: 'redis.example' };
    const redis = { nodes: [`rediss://127.0.0.1:${ports[0]}`], cluster: true, tls };
    const server = await startServer({ data: undefined, redis });
    const alice = await login(server, 'alice');
    const bob = await login(server, 'bob');
    // Enough conversations to reach all three.
    const convs = Array.from({ length: 12 }, (_, i) => `dm:alice:user-${i}`).concat(DM);
    const acks = [];
    for (const [i, conv] of convs.entries()) acks.push(await alice.say(conv, id(i), i, { n: 1 }));
    assert.deepEqual(new Set(acks.map(({ t, seq }) => `${t} ${seq}`)), new Set(['ack 1']));
    assert.equal((await bob.take('msg')).body, 12);
    const client = new (loadAddon().Redis)({ ...redis, tls: { ...tls, ca: [tls.ca] } });
    onCleanUp(() => client.close());
    for (let i = 0; i < 30; i++) assert.equal(await client.command(['SET', `k${i}`, 'v'], `k${i}`), 'OK');
    assert.throws(
      () => createServer({ insecure: true, redis: { ...redis, tls: { ca: authority.cert } } }),
      refusal('REDIS_TLS', 'redis', /IP address mismatch/),
    );
  });

  it('everyonce serve reads files', async () => {
    const redis = await startTlsRedis(pair, authority, '--tls-auth-clients', 'yes');
    const { certFile, keyFile } = authority.issue();
    const errors = [];
    const lines = [];
    const base = ['--port', '0', '--insecure', '--redis', redis.url];
    const go = (...flags) =>
      serve([...base, ...flags], { out: (line) => lines.push(line), err: (line) => errors.push(line) });
    assert.equal(await go('--redis-ca', authority.certFile), 1);
    assert.match(errors.join('\n'), /certificate required/);
    errors.length = 0;
    assert.equal(await go('--redis-ca', join(makeDirectory(), 'none.pem')), 2);
    assert.match(errors.join('\n'), /--redis-ca must be a file that can be read/);
    errors.length = 0;
    const empty = join(makeDirectory(), 'empty.pem');
    writeFileSync(empty, 'nothing');
    assert.equal(await go('--redis-ca', empty), 2);
    assert.match(errors.join('\n'), /--redis-ca must be PEM/);
    const running = go('--redis-ca', authority.certFile, '--redis-cert', certFile, '--redis-key', keyFile, '--redis-servername', 'localhost'); // prettier-ignore
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    process.emit('SIGTERM');
    assert.equal(await running, 0);
  });

  it('finds the primary behind a replica, and waits for that, all by TLS; unchecked certificates are warned of', async () => {
    const primary = await startTlsRedis(pair, authority, '--tls-replication', 'yes', '--repl-diskless-sync-delay', '0');
    const of = ['--tls-replication', 'yes', '--replicaof', '127.0.0.1', String(primary.port)];
    const replica = await startTlsRedis(pair, authority, ...of);
    const warnings = [];
    const logger = { warn: (_about, message) => warnings.push(message) };
    const redis = { nodes: [replica.url], tls: { rejectUnauthorized: false } };
    // It is asked until the replica has heard where its primary is.
    let server;
    while (server === undefined) {
      try {
        server = await startServer({ data: undefined, redis, durability: { replicas: 1 }, logger });
      } catch (/** @type {any} */ error) {
        assert.equal(error.code, 'REDIS_UNREACHABLE', error.message);
      }
    }
    const alice = await login(server, 'alice');
    let answer = await alice.say(DM, id(1), 1, { n: 1 });
    while (answer.code === 'unavailable') answer = await alice.say(DM, id(1), 1, { n: 1 });
    assert.deepEqual([answer.t, answer.safe], ['ack', 'replicated']);
    assert.match(warnings.join('\n'), /certificates of Redis are not asked for/);
  });

  it('a URL alone is enough where Node trusts who signed: NODE_EXTRA_CA_CERTS', async () => {
    const redis = await startTlsRedis(pair, authority);
    const env = { NODE_EXTRA_CA_CERTS: authority.certFile };
    const server = new ServerProcess({ redis: [redis.url], port: await freePort(), env });
    onCleanUp(() => server.stop());
    await server.start();
  });

  it('everyonce migrate moves a store there', async () => {
    const redis = await startTlsRedis(pair, authority);
    const data = join(makeDirectory(), 'data');
    const embedded = await startServer({ data });
    await embedded.publish({ conv: DM, from: 'alice', id: id(1), body: 'moved' });
    await embedded.close();
    const lines = [];
    const say = { out: (line) => lines.push(line), err: () => {} };
    await migrate(['--from', data, '--to', redis.url, '--redis-ca', authority.certFile, '--yes', '--json'], say);
    assert.deepEqual(JSON.parse(lines[0]).to, [redis.url]);
    const server = await startServer(on(redis.url));
    assert.equal((await server.history(DM, { limit: 1 })).items[0].body, 'moved');
  });

  /** @param {(socket: import('node:net').Socket) => void} onSocket @returns {Promise<number>} its port */
  async function peer(onSocket) {
    const sockets = new Set();
    const server = listen((socket) => onSocket(sockets.add(socket.on('error', () => {})) && socket));
    onCleanUp(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
  }

  /** @param {import('../support/certificates.js').Pair} named @returns {Promise<number[]>} */
  async function startTlsCluster(named) {
    const nodes = [];
    for (let i = 0; i < 3; i++) {
      const bus = await freePort();
      const flags = ['--cluster-enabled', 'yes', '--tls-cluster', 'yes', '--cluster-port', String(bus)];
      nodes.push({ bus, ...(await startTlsRedis(named, authority, ...flags)) });
    }
    const tls = { ca: authority.cert, servername: 'redis.example' };
    const links = nodes.map(({ port }) => new Redis(port, '127.0.0.1', { tls }));
    onCleanUp(() => links.forEach((link) => link.disconnect()));
    for (const [i, link] of links.entries()) {
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * 16384) / 3));
      await link.call('CLUSTER', 'ADDSLOTSRANGE', from, to - 1);
      await link.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      if (i > 0) await links[0].call('CLUSTER', 'MEET', '127.0.0.1', nodes[i].port, nodes[i].bus);
    }
    for (const link of links) {
      const isWhole = (told) => /cluster_state:ok[^]*cluster_known_nodes:3\b/.test(told);
      while (!isWhole(String(await link.call('CLUSTER', 'INFO'))))
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return nodes.map(({ port }) => port);
  }
});

/** @param {string} code @param {string} option @param {RegExp} why */
function refusal(code, option, why) {
  return (/** @type {any} */ error) =>
    error instanceof EveryonceError &&
    error.code === code &&
    error.option === option &&
    why.test(error.message) &&
    !/hunter2|c2VjcmV0|PRIVATE KEY/.test(`${error.message} ${error.stack}`);
}
