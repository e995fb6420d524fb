/** A deployment of several servers on one store (shared-store.js), and what else can go wrong there. */
import { Server } from './server.js';
import { SharedStore } from './shared-store.js';
import { DM, GROUP, KNOWN_AGAIN, USERS, World } from './world.js';

const CONVS = [DM, GROUP];
const LATE = 'g:late';
/** Of a server's counters, those that tell of what is rare, and how they are called. */
const RARE = {
  held: 'held back',
  gaps: 'gap of bells',
  catchUps: 'caught up',
  missed: 'missed bell',
  resubscriptions: 'subscribed again',
};

export class SharedWorld extends World {
  #hasLost = false;
  /** Servers name an epoch by their clocks, of which one may be fast; a history that is behind another in time has the higher one. */
  #epochMs = 0;

  /** @param {Record<string, any>} options `servers`: how many; `replicated`: whether answers wait for the replica */
  makeServers({ servers, replicated, ...options }) {
    const { clock, random, trace } = this;
    this.shared = new SharedStore({ clock, trace, seed: options.seed, replicated });
    const { shared } = this;
    return Array.from({ length: servers }, () => new Server({ clock, random, trace, options, shared }));
  }

  /** The replica takes over. What it has not got is lost, and void where somebody was told of it. @param {() => number} chance */
  async failover(chance) {
    const { shared, history, clock } = this;
    // What was acked must not be lost where it waited for the replica. Where it did not, a client knows again what is new enough, once.
    const losing = shared.replicated ? 0 : shared.wouldLose(CONVS);
    const lossless = chance() < 0.1 || losing > KNOWN_AGAIN || (losing > 0 && this.#hasLost);
    const before = CONVS.map((conv) => ({ conv, ...shared.head(conv) }));
    const downMs = chance() * 3_000;
    this.#epochMs = Math.max(this.#epochMs + 1, clock.now() + (chance() - 0.5) * 40_000);
    shared.failover({ lossless, downMs, wallMs: this.#epochMs });
    const isLossy = !shared.replicated && !lossless && losing > 0;
    this.#hasLost ||= isLossy;
    for (const { conv, epoch } of before) {
      // Where nothing that was told may be lost, nothing is void: a place keeps its number, under the next epoch.
      const seq = isLossy ? shared.head(conv).seq : Number.MAX_SAFE_INTEGER;
      history.record({ op: 'void', user: '', device: '', conv, epoch, seq, t: clock.now() });
    }
    if (chance() < 0.5) await clock.advance(downMs * chance());
  }

  /**
   * Only where no tail is lost: what a copy sends again as a new device's, because a failover lost it, is known to nobody as what
   * was shown before (docs/guarantees.md).
   *
   * @param {import('./device.js').Device} device @param {() => number} chance
   */
  async copyOutbox(device, chance) {
    if (this.shared.replicated) await super.copyOutbox(device, chance);
  }

  /** Its answer is not waited for: the others go on meanwhile. @param {'add' | 'remove'} t */
  async changeMembers(t) {
    const up = this.servers.filter((server) => server.up);
    if (up.length === 0) return;
    const server = up[Math.floor(this.random() * up.length)];
    void server.request('alice', { t, rid: 1, conv: GROUP, members: ['carol'] });
  }

  /** At the end there is one more group: whose bells are lost hears of it by comparing alone. */
  async settle() {
    const { clock, history } = this;
    this.convs.set(LATE, USERS);
    for (const { user, label: device } of this.devices)
      history.record({ op: 'watch', user, device, conv: LATE, t: clock.now() });
    if (this.server.up) void this.server.request('alice', { t: 'create', rid: 1, conv: LATE, members: USERS });
    await clock.advance(this.random() * 1_000);
    await super.settle();
  }

  repair() {
    const { shared } = this;
    shared.setFaults({
      latencyMs: 5,
      slow: 0,
      timeOut: 0,
      bellLost: 0,
      bellRepeated: 0,
      bellSlow: 0,
      replicationMs: 20,
    });
    for (const server of this.servers) {
      shared.cut(server, false);
      server.start();
    }
  }

  judge() {
    for (const [name, times] of Object.entries(this.shared.stats())) this.trace.count(name, times);
    for (const server of this.servers) {
      const stats = server.stats();
      for (const [name, shown] of Object.entries(RARE)) this.trace.count(shown, stats.get(name) ?? 0);
    }
    return super.judge();
  }
}
