// The network panel: breaks this tab's connection in every way a network can, and shows what came of it.
import { byId, el, labelled, setText } from '../dom.js';
import { network } from '../network.js';

const OPEN_KEY = 'everyonce-chat:network';

/** @typedef {{ name: 'delayOut' | 'delayIn' | 'dropAcks' | 'duplicate', label: string, max: number, step: number, unit: string }} Slider */

/** Chances are shown in percent. @type {Slider[]} */
const SLIDERS = [
  { name: 'delayOut', label: 'Delay to the server', max: 3000, step: 50, unit: 'ms' },
  { name: 'delayIn', label: 'Delay from the server', max: 3000, step: 50, unit: 'ms' },
  { name: 'dropAcks', label: 'Acks swallowed', max: 100, step: 5, unit: '%' },
  { name: 'duplicate', label: 'Frames sent twice', max: 100, step: 5, unit: '%' },
];

/** @type {[keyof typeof network.counters, string][]} */
const COUNTERS = [
  ['sent', 'Messages put on the wire'],
  ['resent', 'of these, sent again'],
  ['acks', 'Acks that came'],
  ['answeredDup', 'of these, “I had that already”'],
  ['swallowedAcks', 'Acks swallowed here'],
  ['received', 'Messages that came'],
  ['connections', 'Connections opened'],
  ['cuts', 'Connections cut'],
];

const VERDICT = [
  ['missing', 'lost'],
  ['doubled', 'doubled'],
  ['swapped', 'out of order'],
];

export class NetworkPanel {
  /** @type {Map<string, Element>} */
  #numbers = new Map();
  /** @type {Map<string, { input: HTMLInputElement, output: Element, percent: boolean }>} */
  #sliders = new Map();
  /** Lost, doubled, out of order: three numbers that are to stay 0. */
  #verdict = el('dl', { class: 'verdict', role: 'status' });
  #verdictDetail = el('p', { class: 'muted small' });
  #offline = el('input', { type: 'checkbox', id: 'net-offline', role: 'switch' });
  #isQueued = false;

  /** @param {import('../state.js').ChatState} state */
  constructor(state) {
    this.state = state;
    this.panel = byId('network');
    labelled(byId('network-close'), 'close', 'Close the network panel');
    byId('network-close').addEventListener('click', () => this.toggle());
    this.panel.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Escape') this.toggle();
    });
    this.#build();
    network.addEventListener('change', () => this.#soon());
    state.subscribe(() => this.#soon());
    this.#show(sessionStorage.getItem(OPEN_KEY) === 'open');
  }

  toggle() {
    const isOpen = this.panel.hidden;
    sessionStorage.setItem(OPEN_KEY, isOpen ? 'open' : '');
    this.#show(isOpen);
    if (isOpen) byId('network-title').focus();
    else byId('network-toggle').focus();
  }

  /** @param {boolean} isOpen */
  #show(isOpen) {
    this.panel.hidden = !isOpen;
    byId('chat').classList.toggle('with-network', isOpen);
    byId('network-toggle').setAttribute('aria-expanded', String(isOpen));
    this.#update();
  }

  #build() {
    this.#offline.addEventListener('change', () => network.set({ offline: this.#offline.checked }));
    const cut = el('button', {
      id: 'net-cut',
      class: 'button',
      type: 'button',
      text: 'Cut now',
      on: { click: () => network.cut() },
    });
    const heal = el('button', {
      id: 'net-heal',
      class: 'button',
      type: 'button',
      text: 'Heal all',
      on: { click: () => network.reset() },
    });
    const offline = el(
      'label',
      { class: 'switch', for: 'net-offline' },
      el('span', { text: 'Offline' }),
      this.#offline,
    );
    for (const [name, label] of VERDICT) {
      const number = el('dd', { data: { verdict: name } });
      this.#numbers.set(name, number);
      this.#verdict.append(el('div', {}, number, el('dt', { text: label })));
    }
    byId('network-body').replaceChildren(
      el('section', { class: 'card', 'aria-label': 'Verdict' }, this.#verdict, this.#verdictDetail),
      el(
        'section',
        { 'aria-label': 'Faults' },
        offline,
        ...SLIDERS.map((slider) => this.#slider(slider)),
        el('div', { class: 'pair' }, cut, heal),
      ),
      el(
        'section',
        { 'aria-label': 'Counters' },
        el('dl', { class: 'counters' }, ...COUNTERS.flatMap(([name, label]) => this.#counter(name, label))),
      ),
    );
  }

  /** @param {Slider} slider */
  #slider({ name, label, max, step, unit }) {
    const percent = unit === '%';
    const id = `net-${name}`;
    const input = el('input', { type: 'range', id, min: '0', max: String(max), step: String(step), value: '0' });
    const output = el('output', { for: id });
    input.addEventListener('input', () => network.set({ [name]: Number(input.value) / (percent ? 100 : 1) }));
    this.#sliders.set(name, { input, output, percent });
    return el('div', { class: 'slider' }, el('label', { for: id, text: label }), output, input);
  }

  /** @param {string} name @param {string} label */
  #counter(name, label) {
    const number = el('dd', { data: { counter: name } });
    this.#numbers.set(name, number);
    return [el('dt', { text: label, class: label.startsWith('of these') ? 'part' : '' }), number];
  }

  /** Packets come by the hundred; the panel is written once a turn. */
  #soon() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      this.#update();
    });
  }

  #update() {
    byId('network-toggle').classList.toggle('alarm', !network.isSound);
    if (this.panel.hidden) return;
    this.#offline.checked = network.settings.offline;
    for (const [name, { input, output, percent }] of this.#sliders) {
      const value = Math.round(Number(Reflect.get(network.settings, name)) * (percent ? 100 : 1));
      if (input.value !== String(value)) input.value = String(value);
      setText(output, `${value} ${percent ? '%' : 'ms'}`);
    }
    for (const [name] of COUNTERS) {
      setText(/** @type {Element} */ (this.#numbers.get(name)), String(network.counters[name]));
    }
    this.#judge();
  }

  #judge() {
    const sum = { missing: 0, doubled: 0, swapped: 0, onTheWay: 0, waiting: 0, shown: 0 };
    for (const conversation of this.state.conversations.values()) {
      sum.missing += conversation.missing;
      sum.doubled += conversation.doubled;
      sum.swapped += conversation.swapped;
      sum.onTheWay += conversation.onTheWay;
      sum.waiting += conversation.pending.size;
      sum.shown += conversation.messages.length;
    }
    for (const name of /** @type {const} */ (['missing', 'doubled', 'swapped'])) {
      const number = /** @type {Element} */ (this.#numbers.get(name));
      setText(number, String(sum[name]));
      number.classList.toggle('bad', sum[name] > 0);
    }
    const waits =
      sum.onTheWay + sum.waiting === 0
        ? 'Nothing is on its way.'
        : `On the way: ${sum.waiting} out, ${sum.onTheWay} in.`;
    setText(this.#verdictDetail, `Judged by the numbers of the ${sum.shown} messages in this tab. ${waits}`);
  }
}
