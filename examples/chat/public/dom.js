// The little that this page needs instead of a framework.

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] `class`, `text`, `data` (an object), `on` (listeners by event); the rest are attributes,
 *   where false and undefined mean none
 * @param {...(Node | string | null | undefined)} children
 * @returns {any} the element
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'class') node.className = value;
    else if (name === 'text') node.textContent = value;
    else if (name === 'data') Object.assign(node.dataset, value);
    else if (name === 'on')
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** Writes only what changed, so that live regions stay quiet and selections stay. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} node @param {string} name @param {string | null} value null takes it off */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) === value) return;
  if (value === null) node.removeAttribute(name);
  else node.setAttribute(name, value);
}

/** Elements by key, per parent. @type {WeakMap<Element, Map<string, Element>>} */
const rows = new WeakMap();

/**
 * Makes a parent's children be those of `items`, in their order. An element lives as long as its key; it is moved only
 * where it stands wrong, so focus and selection survive.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {{ key: (item: T) => string, create: (item: T) => Element, update: (node: any, item: T) => void }} how
 */
export function reconcile(parent, items, { key, create, update }) {
  const before = rows.get(parent) ?? new Map();
  const now = new Map();
  for (const item of items) {
    const name = key(item);
    const node = before.get(name) ?? create(item);
    update(node, item);
    now.set(name, node);
  }
  for (const [name, node] of before) if (!now.has(name)) node.remove();
  let place = parent.firstElementChild;
  for (const node of now.values()) {
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  rows.set(parent, now);
}

const ICONS = {
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6L6 18',
  down: 'M6 10l6 6 6-6',
  logout: 'M14 4H6v16h8M10 12h10m-4-4 4 4-4 4',
  network: 'M3 12h4l3-8 4 16 3-8h4',
  people: 'M4 19c0-3 2.5-5 5.5-5s5.5 2 5.5 5M9.5 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M19 8v6m-3-3h6',
  send: 'M4 12l16-8-6 16-3-7z',
  waiting: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l3 2',
  accepted: 'M5 13l4 4 9-10',
  delivered: 'M1.5 13l4.5 4.5 9-11M11 16.5l1 1 9.5-11',
  unconfirmed: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v5M12 16v.2',
};

/** @param {keyof typeof ICONS} name @returns {SVGElement} */
export function icon(name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** Gives a button its picture and its name. @param {HTMLElement} button @param {keyof typeof ICONS} name @param {string} label */
export function labelled(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute('aria-label', label);
  button.title = label;
}
