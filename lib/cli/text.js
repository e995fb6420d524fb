// What of a store is shown to a person.

/** @param {number} ms */
export function timeOf(ms) {
  return new Date(ms).toISOString();
}

/** What would steer a terminal, or turn the line round, is shown instead of done. @param {string} text */
export function visible(text) {
  return text.replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
