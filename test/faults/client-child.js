/**
 * A participant in a process of its own, with a FileOutbox, to be killed with kill -9 and started again on the same
 * outbox. What it does is in its history file before anything follows from it, so that a kill takes nothing back.
 *
 * Started by client-process.js, with its options as JSON. Says what state it is in when asked, over the IPC channel.
 */
import { FileOutbox } from '../../lib/index.js';
import { History } from '../../lib/checker/history.js';
import { Participant } from '../../lib/torture/participant.js';
import { seeded } from '../../lib/torture/random.js';

const { url, user, device, dir, path, convs, seed } = JSON.parse(process.argv[2]);
const history = new History(path);
if (history.events.length > 0) history.record({ op: 'restart', user, device });
const outbox = new FileOutbox({ dir });
const participant = new Participant({ url, user, device, outbox, history, convs, random: seeded(seed) });
participant.start();

process.on('message', async (/** @type {any} */ { ask, heads = {} }) => {
  const { isSettled, connections, errors } = participant;
  if (ask === 'load' || ask === 'rest') participant.load(ask === 'load');
  else if (ask === 'once') participant.sendOnce();
  else if (ask === 'close') {
    await participant.close();
    process.disconnect?.();
  } else process.send?.({ isSettled, isThere: participant.hasReached(heads), connections, errors });
});
// Whoever started it is gone: so is the reason to run.
process.on('disconnect', () => process.exit(0));
