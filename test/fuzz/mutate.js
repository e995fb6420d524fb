/** Small, seeded damage to a JSON value. */
const TEXTS = [
  '',
  '__proto__',
  'constructor',
  'toString',
  'dm:alice:bob',
  'g:all',
  'x'.repeat(300),
  '\u0000',
  '\ud800',
  '0',
  'null',
];
const NUMBERS = [0, 1, -1, 2, 63, 64, 65, 0.5, 1e300, -1e300, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 2 ** 63];

/** @param {() => number} random */
export function mutator(random) {
  const pick = (/** @type {any[]} */ list) => list[Math.floor(random() * list.length)];
  /** @param {any} was @returns {any} */
  const other = (was) => {
    const dice = random();
    if (typeof was === 'number' && dice < 0.5) return was + pick([1, -1, 2, 10, -10, 1000]);
    if (dice < 0.4) return pick(NUMBERS);
    if (dice < 0.65) return pick(TEXTS);
    if (dice < 0.75) return pick([null, true, false]);
    if (dice < 0.85) return Array.from({ length: Math.floor(random() * 4) }, () => other(0));
    if (dice < 0.95) return { [pick(TEXTS)]: other(0), conv: 'dm:alice:bob', seq: pick(NUMBERS) };
    return structuredClone(was);
  };
  /** Changes one place of `value`, deep within. @param {any} value @returns {any} */
  const damage = (value) => {
    if (typeof value !== 'object' || value === null || random() < 0.1) return other(value);
    const keys = Object.keys(value);
    if (keys.length === 0) return other(value);
    const key = pick(keys);
    const dice = random();
    if (dice < 0.1) {
      if (Array.isArray(value)) value.splice(Number(key), 1);
      else delete value[key];
    } else if (dice < 0.15 && Array.isArray(value)) value.push(structuredClone(value[Number(key)]));
    else if (dice < 0.2) value[key] = structuredClone(value[pick(keys)]);
    // As JSON.parse would make it: a key of its own, whatever it is called.
    else Object.defineProperty(value, key, { value: damage(value[key]), enumerable: true, writable: true, configurable: true }); // prettier-ignore
    return value;
  };
  return {
    /** @param {string} text of JSON @returns {string} other JSON */
    value: (text) => {
      let changed = JSON.parse(text);
      for (let times = 1 + Math.floor(random() * 3); times > 0; times--) changed = damage(changed);
      return JSON.stringify(changed);
    },
    /** @param {string} text @returns {string} text that most likely is no JSON */
    bytes: (text) => {
      const at = Math.floor(random() * text.length);
      if (random() < 0.5) return text.slice(0, at);
      return `${text.slice(0, at)}${String.fromCharCode(Math.floor(random() * 128))}${text.slice(at + 1)}`;
    },
  };
}
