/** A WebSocket whose frames now and then arrive twice, in both directions: what proxies and impatient middlemen do. */
import { WebSocket } from 'ws';

/** The longest that a repeat comes after its frame, ms; then much else lies between. */
const LATE_MS = 300;

/**
 * @param {object} options
 * @param {() => number} options.random
 * @param {{ repeat: number }} options.faults `repeat`: of so many frames, 0 to 1; looked at for each
 * @param {Record<string, number>} options.counts `repeatedFrames` is counted up
 * @param {import('ws').ClientOptions} options.connection
 * @returns {any} a class, for the client's `WebSocket`
 */
export function flakySocket({ random, faults, counts, connection }) {
  const isRepeated = () => {
    const repeats = random() < faults.repeat;
    if (repeats) counts.repeatedFrames += 1;
    return repeats;
  };
  return class FlakySocket extends WebSocket {
    /** @param {string} url @param {string} protocol */
    constructor(url, protocol) {
      super(url, protocol, connection);
    }

    /** @override @param {any} data @param {any[]} more */
    send(data, ...more) {
      // @ts-ignore the overloads of send() are those of ws
      super.send(data, ...more);
      // A hello opens a connection and a welcome answers it: there is one of each, as there is one upgrade.
      if (typeof data !== 'string' || data.includes('"t":"hello"') || !isRepeated()) return;
      if (random() < 0.5) super.send(data);
      else setTimeout(() => this.readyState === WebSocket.OPEN && super.send(data), random() * LATE_MS);
    }

    /** @override @param {string} event @param {any[]} about */
    emit(event, ...about) {
      const heard = super.emit(event, ...about);
      if (event === 'message' && !String(about[0]).includes('"t":"welcome"') && isRepeated())
        super.emit(event, ...about);
      return heard;
    }
  };
}
