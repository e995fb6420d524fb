// A server in a worker thread, in this process: closed in order once, then cut off in mid-answer several times, and its
// directory is free each time. Exits with 0 where all is well. Argument: a directory.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createServer } from '../../../lib/server/server.js';
import { login } from './raw-client.js';

const CUTS = 4;
const DM = 'dm:alice:bob';
const data = process.argv[2];
const module = new URL('../../../lib/server/server.js', import.meta.url).href;
const source = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(async ({ createServer }) => {
    const server = createServer({ insecure: true, data: workerData.data, limits: { rate: 0 } });
    parentPort.postMessage((await server.listen(0)).port);
    parentPort.once('message', () => server.close().then(() => process.exit(0)));
  });`;

for (let round = 1; round <= CUTS + 1; round++) {
  const worker = new Worker(source, { eval: true, workerData: { module, data } });
  const [port] = await once(worker, 'message');
  const alice = await login({ port }, 'alice', { pe: round });
  assert.equal((await alice.say(DM, `message-${round}`, round, { n: round })).seq, round);
  const exited = once(worker, 'exit');
  // Answers are on their way when it ends.
  for (let i = 0; i < 100; i++) alice.send({ t: 'status', rid: i, conv: DM, ids: ['message-1'] });
  if (round === 1) worker.postMessage('close');
  else worker.terminate();
  await exited;
}
const after = createServer({ insecure: true, data });
assert.equal((await after.publish({ conv: DM, from: 'bob', id: 'from-bob-1', body: 1 })).seq, CUTS + 2);
await after.close();
