/**
 * WebSockets in memory, in virtual time. Each direction of a socket keeps its order; faults may drop or repeat a frame,
 * or cut the socket, with or without telling the client.
 */
export class FakeNetwork {
  faults = { drop: 0, repeat: 0, cut: 0, latencyMs: 5, refuse: false };
  sockets = new Set();
  /** Every frame that reached the server, decoded: [{ t, … }]. */
  received = [];
  dials = 0;

  constructor({ clock, random, server }) {
    Object.assign(this, { clock, random, server });
    const network = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocol) {
        super(network, url, protocol);
      }
    };
  }

  cutAll() {
    for (const socket of [...this.sockets]) socket.cut();
  }
}

class FakeSocket {
  bufferedAmount = 0;
  #open = false;
  #over = false;
  #due = { up: 0, down: 0 };

  constructor(network, url, protocol) {
    Object.assign(this, { network, url, protocol });
    network.dials += 1;
    network.sockets.add(this);
    this.#later('down', () => {
      if (network.faults.refuse) return this.#end(1006, '');
      this.#open = true;
      this.connection = network.server.connected({
        send: (packets) => this.#frame('down', packets),
        close: (code, reason = '') => this.#later('down', () => this.#end(code, reason)),
      });
      this.onopen?.({});
    });
  }

  send(text) {
    if (!this.#open || this.#over) return;
    this.#frame('up', [].concat(JSON.parse(text)));
  }

  close() {
    if (this.#over) return;
    this.#over = true;
    this.network.sockets.delete(this);
    this.connection?.closed();
  }

  /** The network loses the connection; both sides learn of it. */
  cut() {
    this.#end(1006, '');
  }

  #end(code, reason) {
    if (this.#over) return;
    this.close();
    this.onclose?.({ code, reason });
  }

  #frame(direction, packets) {
    const { faults, random } = this.network;
    const chance = random();
    if (chance < faults.cut) return this.cut();
    const copies = random() < faults.drop ? 0 : random() < faults.repeat ? 2 : 1;
    for (let i = 0; i < copies; i++) this.#later(direction, () => this.#deliver(direction, packets));
  }

  #deliver(direction, packets) {
    if (direction === 'down')
      return this.onmessage?.({ data: JSON.stringify(packets.length === 1 ? packets[0] : packets) });
    for (const packet of packets) {
      this.network.received.push(packet);
      this.connection.receive(packet);
    }
    this.connection.flush();
  }

  #later(direction, act) {
    const { clock, random, faults } = this.network;
    const at = Math.max(this.#due[direction], clock.now() + random() * faults.latencyMs);
    this.#due[direction] = at;
    clock.setTimeout(() => {
      if (!this.#over) act();
    }, at - clock.now());
  }
}
