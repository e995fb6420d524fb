/** Small patches in the unified form, applied exactly: each place must be there once, word for word. Pure. */

/**
 * @typedef {{ before: string, after: string }} Hunk
 * @typedef {{ about: string, path: string, hunks: Hunk[] }} Patch of one file
 */

/** @param {string} text a line that says what it does, an empty one, and the diff @returns {Patch} */
export function parsePatch(text) {
  const lines = text.split('\n');
  const path = lines.find((line) => line.startsWith('+++ b/'))?.slice('+++ b/'.length) ?? '';
  /** @type {Hunk[]} */
  const hunks = [];
  let hunk;
  for (const line of lines) {
    if (line.startsWith('@@')) hunks.push((hunk = { before: '', after: '' }));
    else if (hunk && line !== '') {
      const [mark, rest] = [line[0], line.slice(1)];
      if (mark !== '+') hunk.before += `${rest}\n`;
      if (mark !== '-') hunk.after += `${rest}\n`;
    }
  }
  return { about: lines[0], path, hunks };
}

/**
 * @param {string} source
 * @param {Patch} patch
 * @returns {string}
 * @throws {Error} where a place is not there, or more than once
 */
export function applyPatch(source, { path, hunks }) {
  if (path === '' || hunks.length === 0) throw new Error('it is no patch');
  for (const { before, after } of hunks) {
    const parts = source.split(before);
    if (parts.length !== 2) throw new Error(`${path} has this ${parts.length - 1} times:\n${before}`);
    source = parts.join(after);
  }
  return source;
}
