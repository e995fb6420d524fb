// `everyonce dead-letters`, of a running server and of a stopped one.
import assert from 'node:assert/strict';
import { run } from '../../lib/cli/run.js';
import { Consumer } from '../../lib/idempotency/index.js';
import { createServer } from '../../lib/server/server.js';
import { startRedis } from './support/redis.js';
import { cleanUp, makeDirectory, onCleanUp } from './support/servers.js';

const DM = 'dm:alice:bob';

/** Runs the command line in this process: it reaches the server over its socket file as another process would. */
async function everyonce(...args) {
  const lines = { out: [], err: [] };
  const code = await run(args, { out: (line) => lines.out.push(line), err: (line) => lines.err.push(line) });
  return { code, out: lines.out, err: lines.err.join('\n') };
}

describe('flow: dead letters by the command line', () => {
  afterEach(cleanUp);

  it('lists, shows, replays and drops; what a handler refuses again stays', async () => {
    const data = makeDirectory();
    const server = createServer({ data, insecure: true });
    onCleanUp(() => server.close());
    let isMended = false;
    const handled = [];
    const handler = async ({ body }) => {
      if (body.bad === 'always' || (body.bad && !isMended)) throw new Error(`no account ${body.n} \u009b31m`);
      handled.push(body.n);
    };
    const consumer = new Consumer({ server, group: 'ledger', handler, maxAttempts: 1 });
    const parked = [];
    const allParked = new Promise((resolve) => {
      consumer.on('parked', (message) => {
        parked.push(message.mid);
        if (parked.length === 4) resolve();
      });
    });
    await consumer.start();
    for (const [n, bad] of [true, 'always', true, true].entries()) {
      await server.publish({ conv: DM, from: 'alice', id: `message-${n}`, body: { n, bad } });
    }
    await allParked;
    const ledger = ['--data', data, '--group', 'ledger'];

    assert.match((await everyonce('dead-letters', '--data', data)).out[0], /^ledger: 4 dead letters, made 20/);
    const { out } = await everyonce('dead-letters', 'list', ...ledger);
    assert.deepEqual(
      out.map((line) => line.split(' ')[0]),
      parked,
    );
    assert.match(out[0], /dm:alice:bob seq 1 from alice, 1 attempts, .*: no account 0 \\u009b31m$/);
    const [first] = (await everyonce('dead-letters', ...['list', ...ledger, '--limit', '1', '--json'])).out.map(
      JSON.parse,
    );
    assert.deepEqual([first.id, first.attempts, first.message.body], [parked[0], 1, { n: 0, bad: true }]);
    const shown = await everyonce('dead-letters', 'show', parked[1], ...ledger);
    assert.deepEqual(JSON.parse(shown.out.join('\n')).message.body, { n: 1, bad: 'always' });

    const early = await everyonce('dead-letters', 'replay', parked[0], ...ledger);
    assert.deepEqual([early.code, early.out], [1, []]);
    assert.match(early.err, /no account 0/);
    isMended = true;
    assert.deepEqual((await everyonce('dead-letters', 'replay', parked[0], ...ledger)).out, [`handled ${parked[0]}`]);
    assert.deepEqual(handled, [0]);
    const unknown = await everyonce('dead-letters', 'drop', parked[0], ...ledger);
    assert.deepEqual([unknown.code, /there is no dead letter/.test(unknown.err)], [1, true]);
    assert.equal((await everyonce('dead-letters', 'drop', parked[2], ...ledger)).code, 0);
    const all = await everyonce('dead-letters', 'replay', '--all', ...ledger);
    assert.deepEqual([all.code, all.out], [1, [`handled ${parked[3]}`]]);
    assert.match(all.err, new RegExp(`^${parked[1]}: .*no account 1`));
    assert.deepEqual(handled, [0, 3]);

    await consumer.stop();
    const nobody = await everyonce('dead-letters', 'replay', parked[1], ...ledger);
    assert.match(nobody.err, /no consumer of the group ledger runs in the server's process/);
    await server.close();
    const stopped = await everyonce('dead-letters', 'list', ...ledger);
    assert.deepEqual([stopped.code, stopped.out.length], [0, 1]);
    const alone = await everyonce('dead-letters', 'replay', parked[1], ...ledger);
    assert.match(alone.err, /only a process with a consumer of the group ledger can handle its messages/);
    assert.equal((await everyonce('dead-letters', 'drop', '--all', ...ledger)).code, 0);
    assert.deepEqual((await everyonce('dead-letters', 'list', ...ledger)).out, []);
    assert.deepEqual(handled, [0, 3], 'what was dropped has had no effect');
  });

  it('in Redis: lists and drops beside the servers; a replay is for who has the handler', async () => {
    const { url } = await startRedis();
    const server = createServer({ redis: url, insecure: true });
    onCleanUp(() => server.close());
    const handler = async () => {
      throw Object.assign(new Error('no such account'), { final: true });
    };
    const consumer = new Consumer({ server, group: 'ledger', handler });
    const parked = new Promise((resolve) => consumer.once('parked', ({ mid }) => resolve(mid)));
    await consumer.start();
    await server.publish({ conv: DM, from: 'alice', id: 'message-1', body: 1 });
    const id = await parked;
    const ledger = ['--redis', url, '--group', 'ledger'];
    assert.match((await everyonce('dead-letters', '--redis', url)).out[0], /^ledger: 1 dead letters/);
    assert.match((await everyonce('dead-letters', 'list', ...ledger)).out[0], /: no such account$/);
    assert.match((await everyonce('dead-letters', 'replay', id, ...ledger)).err, /only a process with a consumer/);
    assert.deepEqual((await everyonce('dead-letters', 'drop', id, ...ledger)).out, [
      `dropped ${id}: it never has its effect`,
    ]);
    assert.deepEqual(await consumer.deadLetters.list(), []);
  });

  it('says what is wrong', async () => {
    const data = makeDirectory();
    await createServer({ data, insecure: true }).close();
    assert.match((await everyonce('dead-letters', '--data', data)).err, /there is no consumer group/);
    for (const [args, says] of [
      [['burn', '--group', 'g'], /one of list, show, replay, drop, not burn/],
      [['list', '--data', data], /group must be given for list/],
      [['drop', '--group', 'g', '--data', data], /ID must be given, or --all/],
      [['show', '--group', 'g', '--all', '--data', data], /ID must be given/],
      [['drop', 'x', '--group', 'g', '--data', data], /ID must be the id of a dead letter, not x/],
      [['list', '7', '--group', 'g'], /ID must be left out of list/],
      [['list', '--group', 'g', '--limit', '0'], /limit must be a number from 1/],
      [['--data', '/nowhere'], /\/nowhere holds no everyonce store/],
    ]) {
      const { code, out, err } = await everyonce('dead-letters', ...args);
      assert.deepEqual([code, out], [2, []], args.join(' '));
      assert.match(err, says);
    }
    assert.notEqual((await everyonce('dead-letters', 'list', '--group', 'none', '--data', data)).code, 0);
  });
});
