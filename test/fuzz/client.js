// node test/fuzz/client.js [--seconds 10] [--seed N] [--cases N]
// The shipped client against packets that are damaged or lie. Each case is one seed, printed where it fails:
//   noise  beside every good frame come frames that no client may act on: then all must be as promised
//   lies   good frames are changed at random: then nothing may throw, hang, grow or be overwritten that is not the client's own
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { badKeyOfServerPacket, decodeFrame } from '../../lib/protocol/index.js';
import { seeded } from '../lib/client/fake/clock.js';
import { makeWorld } from '../lib/client/fake/world.js';
import { mutator } from './mutate.js';

const DM = 'dm:alice:bob';
const GROUP = 'g:all';
const STEPS = 25;
/** Timers of one client: a few for each conversation, whatever a server says. */
const MAX_TIMERS = 200;
/** Which case runs: a case that hangs can't say so itself. */
const LAST = fileURLToPath(new URL('../../build/Fuzz/client-last', import.meta.url));

/**
 * @param {number} seed
 * @returns {Promise<void>} rejects with what went wrong
 */
export async function runCase(seed) {
  const chance = seeded(seed ^ 0xf022);
  const isNoise = seed % 2 === 0;
  const world = makeWorld(seed);
  const { clock, server, network, makeClient } = world;
  server.groups.set(GROUP, ['alice', 'bob']);
  const mutate = mutator(chance);
  const faults = { rate: 0.3 };
  const WebSocket = class extends network.WebSocket {
    /** @type {any} */
    #listener;
    set onmessage(listener) {
      this.#listener = listener;
    }
    get onmessage() {
      return (/** @type {{ data: string }} */ { data }) => {
        const spoilt = chance() < faults.rate;
        if (spoilt && isNoise) this.#listener?.({ data: noiseOf(data, mutate, chance) });
        this.#listener?.({ data: spoilt && !isNoise ? mutate.value(data) : data });
      };
    }
  };
  const before = globalsNow();
  const alice = makeClient('alice', { WebSocket });
  const bob = makeClient('bob');
  alice.connect().catch(() => {});
  bob.connect().catch(() => {});
  const sent = [];
  for (let step = 0; step < STEPS; step++) {
    const sender = chance() < 0.5 ? alice : bob;
    const conv = chance() < 0.5 ? DM : GROUP;
    const dice = chance();
    if (dice < 0.6) {
      const body = { step, from: sender.user };
      sent.push({ sender, conv, body });
      sender.send(conv, body).catch(() => {});
    } else if (dice < 0.65) network.cutAll();
    else if (dice < 0.7) alice.history(conv, { limit: 5 }).catch(() => {});
    else if (dice < 0.75) alice.counts().catch(() => {});
    else if (dice < 0.8) server.truncate(conv, Math.max(0, server.conversation(conv).head - 1));
    await clock.advance(chance() * 1_500);
    require(clock.pending < MAX_TIMERS, `${clock.pending} timers`);
  }
  faults.rate = 0;
  await clock.advance(isNoise ? 120_000 : 5_000);
  require(globalsNow() === before, 'something global was changed');
  for (const { conv, seq, from, id } of alice.received) {
    const wellFormed = typeof conv === 'string' && Number.isSafeInteger(seq) && typeof from === 'string' && typeof id === 'string'; // prettier-ignore
    require(wellFormed, `a handler was given ${JSON.stringify({ conv, seq, from, id })}`);
  }
  if (isNoise) allAsPromised({ server, alice, bob, sent });
  await Promise.all([alice.close(), bob.close()]);
}

/** A frame that asks for nothing: no JSON, or packets whose shape is wrong. @param {string} data */
function noiseOf(data, mutate, chance) {
  if (chance() < 0.3) {
    const text = mutate.bytes(data);
    return isActedOn(text) ? '{' : text;
  }
  for (let tries = 0; tries < 10; tries++) {
    const text = mutate.value(data);
    if (!isActedOn(text)) return text;
  }
  return '[{}]';
}

/** Whether a client may act on any of it. @param {string} text */
function isActedOn(text) {
  try {
    return decodeFrame(text).some((packet) => badKeyOfServerPacket(packet) === null);
  } catch {
    return false;
  }
}

/** What every message is due where no good frame was touched. */
function allAsPromised({ server, alice, bob, sent }) {
  for (const client of [alice, bob]) {
    require(client.outbox().length === 0, `${client.user} has ${client.outbox().length} in the outbox`);
    for (const conv of [DM, GROUP]) {
      const log = server.conversations.get(conv);
      if (!log) continue;
      const got = client.received.filter((message) => message.conv === conv).map(({ id }) => id);
      const due = log.messages.filter(({ device }) => device !== client.device).map(({ id }) => id);
      require(due.every((id) => got.includes(id)), `${client.user} lacks of ${conv}: ${due.filter((id) => !got.includes(id))}`); // prettier-ignore
      require(new Set(got).size === got.length, `${client.user} was given something twice in ${conv}`);
    }
  }
  for (const { conv, body } of sent) {
    const times = server.conversations.get(conv).messages.filter((m) => m.body.step === body.step).length;
    require(times === 1, `step ${body.step} is stored ${times} times`);
  }
}

/** What a hostile packet could have written to. */
function globalsNow() {
  const own = (/** @type {any} */ object) => Object.getOwnPropertyNames(object).join();
  return [Object.prototype, Array.prototype, Map.prototype, Function.prototype, globalThis].map(own).join('|');
}

/** @param {boolean} holds @param {string} what */
function require(holds, what) {
  if (!holds) throw new Error(what);
}

/** @param {{ seconds?: number, cases?: number, seed: number }} how @returns {Promise<number>} cases that were run */
export async function fuzzClient({ seconds = Infinity, cases = Infinity, seed }) {
  mkdirSync(fileURLToPath(new URL('../../build/Fuzz', import.meta.url)), { recursive: true });
  /** @type {any} */
  let rejected = null;
  const onRejection = (/** @type {any} */ error) => (rejected ??= error);
  process.on('unhandledRejection', onRejection);
  const end = performance.now() + seconds * 1000;
  let done = 0;
  try {
    for (; done < cases && performance.now() < end; done++) {
      writeFileSync(LAST, String(seed + done));
      try {
        await runCase(seed + done);
        if (rejected) throw rejected;
      } catch (error) {
        throw new Error(`node test/fuzz/client.js --cases 1 --seed ${seed + done}: ${error.message}`, { cause: error });
      }
    }
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return done;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, seed: { type: 'string' }, cases: { type: 'string' } },
  });
  const number = (/** @type {string | undefined} */ text) => (text === undefined ? undefined : Number(text));
  const seed = number(values.seed) ?? Math.floor(Math.random() * 2 ** 30);
  const cases = number(values.cases);
  const done = await fuzzClient({ seed, cases, seconds: number(values.seconds) ?? (cases ? undefined : 10) });
  console.log(`client: ${done} cases from seed ${seed}, nothing found`);
}
