// The archive: every accepted message once in a database, and pages that read on from it where retention has removed the log's own.
import assert from 'node:assert/strict';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { postgres, sqlite } from '../../lib/idempotency/index.js';
import { cleanUp, makeDirectory, onCleanUp, startServer } from '../flow/support/servers.js';
import { login } from '../flow/support/raw-client.js';
import { postgresDatabase } from '../support/postgres.js';
import { START_MS } from './support/databases.js';

const BODIES = ['{"text":"hi"}', '{"b":1,"a":9007199254740993}', '"\\u0000\\ud83d\\ude00 ö"', '[1.0,1e2]', 'null'];

/** @type {Record<string, { open: () => Promise<{ archive: any, count: () => Promise<number>, break: () => Promise<void>, mend: () => Promise<void> }> }>} */
const KINDS = {
  PostgreSQL: {
    async open() {
      const address = await postgresDatabase();
      const pool = new pg.Pool(address);
      const side = new pg.Pool(address);
      onCleanUp(async () => void (await Promise.all([pool.end(), side.end()])));
      const rename = (/** @type {string} */ from, /** @type {string} */ to) =>
        side.query(`ALTER TABLE ${from} RENAME TO ${to}`);
      return {
        archive: postgres({ pool, table: 'public.history' }),
        count: async () => Number((await side.query('SELECT count(*) FROM history')).rows[0].count),
        break: async () => void (await rename('history', 'away')),
        mend: async () => void (await rename('away', 'history')),
      };
    },
  },
  SQLite: {
    async open() {
      const database = new Sqlite(`${makeDirectory()}/archive.db`);
      onCleanUp(() => database.close());
      return {
        archive: sqlite({ database, table: 'history' }),
        count: async () => /** @type {any} */ (database.prepare('SELECT count(*) AS count FROM history').get()).count,
        break: async () => void database.exec('ALTER TABLE history RENAME TO away'),
        mend: async () => void database.exec('ALTER TABLE away RENAME TO history'),
      };
    },
  },
};

/** @param {any} chat @param {string} conv @param {string} from @param {number} first @param {number} last */
async function publishSome(chat, conv, from, first, last) {
  for (let n = first; n <= last; n++) await chat.publish({ conv, from, id: `message-${n}`, body: { n } });
}

/** Until retention has removed so many. @param {any} chat @param {number} count */
async function removed(chat, count) {
  while (chat.stats().removedMessages < count) await new Promise((resolve) => setImmediate(resolve));
}

/** @param {any} archive */
async function written(archive) {
  while ((await archive.lag()).messages > 0);
}

const seqsOf = (/** @type {any[]} */ items) =>
  items.map((item) => (item.t === 'msg' ? item.seq : [item.from, item.to, item.reason]));
const range = (/** @type {number} */ from, /** @type {number} */ to) =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

