/** A process that appends to a file outbox as fast as it can, and tells its parent what is durable, until it is killed. */
import { FileOutbox } from '../../../../lib/client/file-outbox.js';

const [dir, round = '0'] = process.argv.slice(2);
const outbox = new FileOutbox({ dir });
try {
  await outbox.open({ newDevice: () => 'device-of-child' });
} catch (error) {
  process.send({ error: error.code }, () => process.exit(0));
  await new Promise(() => {});
}
for (let i = 0; ; i += 4) {
  const several = [0, 1, 2, 3].map((k) => `message-${round}-${i + k}`);
  await Promise.all(
    several.map(async (id) => {
      const { n } = await outbox.append({ conv: 'dm:alice:bob', id, bodyText: `"${'x'.repeat(100)}"`, at: 1 });
      process.send({ id, n });
    }),
  );
}
