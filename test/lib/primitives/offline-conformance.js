// What every OfflineStore must do (semantics f), against a naive list.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { chosenSeed } from '../../support/seed.js';

const seed = chosenSeed();

/**
 * @param {string} name
 * @param {() => Promise<any> | any} open an OfflineStore
 * @param {{ steps: number }} options of the random schedule
 */
export function offlineConformance(name, open, { steps }) {
  describe(`OfflineStore on ${name}`, () => {
    /** @type {any} */
    let store;
    let receiver = '';
    let count = 0;
    before(async () => {
      store = await open();
    });
    after(() => store?.close());
    beforeEach(() => {
      receiver = `receiver ${process.pid} ${Date.now()} ${++count}`;
    });

    const item = (i, sender = 'alice') => ({
      msgId: `m${i}`,
      sender,
      type: 'text',
      content: { text: `é😀 ${i}` },
      sendTime: i,
    });
    const ids = (page) => page.items.map((/** @type {any} */ one) => one.msgId);
    const append = async (/** @type {any[]} */ ...items) => {
      for (const one of items) assert.equal(await store.append(receiver, one), true);
    };

    it('gives back what was appended, once for each msgId, and counts by sender', async () => {
      await append(item(1), item(2, 'bob'), item(3));
      assert.equal(await store.append(receiver, { ...item(1), content: 'other' }), false);
      assert.deepEqual(await store.counts(receiver), { total: 3, bySender: { alice: 2, bob: 1 } });
      const page = await store.pull(receiver);
      assert.deepEqual(page.items, [item(1), item(2, 'bob'), item(3)]);
      assert.deepEqual((await store.pull(receiver)).items, page.items, 'reading acks nothing');
      assert.deepEqual(await store.counts('nobody'), { total: 0, bySender: {} });
    });

    it('pages oldest and newest first; next acks just the page before; the last page is empty', async () => {
      for (const order of ['oldest', 'newest']) {
        receiver += order;
        await append(...[1, 2, 3, 4, 5].map((i) => item(i)));
        const first = await store.pull(receiver, { limit: 2, order });
        assert.deepEqual(ids(first), order === 'oldest' ? ['m1', 'm2'] : ['m5', 'm4']);
        assert.equal((await store.counts(receiver)).total, 5);
        const second = await store.pull(receiver, { limit: 2, order, next: first.next });
        assert.deepEqual(ids(second), order === 'oldest' ? ['m3', 'm4'] : ['m3', 'm2']);
        assert.equal((await store.counts(receiver)).total, 3);
        const again = await store.pull(receiver, { limit: 2, order, next: first.next });
        assert.deepEqual(ids(again), ids(second), 'the same next, the same page');
        await append(item(6)); // it arrives while the walk is under way
        const third = await store.pull(receiver, { limit: 2, order, next: second.next });
        assert.deepEqual(ids(third), order === 'oldest' ? ['m5', 'm6'] : ['m1']);
        const last = await store.pull(receiver, { limit: 2, order, next: third.next });
        assert.deepEqual(last, { items: [] });
        assert.equal((await store.counts(receiver)).total, order === 'oldest' ? 0 : 1, 'nothing unseen is acked');
      }
    });

    it("one sender's walk leaves the others'", async () => {
      await append(item(1), item(2, 'bob'), item(3), item(4, 'bob'));
      const page = await store.pull(receiver, { sender: 'bob', limit: 10 });
      assert.deepEqual(ids(page), ['m2', 'm4']);
      assert.deepEqual(ids(await store.pull(receiver, { sender: 'bob', next: page.next })), []);
      assert.deepEqual(await store.counts(receiver), { total: 2, bySender: { alice: 2 } });
    });

    it('acks by name alone; what was acked is known to append', async () => {
      await append(item(1), item(2));
      assert.equal(await store.ack(receiver, ['m1', 'm1', 'never', 'm7']), 1);
      assert.equal(await store.ack(receiver, ['m1']), 0);
      assert.equal(await store.append(receiver, item(1)), false, 'a late repeat of the append');
      assert.deepEqual(ids(await store.pull(receiver)), ['m2']);
    });

    it('keeps receivers and senders apart, whatever their names', async () => {
      const names = ['a', 'a/b', 'A', 'ä', 'a\u0308', '__proto__', ' ', '%', "'; --"];
      for (const [i, sender] of names.entries()) await append(item(i, sender));
      const { bySender } = await store.counts(receiver);
      assert.deepEqual(Object.keys(bySender).sort(), [...names].sort());
      for (const [i, sender] of names.entries()) {
        assert.deepEqual(ids(await store.pull(receiver, { sender })), [`m${i}`], sender);
      }
      assert.deepEqual((await store.pull(`${receiver} other`)).items, []);
    });

    it('a page is bounded in bytes, and holds at least one item', async () => {
      const content = 'x'.repeat(700_000);
      await append(...[1, 2, 3].map((i) => ({ ...item(i), content })));
      const page = await store.pull(receiver, { limit: 10 });
      assert.deepEqual(ids(page), ['m1']);
      assert.deepEqual(ids(await store.pull(receiver, { limit: 10, next: page.next })), ['m2']);
    });

    it('refuses bad arguments by name', async () => {
      const refuses = (/** @type {Promise<any>} */ call, /** @type {string} */ option) =>
        assert.rejects(call, { code: 'INVALID_ARGUMENT', option }, option);
      for (const bad of ['', 7, null, 'x'.repeat(257), 'a\0b', '\ud800']) {
        await refuses(store.append(bad, item(1)), 'receiver');
        await refuses(store.append(receiver, { ...item(1), msgId: bad }), 'msgId');
        await refuses(store.append(receiver, { ...item(1), sender: bad }), 'sender');
        await refuses(store.pull(receiver, { sender: bad }), 'sender');
        await refuses(store.ack(receiver, [bad]), 'msgIds');
      }
      await refuses(store.append(receiver, null), 'item');
      await refuses(store.append(receiver, { ...item(1), content: 1n }), 'content');
      await refuses(store.append(receiver, { ...item(1), content: 'x'.repeat(1 << 20) }), 'content');
      for (const limit of [0, -1, NaN, 1001, '5', 2 ** 53]) await refuses(store.pull(receiver, { limit }), 'limit');
      await refuses(store.pull(receiver, { order: 'random' }), 'order');
      await append(item(1), item(2));
      const { next } = await store.pull(receiver, { limit: 1 });
      for (const bad of ['x', 'zz', next.slice(0, -1), next.slice(0, -2), `${next}${next}`, 7, '']) {
        await refuses(store.pull(receiver, { next: bad }), 'next');
      }
      await refuses(store.pull(receiver, { next, order: 'newest' }), 'next');
      await refuses(store.pull(receiver, { next, sender: 'alice' }), 'next');
      await refuses(store.pull(`${receiver} other`, { next }), 'next');
      assert.equal((await store.counts(receiver)).total, 2, 'nothing was acked by any of it');
    });

    it(`nothing is lost or acked unseen, through crashes and arrivals while paging (seed ${seed}, ${steps} steps)`, async function () {
      this.timeout(120_000);
      const act = fc.oneof(
        { weight: 5, arbitrary: fc.record({ kind: fc.constant('append'), id: fc.nat(5000), by: fc.nat(2) }) },
        { weight: 5, arbitrary: fc.record({ kind: fc.constant('pull'), limit: fc.integer({ min: 1, max: 7 }) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash'), newest: fc.boolean(), by: fc.nat(3) }) },
        {
          weight: 2,
          arbitrary: fc.record({ kind: fc.constant('ack'), ids: fc.array(fc.nat(5000), { maxLength: 4 }) }),
        },
      );
      const acts = fc.sample(act, { seed, numRuns: steps });
      /** What waits, in the order of arrival. @type {{ msgId: string, sender: string, at: number }[]} */
      let waiting = [];
      let arrivals = 0;
      const known = new Set();
      const begin = (/** @type {string} */ order, /** @type {string | undefined} */ sender) => ({
        order,
        sender,
        next: undefined,
        page: [],
        at: order === 'newest' ? Infinity : 0,
      });
      /** `page` is what `next` acks, `at` the arrival of its last item. @type {any} */
      let walk = begin('oldest', undefined);
      for (const one of /** @type {any[]} */ (acts)) {
        if (one.kind === 'append') {
          const msgId = `m${one.id}`;
          const sender = `s${one.by}`;
          assert.equal(await store.append(receiver, { msgId, sender, content: one.id }), !known.has(msgId));
          if (!known.has(msgId)) waiting.push({ msgId, sender, at: ++arrivals });
          known.add(msgId);
        } else if (one.kind === 'ack') {
          const names = one.ids.map((/** @type {number} */ id) => `m${id}`);
          const left = waiting.filter(({ msgId }) => !names.includes(msgId));
          assert.equal(await store.ack(receiver, names), waiting.length - left.length);
          waiting = left;
        } else if (one.kind === 'crash') {
          // Whatever page was on its way is not acked: the next walk begins anew.
          walk = begin(one.newest ? 'newest' : 'oldest', one.by === 3 ? undefined : `s${one.by}`);
        } else {
          const { order, sender, next } = walk;
          const { items, next: further } = await store.pull(receiver, { order, sender, next, limit: one.limit });
          waiting = waiting.filter(({ msgId }) => !walk.page.includes(msgId));
          const left = waiting.filter(
            ({ sender: from, at }) =>
              (sender === undefined || from === sender) && (order === 'newest' ? at < walk.at : at > walk.at),
          );
          if (order === 'newest') left.reverse();
          const expected = left.slice(0, one.limit);
          assert.deepEqual(
            ids({ items }),
            expected.map(({ msgId }) => msgId),
          );
          assert.equal(further === undefined, expected.length === 0, 'the last page is empty');
          walk =
            further === undefined
              ? begin(order, sender)
              : { ...walk, next: further, page: ids({ items }), at: expected.at(-1)?.at };
        }
      }
      const total = waiting.length;
      assert.equal((await store.counts(receiver)).total, total);
      const rest = [];
      for (let page = await store.pull(receiver); page.next; page = await store.pull(receiver, { next: page.next })) {
        rest.push(...ids(page));
      }
      assert.deepEqual(
        rest,
        waiting.map(({ msgId }) => msgId),
      );
      assert.equal((await store.counts(receiver)).total, 0);
    });
  });
}
