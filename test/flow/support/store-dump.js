// What a store holds, as text to compare: every conversation, its members and its messages, asked over the socket file.
import { openDirectory } from '../../../lib/cli/store.js';

const CONVERSATIONS = 50;
const MESSAGES = 200;

/** @param {string} data a directory whose server runs, or not @returns {Promise<{ read: () => Promise<string>, close: () => Promise<void> }>} */
export async function openDump(data) {
  const directory = await openDirectory(data);
  const pages = async (conv, limit, items, keyOf) => {
    const found = [];
    for (let after = conv === null ? '' : 0, more = true; more;) {
      const page = await directory.inspect(conv, after, limit);
      found.push(...page[items]);
      after = found.length > 0 ? keyOf(found.at(-1)) : after;
      more = page.more;
      if (conv !== null && page.names) found.names = page.names;
    }
    return found;
  };
  const read = async () => {
    const lines = [];
    for (const summary of await pages(null, CONVERSATIONS, 'convs', ({ conv }) => conv)) {
      const messages = await pages(summary.conv, MESSAGES, 'messages', ({ seq }) => seq);
      lines.push(JSON.stringify({ ...summary, names: messages.names, messages }));
    }
    return lines.join('\n');
  };
  return { read, close: () => directory.close() };
}
