/**
 * A network in virtual time between clients and simulated servers: it delays, repeats, cuts, forgets to say that it cut
 * (then all that follows is lost), and lets one reader take its bytes slowly. A direction of a connection keeps its order, as TCP does; what a
 * client had on its way when it closed may still arrive.
 */

/** After which the server takes a silent connection for dead, ms (protocol, Connection). */
const SILENCE_MS = 30_000;

export class Network {
  faults = { repeat: 0, lose: 0, cut: 0, halfOpen: 0, latencyMs: 5, refuse: false };
  /** Bytes a second that a user's connections take; none: all at once. @type {Map<string, number>} */
  throttled = new Map();
  sockets = new Set();

  constructor({ clock, random, servers, trace }) {
    Object.assign(this, { clock, random, servers, trace });
  }

  /** Whom a connection goes to: mostly one that is up, as a load balancer would have it. */
  route() {
    const { servers, random } = this;
    if (servers.length === 1) return servers[0];
    const up = servers.filter((server) => server.up);
    const among = up.length > 0 && random() < 0.9 ? up : servers;
    return among[Math.floor(random() * among.length)];
  }

  /** @param {string} user @param {() => boolean} alive whether the process that dials still runs */
  classFor(user, alive) {
    const network = this;
    return class extends Socket {
      constructor() {
        super(network, user, alive);
      }
    };
  }

  /** Everything, or what belongs to one user. */
  cut(user) {
    for (const socket of [...this.sockets]) if (user === undefined || socket.user === user) socket.cut();
  }

  /** A client is gone, and nobody tells its server; what it had on its way arrives. @param {string} user */
  abandon(user) {
    for (const socket of [...this.sockets]) if (socket.user === user) socket.abandon();
  }

  /** A server's process is gone. @param {boolean} told whether its peers learn of it */
  serverDied(server, told) {
    for (const socket of [...this.sockets]) if (socket.server === server) socket.serverDied(told);
  }

  /** Whether this user has a connection to another server. */
  isElsewhere(user, server) {
    return [...this.sockets].some((socket) => socket.user === user && socket.server !== server);
  }

  calm() {
    Object.assign(this.faults, { repeat: 0, lose: 0, cut: 0, halfOpen: 0, refuse: false });
    this.throttled.clear();
    // A connection that has lost something of what it carried would not live on.
    for (const socket of [...this.sockets]) if (socket.hasLost) socket.cut();
  }
}

/** The client's WebSocket and, in `edge`, the server's end of it. */
class Socket {
  bufferedAmount = 0;
  hasLost = false;
  #state = 'dialing';
  #due = { up: 0, down: 0 };
  #id = 0;
  #serverEnd = 'none';
  #paused = 0;
  #held = [];
  #queued = 0;
  #lagging = false;

