// What the server itself knows of one connection: who it is, and until when it must have said so. Conversations, windows
// and packets are the engine's.

/** Where a connection stands. */
export const State = Object.freeze({ NEW: 0, AUTHENTICATING: 1, ACCEPTED: 2, CLOSED: 3 });

/** @implements {Ticked} */
export class Connection {
  /** The integer by which edge and engine name it. */
  id;
  /** @type {number} */
  state = State.NEW;
  /** @type {string | undefined} */
  user;
  /** Its user and device, once accepted. @type {string | undefined} */
  deviceKey;
  /** Milliseconds of the wheel's clock at which `expire` is called. */
  deadlineMs = Infinity;
  /** The close code then. */
  deadlineCode = 0;
  #expire;

  /**
   * @param {number} id
   * @param {import('./edge.js').EdgeConnection} edge
   * @param {import('node:http').IncomingMessage} request of the upgrade; let go once it is known who this is
   * @param {(connection: Connection, code: number) => void} expire what to do when its time is over
   */
  constructor(id, edge, request, expire) {
    this.id = id;
    this.edge = edge;
    /** @type {import('node:http').IncomingMessage | undefined} */
    this.request = request;
    this.#expire = expire;
  }

  /**
   * One deadline at a time: hello, then authentication, then the token's expiry. An earlier place in the wheel stays and
   * does no harm.
   *
   * @param {import('./wheel.js').Wheel} wheel
   * @param {number} inMs
   * @param {number} code
   */
  expect(wheel, inMs, code) {
    this.deadlineMs = wheel.clockMs() + inMs;
    this.deadlineCode = code;
    wheel.add(this, inMs);
  }

  /** No deadline. The wheel lets go of it at its next look. */
  expectNothing() {
    this.deadlineMs = Infinity;
  }

  /** @param {number} nowMs */
  tick(nowMs) {
    if (this.state === State.CLOSED || this.deadlineMs === Infinity) return 0;
    if (nowMs < this.deadlineMs) return this.deadlineMs - nowMs;
    const code = this.deadlineCode;
    this.expectNothing();
    this.#expire(this, code);
    return 0;
  }
}

/** @typedef {import('./wheel.js').Ticked} Ticked */
