// A worker of the runs that kill workers: it is given keys over IPC, and says what came of each.
import { WAYS } from './ways.js';

const { way, address, throwRate } = JSON.parse(process.argv[2]);
const worker = await WAYS[way].open(address);
const mayThrow = (when) => {
  if (Math.random() < throwRate) throw new Error(`thrown ${when}`);
};

process.on('message', async (message) => {
  if (message === 'end') {
    await worker.close?.();
    return process.disconnect();
  }
  const { delivery, key } = message;
  try {
    process.send({ delivery, result: await worker.handle(key, mayThrow) });
  } catch (error) {
    process.send({ delivery, error: String(error?.message), code: error?.code });
  }
});
// Whoever gave the orders is gone.
process.on('disconnect', () => process.exit());
process.send('ready');
