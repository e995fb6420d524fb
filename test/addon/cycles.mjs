// Opens and closes the engine 1,000 times in memory and 20 times on disk, ended in order or with a connection cut off,
// and 50 times on a directory that can't be; makes each primitive 500 times. Run under AddressSanitizer, whose leak
// check ends the process with an error:
//   LD_PRELOAD=$(gcc -print-file-name=libasan.so) node test/addon/cycles.mjs build/Address/everyonce.node [report]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Kind } from '../../lib/server/native.js';

const [, , addonPath, report] = process.argv;
const addon = createRequire(import.meta.url)(resolve(addonPath));
const { Engine } = addon;
const options = {
  fsync: true,
  node: 'n1',
  limits: { frame: 65536, body: 16384, window: 256, page: 200, rate: 0 },
  dedupWindowMs: 1000,
  events: { message: false },
};

/** One server's life: a hello is welcomed, a send acked or left alone, then stop. */
function live(data, round) {
  return new Promise((ended) => {
    let isAcked = false;
    const submit = (packet) => {
      const bytes = Buffer.from(JSON.stringify(packet));
      engine.submit(bytes, Uint32Array.of(1, 0, bytes.length), 1);
    };
    const engine = new Engine({ ...options, data }, (bytes, index) => {
      for (let at = 0; at < index.length; at += 4) {
        if (index[at] === Kind.AUTHENTICATE) engine.accept(index[at + 1], 'alice');
        if (index[at] === Kind.STOPPED) ended(undefined);
        if (index[at] !== Kind.WRITE || isAcked) continue;
        isAcked = bytes.includes('"t":"ack"');
        if (!isAcked) submit({ t: 'send', conv: 'dm:alice:bob', id: 'message-1', n: 1, body: 1 });
        if (round % 3 === 0) engine.close(1);
        if (isAcked || round % 3 === 0) engine.stop();
      }
    });
    engine.open(1);
    submit({ t: 'hello', v: 1, device: 'd1', pe: round + 1 });
  });
}

for (let round = 0; round < 1000; round++) await live(null, round);
const directory = mkdtempSync(join(tmpdir(), 'everyonce-cycles-'));
for (let round = 0; round < 20; round++) await live(directory, round);
rmSync(directory, { recursive: true });
let refused = 0;
for (let round = 0; round < 50; round++) {
  try {
    new Engine({ ...options, data: '/proc/everyonce' }, () => {});
  } catch (error) {
    if (error.code === 'STORE_UNWRITABLE') refused += 1;
  }
}
if (refused !== 50) throw new Error(`${refused} of 50 impossible directories were refused`);

/** Each primitive made and used, then closed, or left to the collector of garbage in every other round. */
function primitives(round) {
  const snowflake = new addon.Snowflake(1, 1704067200000, 5000, 1000, 0);
  snowflake.nextBatch(1000);
  const bloom = new addon.BloomFilter(1000, 0.01);
  bloom.addBatch(['a', Buffer.from('b'), 'c'.repeat(2000)]);
  const rotating = new addon.RotatingBloom(1000, 0.01, 1000, 4, 0);
  for (let i = 0; i < 10; i++) rotating.add(`key ${i}`, 300 * i);
  const copies = [new addon.BloomFilter(bloom.serialize()), new addon.RotatingBloom(rotating.serialize(), 0)];
  const packages = new addon.PackageReorder(100, 1, 16, 64, 1000, 16, 1000, 4);
  for (let i = 0; i < 40; i++) packages.push('source', `id ${i % 7}`, i % 5, 5, 's', `part ${i % 9}`, 10 * i);
  packages.expire(10_000);
  const hold = new addon.StreamReorder(false, 1, 16, 1000, 500);
  const insert = new addon.StreamReorder(true, 0, 1000, 1000, 500);
  for (let i = 0; i < 40; i++) for (const one of [hold, insert]) one.push((i * 7) % 23, 10, i);
  for (const one of [hold, insert]) one.dueGaps(10_000);
  let refusals = 0;
  const bad = [
    () => new addon.BloomFilter(Buffer.from('no filter')),
    () => bloom.add(5),
    () => bloom.addBatch(['x', {}]),
  ];
  for (const call of bad) {
    try {
      call();
    } catch {
      refusals += 1;
    }
  }
  if (refusals !== bad.length) throw new Error(`${refusals} of ${bad.length} bad calls were refused`);
  if (round % 2 === 0) for (const one of [snowflake, bloom, rotating, ...copies, packages, hold, insert]) one.close();
}
for (let round = 0; round < 500; round++) primitives(round);

if (report) writeFileSync(report, JSON.stringify({ passed: 1, failed: 0 }));
console.log('1,070 engines opened and ended, 500 of each primitive');
