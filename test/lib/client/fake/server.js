/**
 * The server of docs/protocol.md as a naive model: plain maps, every rule by its most literal reading, nothing fast.
 * It never loses what it acked, unless a test tells it to (wipe, truncate).
 */
const WINDOW = 64;

export class FakeServer {
  limits = { frame: 65_536, body: 16_384, window: 32, page: 20, rate: 0 };
  connections = new Set();
  conversations = new Map();
  devices = new Map();
  groups = new Map();
  /** Packages whose parts are not all there, by device, conversation and n. */
  held = new Map();
  refuseTokens = false;
  /** Sends that get lost: (packet) → true. */
  dropPart;
  /** Chance that a send is answered `unavailable`. */
  unavailable = 0;
  /** Types that are not answered at all. */
  silent = new Set();
  /** Decides a final nack: (packet, user) → code or undefined. */
  authorize = () => undefined;
  /** 'required': ids must be tokens. */
  tokens;
  tokenTtlMs = Infinity;
  /** Tokens by name: whose, until when, and what it was used for. */
  issued = new Map();
  #lastMid = 0n;
  #lastEpoch = 0;

  constructor({ clock, random }) {
    Object.assign(this, { clock, random });
  }

  conversation(conv) {
    let log = this.conversations.get(conv);
    if (!log) {
      log = new Log(conv, (this.#lastEpoch += 1000));
      this.conversations.set(conv, log);
    }
    return log;
  }

  isMember(conv, user) {
    if (conv.startsWith('dm:')) return conv.slice(3).split(':').includes(user);
    return this.groups.get(conv)?.includes(user) === true;
  }

  connected(socket) {
    const connection = new Connection(this, socket);
    this.connections.add(connection);
    return connection;
  }

  /** Why an id may not be used for this message; claims it otherwise. */
  refuseToken(id, user, message) {
    if (!this.tokens) return undefined;
    const token = this.issued.get(id);
    if (!token || token.user !== user || this.clock.now() >= token.expires) return 'token_invalid';
    token.used ??= message;
    return token.used === message ? undefined : 'token_invalid';
  }

  store(conv, message) {
    const log = this.conversation(conv);
    this.#lastMid += 1n;
    const stored = {
      conv,
      epoch: log.epoch,
      seq: log.head + 1,
      mid: String(this.#lastMid),
      at: Math.floor(this.clock.now()),
      ...message,
    };
    log.messages.push(stored);
    for (const connection of this.connections) connection.offer(log, stored);
    return stored;
  }

  /** The store lost all of the conversation above `keep`; a new epoch begins, named by a clock that is `ms` ahead. */
  truncate(conv, keep, ms = 1000) {
    const log = this.conversation(conv);
    log.truncate(keep, (this.#lastEpoch += ms));
    // Nobody can be told of one that he would take for older.
    if (ms < 0) for (const connection of [...this.connections]) connection.end(1012);
    for (const connection of this.connections) connection.epochChanged(log, keep);
  }

  /** The store is new: nobody and nothing is known. */
  wipe() {
    for (const connection of [...this.connections]) connection.end(1012);
    this.conversations.clear();
    this.devices.clear();
  }
}

class Log {
  messages = [];
  producers = new Map();
  acked = new Map();
  reads = new Map();

  constructor(conv, epoch) {
    this.conv = conv;
    this.epochs = [{ epoch, first: 1 }];
  }

  get epoch() {
    return this.epochs.at(-1).epoch;
  }

  get head() {
    return this.messages.length;
  }

  truncate(keep, epoch) {
    this.messages.length = Math.min(keep, this.head);
    this.epochs.push({ epoch, first: this.head + 1 });
    for (const producer of this.producers.values()) {
      for (const [n, { seq }] of producer.answers) if (seq > keep) producer.answers.delete(n);
      producer.last = Math.max(0, ...producer.answers.keys());
    }
    for (const acked of this.acked.values()) for (const seq of acked) if (seq > keep) acked.delete(seq);
    for (const [user, seq] of this.reads) this.reads.set(user, Math.min(seq, keep));
  }

  judge(epoch, seq) {
    const end = this.endOf(epoch);
    if (end === undefined) return { resume: 'reset' };
    return seq <= end ? { resume: 'ok' } : { resume: 'truncated', keep: end };
  }

  /** What is left of an epoch: not only the one after it may have cut it. */
  endOf(epoch) {
    const index = this.epochs.findIndex((known) => known.epoch === epoch);
    if (index < 0) return undefined;
    return Math.min(this.head, ...this.epochs.slice(index + 1).map(({ first }) => first - 1));
  }

  needs(key, { seq, from, device }) {
    return `${from}/${device}` !== key && !this.ackedOf(key).has(seq);
  }

  ackedOf(key) {
    if (!this.acked.has(key)) this.acked.set(key, new Set());
    return this.acked.get(key);
  }

  got(key) {
    return (this.messages.find((message) => this.needs(key, message))?.seq ?? this.head + 1) - 1;
  }

  ack(key, from, to) {
    for (let seq = from; seq <= Math.min(to, this.head); seq++) this.ackedOf(key).add(seq);
  }

  producer(key) {
    if (!this.producers.has(key)) this.producers.set(key, { last: 0, answers: new Map(), known: false });
    return this.producers.get(key);
  }
}

class Connection {
  #out = [];
  #live = new Map();
  #told = new Set();
  #pushed = new Map();
  key = '';

  constructor(server, socket) {
    Object.assign(this, { server, socket });
  }

  send(packet) {
    this.#out.push(packet);
  }

  flush() {
    if (this.#out.length > 0) this.socket.send(this.#out.splice(0));
  }

  closed() {
    this.server.connections.delete(this);
  }

  end(code, reason) {
    this.flush();
    this.closed();
    this.socket.close(code, reason);
  }

  receive(packet) {
    if (!this.server.connections.has(this) || this.server.silent.has(packet.t)) return;
    if (!this.key && packet.t !== 'hello') return this.end(4400);
    const handler = this[`on_${packet.t}`];
    if (handler) handler.call(this, packet);
    else this.send({ t: 'error', code: 'unsupported', message: packet.t, rid: packet.rid });
  }

  on_hello({ device, pe, token, at = {}, live = true }) {
    const { server } = this;
    if (server.refuseTokens || !token) return this.end(4401);
    this.user = token;
    const key = `${token}/${device}`;
    const known = server.devices.get(key);
    if (known > pe) {
      this.send({ t: 'error', code: 'stale_device', message: 'older copy', pe: known });
      return this.end(4409);
    }
    for (const other of server.connections) if (other !== this && other.key === key) other.end(4409);
    server.devices.set(key, pe);
    Object.assign(this, { key, device, live });
    const logs = [...server.conversations.values()].filter((log) => server.isMember(log.conv, token));
    if (known === undefined) for (const log of logs) log.ack(key, 1, log.reads.get(token) ?? 0);
    const convs = new Map(logs.map((log) => [log.conv, this.place(log)]));
    for (const [conv, position] of Object.entries(at)) convs.set(conv, this.bring(conv, position));
    for (const log of logs) this.#live.set(log.conv, log.got(key) >= log.head);
    for (const conv of convs.keys()) this.#told.add(conv);
    this.send({
      t: 'welcome',
      v: 1,
      user: token,
      device,
      node: 'fake',
      now: 0,
      limits: server.limits,
      ...(server.tokens ? { tokens: server.tokens } : {}),
      convs: [...convs.values()],
    });
  }

  place(log) {
    const read = log.reads.get(this.user) ?? 0;
    const unread = log.messages.filter(
      (m) => m.seq > read && m.from !== this.user && !m.type.startsWith('system.'),
    ).length;
    return { conv: log.conv, epoch: log.epoch, head: log.head, got: log.got(this.key), read, unread };
  }

  bring(conv, [epoch, seq]) {
    const log = this.server.conversations.get(conv);
    if (!log || !this.server.isMember(conv, this.user))
      return { conv, epoch: 0, head: 0, got: 0, read: 0, unread: 0, resume: 'reset' };
    const judged = log.judge(epoch, seq);
    if (judged.resume === 'ok') log.ack(this.key, 1, seq);
    this.#told.add(conv);
    return { ...this.place(log), ...judged };
  }

  on_resume({ rid, at }) {
    this.send({ t: 'resume', rid, convs: Object.entries(at).map(([conv, position]) => this.bring(conv, position)) });
  }

  on_ping() {
    this.send({ t: 'pong' });
  }

  on_pong() {}

  on_send(packet) {
    const { conv, id, n, type = 'text', body } = packet;
    const { server } = this;
    const nack = (code, more) => this.send({ t: 'nack', conv, id, n, code, message: code, ...more });
    if (server.dropPart?.(packet)) return;
    if (server.random() < server.unavailable) return nack('unavailable', { retry: 20 });
    const member = server.isMember(conv, this.user);
    const log = server.conversations.get(conv) ?? (member ? server.conversation(conv) : undefined);
    const producer = log?.producers.get(this.key) ?? { last: 0, answers: new Map() };
    if (!member && producer.last === 0) return nack('unknown_conv');
    if (n <= producer.last) {
      const answer = producer.answers.get(n);
      const part = answer?.parts?.find((stored) => stored.id === id);
      if (part?.code) return nack(part.code);
      if (part) return this.send({ t: 'ack', conv, id, n, ...part, safe: 'disk', dup: true });
      if (!answer || answer.id !== id) return nack(n <= producer.last - WINDOW ? 'too_old' : 'conflict');
      return answer.code ? nack(answer.code) : this.send({ t: 'ack', conv, id, n, ...answer, safe: 'disk', dup: true });
    }
    if (producer.last === 0 && n > 1) return nack('unknown_producer');
    if (n > producer.last + 1) return nack('gap', { retry: 0, expected: producer.last + 1 });
    if ([...producer.answers.values()].some((answer) => answer.id === id)) return nack('conflict');
    if (packet.pkg) return this.hold(packet, log, producer);
    log.producers.set(this.key, producer);
    producer.last = n;
    const used = `${this.key}/${conv}/${n}`;
    const refused = server.refuseToken(id, this.user, used);
    const code = member ? (refused ?? server.authorize(packet, this.user)) : 'forbidden';
    if (code) {
      producer.answers.set(n, { id, code });
      return nack(code);
    }
    const { seq, epoch, mid, at } = server.store(conv, { from: this.user, device: this.device, id, type, body, n });
    producer.answers.set(n, { id, seq, epoch, mid, at });
    this.send({ t: 'ack', conv, id, n, seq, epoch, mid, at, safe: 'disk' });
  }

  /** Keeps a part until all are there, five seconds at most, over all connections of the device. */
  hold(packet, log, producer) {
    const { server, user, device } = this;
    const { conv, n, pkg } = packet;
    const key = `${this.key}/${conv}/${n}`;
    const answer = (packets) => {
      for (const connection of server.connections) {
        if (connection.key !== this.key) continue;
        for (const one of packets) connection.send(one);
        connection.flush();
      }
    };
    if (!server.held.has(key)) {
      const held = new Map();
      server.held.set(key, held);
      server.clock.setTimeout(() => {
        if (server.held.get(key) !== held) return;
        server.held.delete(key);
        const refusal = { t: 'nack', conv, n, code: 'package_incomplete', message: 'incomplete', retry: 0 };
        answer([...held.values()].map(({ id }) => ({ ...refusal, id })));
      }, 5000);
    }
    const held = server.held.get(key);
    held.set(pkg.i, packet);
    if (held.size < pkg.total) return;
    server.held.delete(key);
    log.producers.set(this.key, producer);
    producer.last = n;
    const used = `${this.key}/${conv}/${n}`;
    const bad = [...held.values()].some(({ id }) => server.refuseToken(id, user, used));
    if (bad) {
      const refused = [...held.values()].map(({ id }) => ({ id, code: 'token_invalid' }));
      producer.answers.set(n, { parts: refused });
      return answer(refused.map((part) => ({ t: 'nack', conv, n, message: 'no token', ...part })));
    }
    const parts = [...held.entries()]
      .sort(([a], [b]) => a - b)
      .map(([, { id, type = 'text', body }]) => {
        const { seq, epoch, mid, at } = server.store(conv, { from: user, device, id, type, body, n });
        return { id, seq, epoch, mid, at };
      });
    producer.answers.set(n, { parts, seq: parts[0].seq });
    answer(parts.map((part) => ({ t: 'ack', conv, n, ...part, safe: 'disk' })));
  }

  on_status({ rid, conv, ids, device = this.device }) {
    const log = this.server.conversations.get(conv);
    const found = ids.flatMap((id) => {
      const message = log?.messages.find((m) => m.id === id && m.from === this.user && m.device === device);
      return message
        ? [{ id, n: message.n, seq: message.seq, epoch: message.epoch, mid: message.mid, at: message.at }]
        : [];
    });
    this.send({ t: 'status', rid, conv, found, unknown: [] });
  }

  on_tokens({ rid, count }) {
    const { server, user } = this;
    const error = (code) => this.send({ t: 'error', rid, code, message: code });
    if (!server.tokens) return error('unsupported');
    if (!(count >= 1 && count <= 1000)) return error('bad_request');
    const expires = server.clock.now() + server.tokenTtlMs;
    const tokens = Array.from({ length: count }, (_, i) => `eo1-${String(server.issued.size + i).padStart(44, '0')}`);
    for (const token of tokens) server.issued.set(token, { user, expires });
    this.send({ t: 'tokens', rid, tokens });
  }

  on_skip({ rid, conv, from, to }) {
    const producer = this.server.conversation(conv).producer(this.key);
    const error = (code) => this.send({ t: 'error', rid, code, message: code });
    for (let n = from; n <= Math.min(to, producer.last); n++)
      if (producer.answers.get(n)?.seq) return error('conflict');
    if (producer.last >= to) return this.send({ t: 'ok', rid });
    if (producer.last > 0 && from !== producer.last + 1) return error('bad_request');
    for (let n = from; n <= to; n++) producer.answers.set(n, { id: '', code: 'conflict' });
    producer.last = to;
    this.send({ t: 'ok', rid });
  }

  on_got({ conv, epoch, seq, from = 1, to = seq }) {
    const log = this.server.conversations.get(conv);
    if (!log) return;
    log.ack(this.key, from, Math.min(to, log.endOf(epoch) ?? 0));
    for (const [key, stored] of this.#pushed)
      if (stored.conv === conv && !log.needs(this.key, stored)) this.#pushed.delete(key);
    if (log.got(this.key) >= log.head) this.#live.set(conv, true);
  }

  on_read({ conv, seq }) {
    const log = this.server.conversations.get(conv);
    if (!log) return;
    log.reads.set(this.user, Math.max(log.reads.get(this.user) ?? 0, Math.min(seq, log.head)));
    for (const connection of this.server.connections) {
      if (!this.server.isMember(conv, connection.user)) continue;
      connection.send({
        t: 'receipt',
        conv,
        epoch: log.epoch,
        user: this.user,
        got: log.got(this.key),
        read: log.reads.get(this.user),
      });
      connection.flush();
    }
  }

  on_signal({ conv, body }) {
    for (const connection of this.server.connections) {
      if (connection === this || !this.server.isMember(conv, connection.user)) continue;
      connection.send({ t: 'signal', conv, from: this.user, body });
      connection.flush();
    }
  }

  on_create({ rid, conv, members }) {
    if (this.server.groups.has(conv)) return this.send({ t: 'error', rid, code: 'exists', message: 'taken' });
    this.server.groups.set(conv, [this.user, ...members]);
    this.server.store(conv, {
      from: 'system',
      device: 'system',
      id: 'system-1',
      type: 'system.members',
      body: { add: members },
    });
    this.send({ t: 'ok', rid });
  }

  on_counts({ rid }) {
    const convs = [...this.server.conversations.values()]
      .filter((log) => this.server.isMember(log.conv, this.user))
      .map((log) => this.place(log));
    this.send({ t: 'counts', rid, total: convs.reduce((sum, { unread }) => sum + unread, 0), convs });
  }

  on_history({ rid, conv, before = Infinity, limit }) {
    const all = (this.server.conversations.get(conv)?.messages ?? []).filter((m) => m.seq < before);
    this.send({ t: 'page', rid, items: all.slice(-limit).map((m) => this.msg(m)), more: all.length > limit });
  }

  on_pull({ rid, conv, limit = this.server.limits.page, order = 'oldest', next }) {
    if (next) for (const [c, from, to] of JSON.parse(next)) this.server.conversations.get(c)?.ack(this.key, from, to);
    const logs = conv ? [this.server.conversations.get(conv)].filter(Boolean) : [...this.server.conversations.values()];
    const mine = logs.filter((log) => this.server.isMember(log.conv, this.user));
    const size = Math.min(limit, this.server.limits.page);
    for (const log of mine) {
      const needed = log.messages.filter((message) => log.needs(this.key, message));
      if (needed.length === 0) continue;
      const page = order === 'oldest' ? needed.slice(0, size) : needed.slice(-size).reverse();
      const [low, high] = [Math.min(...page.map((m) => m.seq)), Math.max(...page.map((m) => m.seq))];
      if (high === log.head) this.#live.set(log.conv, true);
      const covers = [[log.conv, log.epoch, order === 'oldest' ? log.got(this.key) + 1 : low, high]];
      return this.send({
        t: 'page',
        rid,
        items: page.map((m) => this.msg(m)),
        covers,
        next: JSON.stringify([[log.conv, low, high]]),
      });
    }
    const covers = mine.filter((log) => log.head > 0).map((log) => [log.conv, log.epoch, 1, log.head]);
    for (const log of mine) this.#live.set(log.conv, true);
    this.send({ t: 'page', rid, items: [], covers });
  }

  msg({ n, gone, hole, ...message }) {
    void n;
    const { conv, epoch, seq } = message;
    if (hole) return { t: 'hole', conv, epoch, from: seq, to: seq, reason: hole };
    return { t: 'msg', ...message, ...(gone ? { type: 'system.gone', body: null } : {}) };
  }

  /** A new message of the log: pushed, or told of. */
  offer(log, stored) {
    const { server } = this;
    if (!this.key || !server.isMember(log.conv, this.user) || `${stored.from}/${stored.device}` === this.key) return;
    if (!this.#live.has(log.conv)) this.#live.set(log.conv, true);
    const head = { t: 'head', conv: log.conv, epoch: log.epoch, head: log.head, got: log.got(this.key) };
    if (!this.#told.has(log.conv)) this.send(head);
    this.#told.add(log.conv);
    if (this.#pushed.size >= server.limits.window) this.#live.set(log.conv, false);
    if (!this.live || !this.#live.get(log.conv)) this.tellHead(log);
    else this.push(stored, 1);
    this.flush();
  }

  /** Behind: told again until it pulls, because this network may lose a frame and keep the connection. */
  tellHead(log) {
    const { server } = this;
    this.send({ t: 'head', conv: log.conv, epoch: log.epoch, head: log.head, got: log.got(this.key) });
    server.clock.setTimeout(() => {
      const current = server.conversations.get(log.conv) === log && server.connections.has(this);
      if (!current || this.#live.get(log.conv) || log.got(this.key) >= log.head) return;
      this.tellHead(log);
      this.flush();
    }, 5_000);
  }

  push(stored, times) {
    const { server } = this;
    const key = `${stored.conv}/${stored.seq}`;
    this.#pushed.set(key, stored);
    this.send(this.msg(stored));
    server.clock.setTimeout(() => {
      const log = server.conversations.get(stored.conv);
      if (!server.connections.has(this) || !log || this.#pushed.get(key) !== stored || !log.needs(this.key, stored))
        return;
      if (times > 3) return this.end(4410);
      this.push(stored, times + 1);
      this.flush();
    }, 10_000);
  }

  epochChanged(log, keep) {
    if (!this.key || !this.server.isMember(log.conv, this.user)) return;
    this.#pushed.clear();
    this.#live.set(log.conv, log.got(this.key) >= log.head);
    this.send({ t: 'epoch', conv: log.conv, epoch: log.epoch, keep });
    this.flush();
  }
}
