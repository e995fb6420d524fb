// Bad packets, generated from the description in test/vectors/packet-shapes.json: each breaks one rule of one key.
import { readFileSync } from 'node:fs';

export const { formats, packets: shapes } = JSON.parse(
  readFileSync(new URL('../../vectors/packet-shapes.json', import.meta.url), 'utf8'),
);

const MAX_INTEGER = 2 ** 53 - 1;
/** What a server takes where it is not configured otherwise. */
const MAX_BODY_BYTES = 16_384;

/**
 * @typedef {object} BadPacket
 * @property {string} name
 * @property {string} t of the packet that it was made from
 * @property {string} text the frame
 * @property {string} code of the answer
 * @property {string} field that the answer's message names
 * @property {boolean} closes the connection
 *
 * @typedef {[what: string, json: string | undefined, code?: string, closes?: boolean]} BadValue undefined: no key at all
 */

/** A value of each kind; those that a key may have are left out. @type {Record<string, [string, string][]>} */
const KINDS = {
  null: [['null', 'null']],
  flag: [['true', 'true']],
  number: [
    ['a number', '1'],
    ['a fraction', '0.5'],
  ],
  text: [
    ['a string', '"8-letters"'],
    ['a number in quotes', '"1"'],
  ],
  list: [['a list', '[1]']],
  object: [['an object', '{"a":1}']],
};

/** @param {...string} taken kinds @returns {BadValue[]} */
const otherKinds = (...taken) =>
  Object.entries(KINDS)
    .filter(([kind]) => !taken.includes(kind))
    .flatMap(([, values]) => values);

/** @param {Record<string, any>} rule @returns {BadValue[]} */
function badIntegers({ min, max = MAX_INTEGER }) {
  return [
    ...otherKinds('number'),
    ['below its range', String(min - 1)],
    ['above its range', String(max + 1)],
    ['far below', '-9007199254740993'],
    ['2^53', '9007199254740992'],
    ['2^53 + 1', '9007199254740993'],
    ['2^64', '18446744073709551616'],
    ['2^64 + 1', '18446744073709551617'],
    ['huge', '1e400'],
    ['of 400 digits', '9'.repeat(400)],
    ['fractional', '1.5'],
    ['1.0', '1.0'],
    ['1e0', '1e0'],
    ['-0', '-0'],
  ];
}

/** @param {{ longest?: [string, string, number], wrong: string[], orInteger?: boolean }} format @returns {BadValue[]} */
function badTexts({ longest, wrong, orInteger }) {
  /** @type {BadValue[]} */
  const values = orInteger ? otherKinds('text', 'number') : otherKinds('text');
  if (orInteger) values.push(['a fraction', '0.5'], ['2^53', '9007199254740992'], ['-2^53', '-9007199254740992']);
  else values.push(['half a character', '"\\ud800-letters"']);
  if (longest) {
    const [prefix, letter, length] = longest;
    values.push(['one too long', JSON.stringify(prefix + letter.repeat(length + 1))]);
    values.push(['far too long', JSON.stringify(prefix + letter.repeat(20_000))]);
  }
  for (const text of wrong) values.push([`of bad grammar, ${JSON.stringify(text)}`, JSON.stringify(text)]);
  return values;
}

/** @param {Record<string, any>} rule @returns {BadValue[]} */
function badLists({ of, most }) {
  const { longest, wrong } = formats[of];
  const good = longest[0] + longest[1].repeat(longest[2]);
  const many = JSON.stringify(Array.from({ length: most + 1 }, () => good));
  return [
    ...otherKinds('list'),
    [`${most + 1} items`, many],
    ...badTexts({ longest, wrong }).map(([what, json]) => /** @type {BadValue} */ ([`with ${what}`, `[${json}]`])),
    ['with a bad one behind a good one', JSON.stringify([good, ''])],
  ];
}

/** @param {Record<string, any>} rule @returns {BadValue[]} */
function badPositions({ most }) {
  const many = Object.fromEntries(Array.from({ length: most + 1 }, (_, i) => [`g:a${i}`, [1, 1]]));
  const places = ['1', 'null', '"1,1"', '{}', '[]', '[1]', '[1,1,1]', '[1,null]', '["1",1]', '[-1,1]', '[1,-1]'];
  places.push('[0.5,1]', '[1,9007199254740992]', '[1e400,1]', '[[1],1]');
  return [
    ...otherKinds('object'),
    [`${most + 1} entries`, JSON.stringify(many), 'bad_request', true],
    ...formats.conversation.wrong.map(
      (/** @type {string} */ conv) => /** @type {BadValue} */ ([`of ${conv}`, JSON.stringify({ [conv]: [1, 1] })]),
    ),
    ...places.map((place) => /** @type {BadValue} */ ([`place ${place}`, `{"g:a":${place}}`])),
  ];
}

