#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "log/embedded_log.h"
#include "log/relay.h"
#include "native/replicated_kv.h"

namespace everyonce::simulation {

// splitmix64: the same seed, the same numbers on every machine.
class Chance {
 public:
  explicit Chance(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  double Share() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // in [0, 1)

 private:
  uint64_t state_;
};

// What may go wrong between server processes and their store; all of it drawn from the seed.
struct StoreFaults {
  double latency_ms = 1;       // of one way, at most
  double slow = 0;             // share of the calls that take up to 500 ms more
  double time_out = 0;         // share of the calls that nobody gets an answer to; they are done, done late, or not
  double bell_lost = 0;        // shares of the publications, at each listener
  double bell_repeated = 0;    //
  double bell_slow = 0;        // … that come up to 3 s late, and so in another order
  double replication_ms = 20;  // until the replica has a write, at most
};

struct StoreCounters {
  uint64_t failovers = 0;
  uint64_t tails_lost = 0;    // failovers that lost something
  uint64_t timed_out = 0;     // calls without an answer
  uint64_t done_unheard = 0;  // … that were done all the same
  uint64_t done_late = 0;     // … and only after they were given up
  uint64_t not_replicated = 0;
  uint64_t bells_lost = 0;
  uint64_t bells_repeated = 0;
  uint64_t bells_slow = 0;
};

class SharedMedium;

// The store that several server processes share, as Redis with a replica is one: calls take their time and may get lost
// or be done though nobody heard of it, what is published is heard at most once, and a failover goes back to what the
// replica has. What it holds and decides is the reference log's (EmbeddedLog). In virtual time, without a thread: what
// is due happens in Advance.
class SharedStore {
 public:
  // `replicated`: an answer waits for the replica (durability.replicas: 1).
  SharedStore(uint64_t seed, bool replicated);

  // --- for who simulates ---
  StoreFaults faults;
  StoreCounters counters;
  void Advance(double now_ms);
  double deadline_ms() const { return events_.empty() ? kNever : events_.begin()->first.first; }
  std::set<uint32_t> TakeWoken() { return std::exchange(woken_, {}); }
  // The replica takes over, up again after so long, by a clock that shows `wall_ms`. `lossless`: it has got everything
  // before.
  void Failover(bool lossless, double down_ms, int64_t wall_ms);
  void FreezeReplica(double ms) { frozen_until_ms_ = now_ms_ + ms; }
  // A process can't reach the store and hears nothing, until it can.
  void Cut(uint32_t process, bool cut);
  // Messages that would be lost now by a failover, of the conversation that would lose most.
  uint64_t WouldLose(const std::vector<std::string>& convs);
  Relay::Head HeadOf(const std::string& conv) { return HeadIn(log_.get(), conv); }

  // --- for processes ---
  bool replicated() const { return replicated_; }
  uint64_t term() const { return counters.failovers; }
  uint64_t written() const { return copies_.written; }
  Log* log() { return log_.get(); }
  Chance& chance() { return chance_; }
  uint64_t NewOrigin() { return ++last_origin_; }
  void Wake(uint32_t process) { woken_.insert(process); }
  void After(double ms, std::function<void()> act);
  // `act` runs at the store, also where the process is gone meanwhile; `answer` comes to the process. Calls of one
  // process run in their order.
  void Trip(uint32_t process, std::function<void()> act, std::function<void(bool ok)> answer);
  // WAIT: whether the replica has all up to `written`, within 1 s and the same term.
  void WhenReplicated(uint64_t written, uint64_t term, std::function<void(bool ok)> done);

  // A part of a group, decided and stored. `versions`: per outcome, which list of members its audience is of.
  void Apply(const std::vector<Command>& part, int64_t now_ms, std::vector<Outcome>* outcomes,
             std::vector<uint64_t>* versions);
  uint64_t VersionOf(const std::string& conv) const;
  Relay::Person PersonOf(const std::string& user, const std::string& device);

  void Listen(SharedMedium* medium) { media_.push_back(medium); }
  void Leave(SharedMedium* medium) { std::erase(media_, medium); }
  void Publish(uint32_t channel, const std::string& payload);
  bool Reachable(uint32_t process) const { return now_ms_ >= down_until_ms_ && !cut_.contains(process); }

 private:
  static constexpr double kNever = 1e300;
  struct Waiter {
    uint64_t written;
    uint64_t term;
    std::function<void(bool)> done;
  };
  // By write: a failover takes back those that the replica has not got.
  struct Noted {
    uint64_t written;
    int64_t value;
  };

  void OpenLog(int64_t wall_ms, bool new_epochs);
  void ReplicateSoon();
  void Replicate();
  void TellWaiters();
  static Relay::Head HeadIn(Log* log, const std::string& conv);

  Chance chance_;
  bool replicated_;
  double now_ms_ = 0;
  std::map<std::pair<double, uint64_t>, std::function<void()>> events_;
  uint64_t last_event_ = 0;
  std::set<uint32_t> woken_;
  ReplicatedKv::Copies copies_;
  std::unique_ptr<EmbeddedLog> log_;
  int64_t latest_wall_ms_ = 0;
  double down_until_ms_ = 0;
  double frozen_until_ms_ = 0;
  bool replicating_ = false;
  std::set<uint32_t> cut_;
  std::map<uint32_t, double> due_ms_;  // of a process's last call
  std::map<uint64_t, Waiter> waiters_;
  uint64_t last_waiter_ = 0;
  uint64_t last_origin_ = 0;
  std::map<std::pair<std::string, std::string>, std::vector<Noted>> hellos_;
  std::map<std::string, std::vector<Noted>> versions_;
  std::vector<SharedMedium*> media_;
};

}  // namespace everyonce::simulation