for (const [name, { open }] of Object.entries(KINDS)) {
  describe(`archive in ${name}`, function () {
    this.timeout(START_MS);
    afterEach(cleanUp);

    it('pages read on from it without a seam, each message once and byte for byte', async () => {
      const opened = await open();
      await opened.archive.migrate();
      await opened.archive.migrate();
      const retention = { messages: 10, everyMs: 100 };
      const chat = await startServer({ archive: opened.archive, retention, limits: { page: 50 } });
      await publishSome(chat, 'dm:ann:bob', 'ann', 1, 60);
      await removed(chat, 50);
      await written(opened.archive);
      assert.equal(await opened.count(), 60);
      const whole = [];
      for (let after = 0, more = true; more; after = whole.at(-1).seq) {
        const page = await chat.history('dm:ann:bob', { after, limit: 7 });
        assert.ok(page.items.length <= 7);
        whole.push(...page.items);
        more = page.more;
      }
      assert.deepEqual(seqsOf(whole), range(1, 60));
      assert.deepEqual(
        whole.map((item) => item.body.n),
        range(1, 60),
      );
      const newest = await chat.history('dm:ann:bob', { limit: 15 });
      assert.deepEqual(newest.items, whole.slice(45), 'from the archive and from the log, the same in every key');
      assert.deepEqual(seqsOf((await chat.history('dm:ann:bob', { before: 5, limit: 50 })).items), range(1, 4));

      const pulled = [];
      for (let next, more = true; more;) {
        const page = await chat.pull('bob', 'phone', { limit: 9, next });
        pulled.push(...page.items);
        next = page.next;
        more = next !== undefined;
      }
      assert.deepEqual(seqsOf(pulled), range(1, 60));
      const back = [];
      for (let next, more = true; more;) {
        const page = await chat.pull('bob', 'tablet', { limit: 9, next, order: 'newest' });
        back.push(...page.items);
        next = page.next;
        more = next !== undefined;
      }
      assert.deepEqual(
        seqsOf(back).sort((a, b) => Number(a) - Number(b)),
        range(1, 60),
      );

      const client = await login(chat, 'bob');
      const page = await client.ask({ t: 'history', conv: 'dm:ann:bob', after: 0, limit: 12 });
      assert.deepEqual(seqsOf(page.items), range(1, 12));
      await client.close();
    });

    it('keeps bodies byte for byte', async () => {
      const opened = await open();
      const chat = await startServer({ archive: opened.archive, retention: { messages: 1, everyMs: 100 } });
      const client = await login(chat, 'ann');
      for (const [index, body] of BODIES.entries()) {
        client.text(`{"t":"send","conv":"dm:ann:bob","id":"message-${index}","n":${index + 1},"body":${body}}`);
        await client.take('ack');
      }
      await removed(chat, BODIES.length - 1);
      const page = await client.ask({ t: 'history', conv: 'dm:ann:bob', after: 0, limit: 50 });
      assert.equal(page.t, 'page', JSON.stringify(page));
      const text = client.frames.find((frame) => frame.includes('"t":"page"'));
      for (const body of BODIES) assert.ok(text?.includes(`"body":${body},`), body);
      await client.close();
    });

    it('shows of it what a user may see, and no more', async () => {
      const opened = await open();
      const chat = await startServer({ archive: opened.archive, retention: { messages: 1, everyMs: 100 } });
      await chat.createConversation({ conv: 'g:team', members: ['ann', 'bob'] });
      await publishSome(chat, 'g:team', 'ann', 1, 3); // seq 2 … 4
      await chat.removeMembers('g:team', ['bob']); // 5
      await publishSome(chat, 'g:team', 'ann', 4, 6); // 6 … 8
      await chat.addMembers('g:team', ['bob']); // 9
      await publishSome(chat, 'g:team', 'ann', 7, 9); // 10 … 12
      await removed(chat, 11);
      const pulled = await chat.pull('bob', 'phone', {});
      assert.deepEqual(seqsOf(pulled.items), [1, 2, 3, 4, 5, [6, 8, 'not_visible'], 9, 10, 11, 12]);
      const { items } = await chat.history('g:team', { after: 0 });
      assert.deepEqual(seqsOf(items), range(1, 12));
      const client = await login(chat, 'bob');
      const page = await client.ask({ t: 'history', conv: 'g:team', limit: 50 });
      assert.ok(page.items, JSON.stringify(page));
      assert.deepEqual(seqsOf(page.items), [1, 2, 3, 4, 5, [6, 8, 'not_visible'], 9, 10, 11, 12]);
      await client.close();
    });

    it('is not removed from the log before it is in the archive; while that is down a page is refused, and is no silent hole', async () => {
      const opened = await open();
      await opened.archive.migrate();
      /** @type {any[]} */
      const errors = [];
      const chat = await startServer({ archive: opened.archive, retention: { messages: 2, everyMs: 100 } });
      chat.on('error', (/** @type {any} */ error) => errors.push(error));
      await publishSome(chat, 'dm:ann:bob', 'ann', 1, 10);
      await removed(chat, 8);
      await opened.break();
      await assert.rejects(chat.history('dm:ann:bob', { after: 0 }), (/** @type {any} */ error) => {
        assert.equal(error.code, 'unavailable');
        assert.equal(error.retryable, true);
        assert.ok(error.retryAfterMs > 0);
        return true;
      });
      await publishSome(chat, 'dm:ann:bob', 'ann', 11, 20);
      const runs = chat.stats().retentionRuns;
      while (chat.stats().retentionRuns < runs + 2) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(chat.stats().removedMessages, 10, 'what is not archived stays');
      assert.deepEqual(seqsOf((await chat.history('dm:ann:bob', { after: 10 })).items), range(11, 20));
      await opened.mend();
      await written(opened.archive);
      await removed(chat, 18);
      assert.deepEqual(seqsOf((await chat.history('dm:ann:bob', { after: 0 })).items), range(1, 20));
      assert.equal(await opened.count(), 20);
      assert.ok(errors.length > 0, 'it was told');
    });
  });
}

describe('archive', () => {
  afterEach(cleanUp);

  it('what it lacks is told as a hole', async () => {
    const opened = await KINDS.SQLite.open();
    const data = `${makeDirectory()}/data`;
    const first = await startServer({ data, retention: { messages: 3, everyMs: 100 } });
    await publishSome(first, 'dm:ann:bob', 'ann', 1, 8);
    await removed(first, 5);
    await first.close();
    const chat = await startServer({ data, archive: opened.archive, retention: { messages: 1, everyMs: 100 } });
    await removed(chat, 2);
    assert.deepEqual(seqsOf((await chat.history('dm:ann:bob', { after: 0 })).items), [[1, 5, 'expired'], 6, 7, 8]);
  });

  it('of a place that two histories had, the later one counts', async () => {
    const database = new Sqlite(':memory:');
    const archive = sqlite({ database });
    await archive.migrate();
    const insert =
      database.prepare(`INSERT INTO everyonce_archive (conv, seq, epoch, mid, sender, device, id, type, body, at)
      VALUES ('dm:ann:bob', ?, ?, ?, 'ann', 'phone', 'message-1', 'text', ?, 7)`);
    insert.run(2, 20, '12', '"new"');
    insert.run(2, 10, '11', '"void"');
    insert.run(4, 20, '13', '"more"');
    const [text, nothing] = await archive.fill([
      ['dm:ann:bob', 30, 1, 5],
      ['dm:ann:cid', 30, 1, 5],
    ]);
    assert.equal(nothing, '');
    assert.deepEqual(
      JSON.parse(`[${text}]`).map((/** @type {any} */ item) => item.body ?? [item.from, item.to]),
      [[1, 1], 'new', [3, 3], 'more', [5, 5]],
    );
    database.close();
  });

  it('refuses what is none', async () => {
    assert.throws(() => postgres(/** @type {any} */ ({ pool: {} })), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => postgres(/** @type {any} */ (undefined)), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => sqlite(/** @type {any} */ ({ database: new pg.Pool() })), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(startServer({ memory: true, archive: /** @type {any} */ ({}) }), {
      code: 'BAD_OPTION',
      option: 'archive',
    });
  });
});
