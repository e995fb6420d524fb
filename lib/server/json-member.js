// The text of one member of a JSON object, byte for byte as it was sent: parsing and writing it again would round large
// numbers and drop what JavaScript can't hold.

/**
 * @param {string} text a JSON object that JSON.parse has taken: only its shape is looked at here
 * @param {string} name
 * @returns {string | undefined} the value's text without the spaces around it; the last one where it is given twice
 */
export function memberText(text, name) {
  let found;
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] === '"') {
    const keyEnd = endOfString(text, at);
    const begin = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = endOfValue(text, begin);
    if (JSON.parse(text.slice(at, keyEnd)) === name) found = text.slice(begin, end);
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

/**
 * @param {string} text
 * @param {number} at
 */
function skipSpace(text, at) {
  while (at < text.length && ' \t\n\r'.includes(text[at])) at += 1;
  return at;
}

/**
 * @param {string} text
 * @param {number} at its opening quote
 * @returns {number} behind the closing one
 */
function endOfString(text, at) {
  for (at += 1; text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1;
  return at + 1;
}

/**
 * @param {string} text
 * @param {number} at a value's first character
 * @returns {number} behind its last
 */
function endOfValue(text, at) {
  let depth = 0;
  for (;;) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
    } else if (character === '{' || character === '[') {
      depth += 1;
      at += 1;
    } else if (character === '}' || character === ']') {
      if (depth === 0) return at;
      depth -= 1;
      at += 1;
    } else if (depth === 0 && ',: \t\n\r'.includes(character)) {
      return at;
    } else {
      at += 1;
      continue;
    }
    if (depth === 0) return at;
  }
}