/** @param {Record<string, any>} rule @returns {BadValue[]} */
function badJson({ deepest }) {
  const nest = (/** @type {number} */ depth) => '['.repeat(depth) + ']'.repeat(depth);
  return [
    ['too large', `"${'x'.repeat(MAX_BODY_BYTES - 1)}"`, 'too_large'],
    ['too large by characters of three bytes', `"${'漢'.repeat(Math.ceil(MAX_BODY_BYTES / 3))}"`, 'too_large'],
    [`nested ${deepest + 1} deep`, nest(deepest + 1)],
    ['nested 8000 deep', nest(8000)],
  ];
}

/** @param {Record<string, any>} rule @returns {BadValue[]} */
function badPackages({ keys }) {
  const good = { id: 'p', i: 0, total: 1 };
  /** @type {BadValue[]} */
  const values = otherKinds('object');
  for (const [key, rule] of Object.entries(keys)) {
    for (const [what, json] of badValues(rule)) values.push([`${key} ${what}`, objectText(good, key, json)]);
  }
  return values;
}

/** @type {Record<string, (rule: Record<string, any>) => BadValue[]>} */
const BAD = {
  integer: badIntegers,
  flag: () => [...otherKinds('flag'), ['"true"', '"true"']],
  list: badLists,
  positions: badPositions,
  json: badJson,
  package: badPackages,
};

/** @param {Record<string, any>} rule of one key @returns {BadValue[]} */
function badValues(rule) {
  const values = rule.is in BAD ? BAD[rule.is](rule) : badTexts(formats[rule.is]);
  return rule.required ? [['missing', undefined], ...values] : values;
}

/** An object as JSON, with one key given as text, or left out. @param {Record<string, any>} object @param {string} key @param {string | undefined} json */
export function objectText(object, key, json) {
  const others = Object.entries(object).filter(([name]) => name !== key);
  const members = others.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  if (json !== undefined) members.push(`${JSON.stringify(key)}:${json}`);
  return `{${members.join(',')}}`;
}

/** @param {string} t @returns {BadPacket[]} */
export function badPackets(t) {
  const { examples, keys, also = [] } = shapes[t];
  /** @type {BadPacket[]} */
  const cases = [];
  const add = (what, text, code, field, closes = t === 'hello') =>
    cases.push({ name: `${t}: ${what}`, t, text, code, field, closes });
  for (const [key, rule] of Object.entries(keys)) {
    const of = examples.filter((example) => key in example);
    for (const example of of.length > 0 ? of : examples.slice(0, 1)) {
      for (const [what, json, code = 'bad_request', closes] of badValues(rule)) {
        add(`${key} ${what}`, objectText(example, key, json), code, key, closes);
      }
    }
  }
  for (const [what, json] of [['missing', undefined], ...otherKinds('text')]) {
    add(`t ${what}`, objectText(examples[0], 't', json), 'bad_request', 't');
  }
  for (const { names, set } of also) {
    const packet = { ...examples[0], ...set };
    for (const [key, value] of Object.entries(set)) if (value === null) delete packet[key];
    add(`${Object.keys(set).join(', ')} together`, JSON.stringify(packet), 'bad_request', names);
  }
  return cases;
}

/** The largest and smallest values that are allowed, to see that the bounds stand where they are said to. @param {string} t @returns {{ name: string, t: string, text: string }[]} */
export function goodPackets(t) {
  const { examples, keys } = shapes[t];
  const cases = examples.map((example) => ({ name: `${t}: an example`, t, text: JSON.stringify(example) }));
  for (const [key, { is, min, max = MAX_INTEGER, deepest, of, most }] of Object.entries(keys)) {
    const example = examples.find((each) => key in each) ?? examples[0];
    const longest = formats[of ?? is]?.longest;
    const text = longest && JSON.stringify(longest[0] + longest[1].repeat(longest[2]));
    /** @type {Record<string, string[]>} */
    const values = {
      integer: [String(min), String(max)],
      flag: ['true', 'false'],
      json: [
        'null',
        'true',
        '""',
        '1e400',
        `${'['.repeat(deepest)}${']'.repeat(deepest)}`,
        `"${'x'.repeat(MAX_BODY_BYTES - 2)}"`,
      ],
      list: ['[]', `[${Array.from({ length: most }, () => text).join(',')}]`],
    };
    // A range's `from` is never above its `to`.
    const room = key === 'from' ? { ...example, to: max } : example;
    for (const value of values[is] ?? (text ? [text] : [])) {
      cases.push({ name: `${t}: ${key} ${value.slice(0, 40)}`, t, text: objectText(room, key, value) });
    }
  }
  return cases;
}
