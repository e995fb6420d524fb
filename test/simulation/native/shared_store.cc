#include "native/shared_store.h"

#include <algorithm>
#include <utility>

#include "native/shared_medium.h"

namespace everyonce::simulation {
namespace {

constexpr double kGiveUpMs = 600;  // a call without an answer is given up, at least
constexpr double kWaitMs = 1'000;

}  // namespace

SharedStore::SharedStore(uint64_t seed, bool replicated) : chance_(seed), replicated_(replicated) { OpenLog(0, false); }

void SharedStore::OpenLog(int64_t wall_ms, bool new_epochs) {
  EmbeddedLogOptions options;
  options.now_ms = wall_ms;
  options.new_epochs = new_epochs;
  options.late_epochs = true;
  options.random = [this] { return chance_.Next(); };
  Status status;
  log_ = OpenEmbeddedLog(std::make_unique<ReplicatedKv>(&copies_, replicated_), std::move(options), &status);
  // Ids of messages go on behind those that were given out; the epochs' clock may be behind.
  (void)log_->Tend(latest_wall_ms_);
}

// --- time ---

void SharedStore::After(double ms, std::function<void()> act) {
  events_.emplace(std::make_pair(now_ms_ + ms, ++last_event_), std::move(act));
}

void SharedStore::Advance(double now_ms) {
  while (!events_.empty() && events_.begin()->first.first <= now_ms) {
    auto node = events_.extract(events_.begin());
    now_ms_ = std::max(now_ms_, node.key().first);
    node.mapped()();
  }
  now_ms_ = std::max(now_ms_, now_ms);
}

// --- calls ---

void SharedStore::Trip(uint32_t process, std::function<void()> act, std::function<void(bool ok)> answer) {
  const double slow_ms = chance_.Share() < faults.slow ? chance_.Share() * 500 : 0;
  double& due_ms = due_ms_[process];
  due_ms = std::max(due_ms, now_ms_ + chance_.Share() * faults.latency_ms + slow_ms);
  const double there_ms = due_ms - now_ms_;
  const double back_ms = chance_.Share() * faults.latency_ms;
  const double give_up_ms = there_ms + kGiveUpMs + chance_.Share() * 500;
  const bool times_out = chance_.Share() < faults.time_out;
  const double fate = chance_.Share();
  const uint64_t term = this->term();
  if (!times_out) {
    return After(there_ms, [this, process, act, answer, back_ms] {
      if (!Reachable(process)) {
        ++counters.timed_out;
        return After(kGiveUpMs, [answer] { answer(false); });
      }
      act();
      After(back_ms, [answer] { answer(true); });
    });
  }
  ++counters.timed_out;
  After(give_up_ms, [answer] { answer(false); });
  if (fate < 0.3) return;
  const bool late = fate > 0.7;
  After(late ? give_up_ms + chance_.Share() * 2'000 : there_ms, [this, process, act, late, term] {
    if (!Reachable(process) || term != this->term()) return;
    ++(late ? counters.done_late : counters.done_unheard);
    act();
  });
}

void SharedStore::WhenReplicated(uint64_t written, uint64_t term, std::function<void(bool ok)> done) {
  if (term != this->term()) return done(false);
  if (copies_.replicated() >= written) return done(true);
  const uint64_t id = ++last_waiter_;
  waiters_.emplace(id, Waiter{written, term, std::move(done)});
  ReplicateSoon();
  After(kWaitMs, [this, id] {
    auto node = waiters_.extract(id);
    if (node.empty()) return;
    ++counters.not_replicated;
    node.mapped().done(false);
  });
}

void SharedStore::TellWaiters() {
  std::vector<std::pair<std::function<void(bool)>, bool>> told;
  for (auto entry = waiters_.begin(); entry != waiters_.end();) {
    Waiter& waiter = entry->second;
    const bool same = waiter.term == term();
    if (same && copies_.replicated() < waiter.written) {
      ++entry;
      continue;
    }
    told.emplace_back(std::move(waiter.done), same);
    entry = waiters_.erase(entry);
  }
  for (const auto& [done, ok] : told) done(ok);
}

void SharedStore::ReplicateSoon() {
  if (replicating_ || copies_.behind.empty()) return;
  replicating_ = true;
  After(chance_.Share() * faults.replication_ms, [this] { Replicate(); });
}

