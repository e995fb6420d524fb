// docs/client.md names every option, event and state that the client has, and none that it lacks.
import assert from 'node:assert/strict';
import { listFiles, readText } from '../../scripts/lib/files.mjs';

const doc = readText('docs/client.md') ?? '';
const sources = listFiles('lib/client', (name) => name.endsWith('.js'))
  .map((file) => readText(file) ?? '')
  .join('\n');

/** @param {string} heading @returns {Set<string>} the names in the first column of the section's table */
function firstColumn(heading) {
  const section = doc.split(`\n## ${heading}\n`)[1].split('\n## ')[0];
  const cells = section.split('\n').filter((line) => line.startsWith('| `'));
  return new Set(cells.flatMap((line) => [...line.split('|')[1].matchAll(/`([^`]+)`/g)].map((match) => match[1])));
}

/** @param {RegExp} pattern @returns {Set<string>} */
const named = (pattern) => new Set([...sources.matchAll(pattern)].map((match) => match[1]));

describe('docs/client.md', () => {
  it('has every option but those of simulations, and no other', () => {
    const typedef = (readText('lib/client/options.js') ?? '')
      .split('@typedef {object} ClientOptions')[1]
      .split('*/')[0];
    const options = new Set([...typedef.matchAll(/@property \{.*\} \[?(\w+)\]? /g)].map((match) => match[1]));
    options.delete('clock');
    options.delete('random');
    assert.ok(options.size > 10);
    assert.deepEqual([...firstColumn('Options')].sort(), [...options].sort());
  });

  it('has every event, and no other', () => {
    const events = named(/\bemit\(\s*'(\w+)'/g).add('message');
    assert.ok(events.size > 8);
    assert.deepEqual([...firstColumn('Events')].sort(), [...events].sort());
  });

  it('has every state of a message', () => {
    const states = /status = 'queued'/.test(sources) && sources.match(/@type \{([^}]+)\} \*\/\s*status/)?.[1];
    assert.ok(states);
    const wanted = [...states.matchAll(/'(\w+)'/g)].map((match) => match[1]);
    assert.deepEqual([...firstColumn('Sending')].sort(), wanted.sort());
  });
});