  constructor(network, user, alive) {
    const server = network.route();
    Object.assign(this, { network, user, alive, server });
    network.sockets.add(this);
    this.#later('down', () => {
      if (network.faults.refuse || !server.up) return this.#clientEnds(1006);
      this.#state = 'open';
      this.#serverEnd = 'open';
      this.#id = server.connections.opened(this.#edge(), { headers: {} });
      this.onopen?.({});
    });
  }

  // What the client calls.

  send(text) {
    if (this.#state !== 'open') return;
    this.#frame('up', () => this.#arrives(Buffer.from(text)), `up ${text}`);
  }

  close() {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    // What is on its way arrives, or not; then the server learns of the end.
    if (this.network.random() < 0.5) this.#due.up = 0;
    this.#atServer(() => this.#serverEnds(1006), this.#due.up === 0);
  }

  // What the network does.

  cut() {
    this.#atServer(() => this.#serverEnds(1006), true);
    this.#clientEnds(1006);
  }

  abandon() {
    if (this.#state === 'open') this.#halfOpen();
    else this.cut();
  }

  serverDied(told) {
    this.#serverEnd = 'gone';
    if (told) this.#later('down', () => this.#clientEnds(1006));
    else this.#state = this.#state === 'open' ? 'deaf' : this.#state;
  }

  /** Nothing goes through any more, and nobody is told; the server's heartbeat finds out. */
  #halfOpen() {
    this.#state = 'deaf';
    const { network } = this;
    network.clock.setTimeout(() => this.#serverEnds(1006), SILENCE_MS);
    network.trace.count('half-open');
  }

  #clientEnds(code) {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.network.sockets.delete(this);
    if (this.alive()) this.onclose?.({ code, reason: '' });
  }

  #serverEnds(code) {
    if (this.#serverEnd !== 'open') return;
    this.#serverEnd = 'closed';
    this.network.sockets.delete(this);
    if (this.server.up) this.server.connections.closed(this.#id, code);
  }

  /** @param {() => void} act @param {boolean} now */
  #atServer(act, now) {
    const { server } = this;
    const { life } = server;
    if (this.#serverEnd === 'none') this.network.sockets.delete(this);
    else if (now) act();
    else this.#later('up', () => server.life === life && act());
  }

  /** A frame of the client's reaches the server. @param {Buffer} bytes */
  #arrives(bytes) {
    if (this.#serverEnd !== 'open') return;
    if (this.#paused !== 0) this.#held.push(bytes);
    else this.server.connections.frame(this.#id, bytes);
  }

  #frame(direction, deliver, text) {
    const { faults, random, trace } = this.network;
    if (random() < faults.cut) return random() < faults.halfOpen ? this.#halfOpen() : this.cut();
    // A stream of bytes loses nothing in its middle, and repeats nothing. Both are drawn all the same, where the
    // protocol can take them: proxies and clients of others do stranger things.
    const isHello = text.includes('"t":"hello"');
    if (direction === 'up' && !isHello && random() < faults.lose) {
      this.hasLost = true;
      return trace.count('lost frame');
    }
    const copies = random() < faults.repeat && !isHello ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#later(direction, () => {
        trace.note(`${this.user} ${this.#id} ${text}`);
        deliver();
      });
    }
  }

  /** The server's end, as lib/server/edge.js describes it. */
  #edge() {
    const socket = this;
    return {
      remoteAddress: '127.0.0.1',
      get bufferedAmount() {
        return socket.#queued;
      },
      get isPaused() {
        return socket.#paused !== 0;
      },
      write: (bytes) => {
        for (const text of textsOf(bytes)) socket.#down(text);
      },
      close: (code) => socket.#serverCloses(code),
      terminate: () => socket.cut(),
      pause: (reason) => (socket.#paused |= reason),
      resume: (reason) => socket.#resume(reason),
    };
  }

  #down(text) {
    if (this.#serverEnd !== 'open') return;
    const { network } = this;
    this.#queued += text.length;
    const perSecond = network.throttled.get(this.user);
    if (perSecond) this.#due.down = Math.max(this.#due.down, network.clock.now()) + (text.length / perSecond) * 1000;
    const taken = () => {
      this.#queued -= text.length;
      this.#lag();
    };
    this.#lag();
    this.#later('down', taken);
    this.#frame(
      'down',
      () => this.#state === 'open' && this.alive() && this.onmessage?.({ data: text }),
      `down ${text}`,
    );
  }

  #lag() {
    const { server } = this;
    const { trace } = this.network;
    const lagging = this.#queued > server.bufferedBytes;
    if (lagging === this.#lagging || this.#serverEnd !== 'open' || !server.up) return;
    this.#lagging = lagging;
    if (lagging) trace.count('lagging');
    server.connections.lagging(this.#id, lagging);
  }

  #serverCloses(code) {
    if (this.#serverEnd !== 'open') return;
    this.network.trace.count(`close ${code}`);
    if (code === 4409 && this.network.isElsewhere(this.user, this.server)) this.network.trace.count('takeover');
    this.#later('down', () => this.#clientEnds(code));
    this.#serverEnds(code);
  }

  #resume(reason) {
    this.#paused &= ~reason;
    while (this.#paused === 0 && this.#held.length > 0 && this.#serverEnd === 'open') {
      this.server.connections.frame(this.#id, this.#held.shift());
    }
  }

  #later(direction, act) {
    const { clock, random, faults } = this.network;
    const at = Math.max(this.#due[direction], clock.now() + random() * faults.latencyMs);
    this.#due[direction] = at;
    clock.setTimeout(() => {
      if (this.#state !== 'closed' || direction === 'up') act();
    }, at - clock.now());
  }
}

/** The payloads of unmasked WebSocket text frames (RFC 6455, 5.2). @param {Uint8Array} bytes @returns {string[]} */
function textsOf(bytes) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts = [];
  for (let at = 0; at < buffer.length;) {
    const short = buffer[at + 1];
    const length =
      short === 127 ? Number(buffer.readBigUInt64BE(at + 2)) : short === 126 ? buffer.readUInt16BE(at + 2) : short;
    const start = at + (short === 127 ? 10 : short === 126 ? 4 : 2);
    texts.push(buffer.toString('utf8', start, start + length));
    at = start + length;
  }
  return texts;
}
