// No pattern in lib can be made to backtrack without end: nothing that repeats stands inside something that repeats.
import assert from 'node:assert/strict';
import { listFiles, readText } from '../../scripts/lib/files.mjs';

/** Literals, as far as they can be told without a parser: behind what no division follows. */
const LITERAL = /(?:^|[=(,:!&|?[{};]|\breturn\b|=>)\s*\/((?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n[*])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n[])*)\/[a-z]*/gm; // prettier-ignore

/** Repeats within a repeat, each round of which must begin with a character that its inside can't have. */
const UNAMBIGUOUS = ['^(\\/[A-Za-z0-9_.~-]+)+$'];

/** @param {string} source of a pattern @returns {number} how deep repetitions without a small bound are nested */
function starHeight(source) {
  /** @type {number[]} */
  const groups = [];
  let height = 0;
  let last = 0;
  const text = source.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x');
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') {
      groups.push(height);
      height = 0;
      last = 0;
    } else if (text[at] === ')') {
      last = height;
      height = Math.max(height, groups.pop() ?? 0);
    } else if (text[at] === '*' || text[at] === '+' || /^\{\d+,\}/.test(text.slice(at))) {
      last += 1;
      height = Math.max(height, last);
    } else if (text[at] !== '?' || text[at - 1] === '(') last = 0;
  }
  return height;
}

describe('patterns', () => {
  it('in lib repeat nothing that repeats', () => {
    let seen = 0;
    for (const file of listFiles('lib', (name) => name.endsWith('.js'))) {
      for (const [, source] of (readText(file) ?? '').replace(/^\s*\*.*$/gm, '').matchAll(LITERAL)) {
        seen += 1;
        assert.ok(UNAMBIGUOUS.includes(source) || starHeight(source) <= 1, `${file}: /${source}/`);
      }
    }
    assert.ok(seen > 30, `only ${seen} patterns were found`);
  });

  it('and the check knows one that does', () => {
    for (const source of ['(a+)+', '(?:x*y)*', '((a|b)+)*', '([a-z]+)+$']) assert.ok(starHeight(source) > 1, source);
    for (const source of ['^[a-z]+$', '(a|b)+', '(?:\\.\\d{1,3}){3}', 'a+b+'])
      assert.ok(starHeight(source) <= 1, source);
  });
});
