// A worker of the runs that kill workers: it is given keys over IPC, and says what came of each.
import { createHash } from 'node:crypto';
import { WAYS } from './ways.js';

const { way, address, throwRate, seed } = JSON.parse(process.argv[2]);
const worker = await WAYS[way].open(address);

/** Drawn for each delivery and try by itself: whatever runs beside it, and however fast, the same throw. */
const throwsAt = (...place) => {
  const drawn = createHash('sha1')
    .update(`${seed} ${place.join(' ')}`)
    .digest()
    .readUInt32LE();
  return drawn / 2 ** 32 < throwRate;
};

process.on('message', async (message) => {
  if (message === 'end') {
    await worker.close?.();
    return process.disconnect();
  }
  const { delivery, key, tries } = message;
  const mayThrow = (when) => {
    if (throwsAt(delivery, tries, when)) throw new Error(`thrown ${when}`);
  };
  try {
    process.send({ delivery, result: await worker.handle(key, mayThrow) });
  } catch (error) {
    process.send({ delivery, error: String(error?.message), code: error?.code });
  }
});
// Whoever gave the orders is gone.
process.on('disconnect', () => process.exit());
process.send('ready');