void SharedStore::Replicate() {
  replicating_ = false;
  if (now_ms_ < frozen_until_ms_) {
    replicating_ = true;
    return After(frozen_until_ms_ - now_ms_, [this] { Replicate(); });
  }
  copies_.Replicate(1 + chance_.Next() % copies_.behind.size());
  TellWaiters();
  ReplicateSoon();
}

// --- what goes wrong ---

void SharedStore::Failover(bool lossless, double down_ms, int64_t wall_ms) {
  if (lossless) copies_.Replicate(copies_.behind.size());
  ++counters.failovers;
  if (!copies_.behind.empty()) ++counters.tails_lost;
  copies_.Promote();
  const auto is_lost = [this](const Noted& noted) { return noted.written > copies_.written; };
  for (auto& entry : hellos_) std::erase_if(entry.second, is_lost);
  for (auto& entry : versions_) std::erase_if(entry.second, is_lost);
  frozen_until_ms_ = 0;
  down_until_ms_ = now_ms_ + down_ms;
  OpenLog(wall_ms, true);
  TellWaiters();
  for (SharedMedium* medium : media_) medium->Lose();
}

void SharedStore::Cut(uint32_t process, bool cut) {
  if (!cut && cut_.erase(process) == 0) return;
  if (cut) cut_.insert(process);
  for (SharedMedium* medium : media_) {
    if (medium->process() == process) medium->Lose();
  }
}

Relay::Head SharedStore::HeadIn(Log* log, const std::string& conv) {
  Relay::Head head;
  log->History({.conv = conv, .limit = 1}, [&](const Status& status, const HistoryPage& page) {
    if (!status.ok() || page.items.empty()) return;
    const PageItem& item = page.items.back();
    head = item.is_hole() ? Relay::Head{item.hole.span.epoch, item.hole.span.to}
                          : Relay::Head{item.message.epoch, item.message.seq};
  });
  return head;
}

uint64_t SharedStore::WouldLose(const std::vector<std::string>& convs) {
  ReplicatedKv::Copies replica;
  replica.primary = copies_.replica;
  Status status;
  const std::unique_ptr<EmbeddedLog> log =
      OpenEmbeddedLog(std::make_unique<ReplicatedKv>(&replica, false), {}, &status);
  uint64_t most = 0;
  for (const std::string& conv : convs) most = std::max(most, HeadOf(conv).seq - HeadIn(log.get(), conv).seq);
  return most;
}

// --- what is kept ---

void SharedStore::Apply(const std::vector<Command>& part, int64_t now_ms, std::vector<Outcome>* outcomes,
                        std::vector<uint64_t>* versions) {
  latest_wall_ms_ = std::max(latest_wall_ms_, now_ms);
  log_->Commit(part, now_ms, [&](std::vector<Outcome> decided) { *outcomes = std::move(decided); });
  versions->clear();
  for (size_t i = 0; i < part.size(); ++i) {
    Outcome& outcome = (*outcomes)[i];
    const bool ok = outcome.code == Code::kOk;
    if (ok && part[i].kind == CommandKind::kDevice) {
      std::vector<Noted>& hellos = hellos_[{part[i].user, part[i].device}];
      outcome.at_ms = std::max(now_ms, hellos.empty() ? 0 : hellos.back().value + 1);
      hellos.push_back({copies_.written, outcome.at_ms});
    }
    if (ok && part[i].kind == CommandKind::kMembers && outcome.seq != 0) {
      versions_[part[i].conv].push_back({copies_.written, static_cast<int64_t>(outcome.seq)});
    }
    versions->push_back(VersionOf(part[i].conv));
  }
  ReplicateSoon();
}

uint64_t SharedStore::VersionOf(const std::string& conv) const {
  const auto found = versions_.find(conv);
  return found == versions_.end() || found->second.empty() ? 0 : static_cast<uint64_t>(found->second.back().value);
}

Relay::Person SharedStore::PersonOf(const std::string& user, const std::string& device) {
  Relay::Person person;
  const auto found = hellos_.find({user, device});
  if (found != hellos_.end() && !found->second.empty()) person.hello_ms = found->second.back().value;
  log_->Views(user, {}, {}, 1'000, [&](const Status&, const std::vector<ConversationView>& views, bool) {
    person.conversations = views.size();
  });
  return person;
}

void SharedStore::Publish(uint32_t channel, const std::string& payload) {
  for (SharedMedium* medium : media_) medium->Said(channel, payload);
}

}  // namespace everyonce::simulation
