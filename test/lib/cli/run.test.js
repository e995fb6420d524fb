import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { progressLine } from '../../../lib/cli/migrate.js';
import { run } from '../../../lib/cli/run.js';
import { readFlags } from '../../../lib/cli/serve.js';

/** Runs the command line in this process; commands here end before anything is opened. */
async function cli(...args) {
  const lines = { out: [], err: [] };
  const code = await run(args, { out: (line) => lines.out.push(line), err: (line) => lines.err.push(line) });
  return { code, out: lines.out.join('\n'), err: lines.err.join('\n') };
}

describe('command line', () => {
  it('helps, and says its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    assert.deepEqual(await cli('--version'), { code: 0, out: version, err: '' });
    for (const args of [['--help'], ['-h'], ['help'], ['serve', '--help']]) {
      const { code, out } = await cli(...args);
      assert.equal(code, 0);
      assert.match(out, /--jwt-secret/);
    }
  });

  const wrong = [
    [[], /serve \[options\]/],
    [['server'], /no command server/],
    [['torture'], /--url must be the address of a running server/],
    [['torture', '--url', 'x'], /url must be an http, https, ws or wss address, not x/],
    [['torture', '--url', 'http://x', '--users', '1'], /--users must be a whole number from 2 to 2000/],
    [['torture', '--url', 'http://x', '--seed', '-1'], /--seed/],
    [['torture', '--url', 'http://x', '--jwt-secret', 'short'], /--jwt-secret must be a string of at least 32 bytes/],
    [['torture', '--url', 'http://x', '--tokens', '/nowhere'], /--tokens must be a file with one token a line/],
    [['inspect', '--data', '/nowhere'], /\/nowhere holds no everyonce store/],
    [['inspect', 'dm:b:a'], /conv must be dm:A:B or g:NAME/],
    [['inspect', 'g:a', 'g:b'], /one conversation at a time/],
    [['migrate'], /--to must be given: the Redis to move to/],
    [['migrate', '--to', 'http://x', '--yes'], /redis must be a URL/],
    [['migrate', '--to', 'redis://x', '--from', '/nowhere', '--yes'], /--from must be .*\/nowhere holds no store/],
    [['migrate', '--to', 'redis://x', '--dedup-window', 'a day'], /--dedup-window must be/],
    [['migrate', '--to', 'redis://x', '--durability', 'disk'], /--durability must be replicas=N/],
    [['migrate', '--to', 'redis://x', 'more'], /more/],
    [['backup'], /--to must be given/],
    [['backup', '--data', '/nowhere', '--to', '/nowhere-else'], /\/nowhere holds no everyonce store/],
    [['backup', 'more'], /more/],
    [['serve'], /--jwt-secret, --jwks or --insecure must be given/],
    [['serve', '--insecure', '--jwt-secret', 's'.repeat(32)], /exactly one/],
    [['serve', '--insecure', '--redis', 'http://x'], /redis must be a URL/],
    [['serve', '--insecure', '--redis', 'redis://x', '--durability', 'disk'], /--durability must be replicas=N/],
    [['serve', '--insecure', '--retention-days', '3d'], /--retention-days must be a whole number/],
    [['serve', '--insecure', '--retention-days', '0'], /--retention-days must be a number from 0.01/],
    [['serve', '--insecure', '--retention-messages', '0'], /--retention-messages must be a whole number from 1/],
    [['serve', '--insecure', '--durability', 'replicas=1'], /--durability must be memory or disk/],
    [['serve', '--insecure', '--durability', 'ram'], /--durability must be memory or disk/],
    [['serve', '--insecure', '--port', '80x'], /--port must be a whole number/],
    [['serve', '--insecure', '--rate', '-1'], /--rate/],
    [['serve', '--insecure', '--window', '0'], /--window must be an integer from 1/],
    [['serve', '--insecure', '--origins', 'example.com'], /origins must be/],
    [['serve', '--jwt-secret', 'short'], /--jwt-secret must be a string of at least 32 bytes/],
    [['serve', '--insecure', '--flag'], /--flag/],
    [['serve', '--insecure', 'more'], /more/],
    [['serve', '--insecure=yes'], /insecure/],
  ];
  for (const [args, says] of wrong) {
    it(`exits with 2: everyonce ${args.join(' ')}`, async () => {
      const { code, out, err } = await cli(...args);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, says);
    });
  }

  it('shows how far a migration is', () => {
    const counts = /** @type {any} */ ({ messages: 120, conversations: 3 });
    const line = (more) => progressLine({ step: 'writing', resumed: false, keys: 50, ofKeys: 100, counts, ...more });
    assert.equal(line({}), `[${'='.repeat(12)}${' '.repeat(12)}] writing: 120 messages, 3 conversations`);
    assert.match(line({ resumed: true, keys: 200 }), /^\[={24}\] writing on: /);
    assert.match(line({ step: 'reading', ofKeys: 0 }), /^\[ {24}\] reading back: /);
  });

  it('turns flags into options', () => {
    const args = '--port 0 --host ::1 --path /c --data d --durability memory --insecure --origins http://a,http://b --rate 0 --window 9 --tokens required'; // prettier-ignore
    assert.deepEqual(readFlags(args.split(' ')), {
      port: 0,
      host: '::1',
      path: '/c',
      options: {
        data: 'd',
        redis: undefined,
        durability: { fsync: false },
        jwtSecret: undefined,
        jwks: undefined,
        insecure: true,
        restored: undefined,
        serviceKey: undefined,
        retention: undefined,
        origins: ['http://a', 'http://b'],
        dedup: { tokens: 'required' },
        limits: { rate: 0, window: 9 },
      },
    });
    const flags = ['--retention-days', '3', '--retention-until-acked'];
    assert.deepEqual(readFlags(flags).options.retention, { days: 3, messages: undefined, untilAcked: true });
    assert.deepEqual(readFlags([]).options.durability, { fsync: true });
    assert.deepEqual([readFlags([]).port, readFlags([]).host], [8080, '127.0.0.1']);
  });
});
