#include "redis/redis_relay.h"

#include <algorithm>
#include <iterator>

#include "core/identifiers.h"
#include "redis/redis_keys.h"

namespace everyonce {
namespace {

constexpr size_t kMaxPayload = 256u << 10;  // of one publication, about
constexpr size_t kMaxWaiting = 16u << 20;   // told and not yet taken by Redis; beyond it bells are dropped
constexpr size_t kMaxOrigins = 256;         // who is remembered to ring on one channel

std::shared_ptr<const MemberList> Without(const MemberList& list, std::vector<std::string> removed) {
  std::sort(removed.begin(), removed.end());
  auto rest = std::make_shared<MemberList>();
  std::set_difference(list.begin(), list.end(), removed.begin(), removed.end(), std::back_inserter(*rest));
  return rest;
}

std::shared_ptr<const MemberList> With(const std::shared_ptr<const MemberList>& list,
                                       std::vector<std::string> removed) {
  if (removed.empty()) return list;
  std::sort(removed.begin(), removed.end());
  auto all = std::make_shared<MemberList>();
  std::set_union(list->begin(), list->end(), removed.begin(), removed.end(), std::back_inserter(*all));
  return all;
}

}  // namespace

RedisRelay::RedisRelay(std::unique_ptr<BellMedium> medium, uint64_t origin, RedisRelayLog log)
    : medium_(std::move(medium)),
      origin_(origin),
      log_(std::move(log)),
      watched_(kRedisPartitions),
      next_number_(kRedisPartitions, 1),
      expected_(kRedisPartitions) {
  medium_->Listen([this](uint32_t channel, std::string_view payload) { Said(channel, payload); },
                  [this](uint32_t channel, bool again) { Began(channel, again); });
}

uint32_t RedisRelay::channels() const { return kRedisPartitions; }
uint32_t RedisRelay::ChannelOf(std::string_view name) const { return RedisPartitionOf(name); }

void RedisRelay::Watch(uint32_t channel) {
  if (++watched_[channel] == 1) medium_->Subscribe(channel);
}

void RedisRelay::Unwatch(uint32_t channel) {
  if (--watched_[channel] == 0) medium_->Unsubscribe(channel);
}

void RedisRelay::Listen(Heard heard, Unsure unsure) {
  heard_ = std::move(heard);
  unsure_ = std::move(unsure);
}

RelayCounters RedisRelay::counters() const {
  RelayCounters counters = counters_;
  counters.subscriptions = medium_->active();
  return counters;
}

// --- out ---

// Which list of members the audience is; empty where that can't be told any more.
std::string RedisRelay::VersionFor(const Bell& bell) const {
  if (bell.kind != Bell::Kind::kMessage || bell.audience == nullptr || IsDirect(bell.conv)) return {};
  const auto [version, list] = log_.members(bell.conv);
  if (list == nullptr) return {};
  if (list == bell.audience) return version;
  if (*list == (bell.removed.empty() ? *bell.audience : *Without(*bell.audience, bell.removed))) return version;
  return {};
}

void RedisRelay::Tell(uint32_t channel, const Bell& bell) {
  const size_t waiting = pending_bytes_ + under_way_bytes_;
  if (bell.kind == Bell::Kind::kSignal && waiting > kMaxWaiting / 4) {
    // Nobody is to look for it: it leaves no gap.
    ++counters_.dropped;
    return;
  }
  const uint64_t number = next_number_[channel]++;
  if (waiting > kMaxWaiting) {
    // Its number is used up: who listens sees that something is missing.
    ++counters_.dropped;
    return;
  }
  Pending& pending = pending_[channel];
  const size_t before = pending.payload.size();
  // One payload's numbers are dense: where one was dropped, the next payload begins.
  if (pending.payload.empty()) AppendBellHeader({origin_, number}, &pending.payload);
  AppendBell(bell, VersionFor(bell), &pending.payload);
  ++pending.bells;
  pending_bytes_ += pending.payload.size() - before;
  if (pending.payload.size() < kMaxPayload) return;
  Pending full = std::move(pending);
  pending_.erase(channel);
  Publish(channel, std::move(full));
}

void RedisRelay::Send() {
  if (pending_.empty()) return;
  for (auto& [channel, pending] : std::exchange(pending_, {})) Publish(channel, std::move(pending));
}

void RedisRelay::Publish(uint32_t channel, Pending pending) {
  const size_t bytes = pending.payload.size();
  pending_bytes_ -= bytes;
  under_way_bytes_ += bytes;
  medium_->Publish(channel, std::move(pending.payload), [this, bytes, bells = pending.bells](bool ok) {
    under_way_bytes_ -= bytes;
    (ok ? counters_.rung : counters_.dropped) += bells;
  });
}

// --- in ---

void RedisRelay::Said(uint32_t channel, std::string_view payload) {
  BellReader reader(payload);
  BellHeader header;
  if (!reader.ReadHeader(&header)) {
    ++counters_.lost;
    if (unsure_) unsure_(channel);
    return log_.wake();
  }
  if (header.origin == origin_) return;
  std::vector<Bell> bells;
  Bell bell;
  while (reader.Next(&bell)) {
    if (bell.kind == Bell::Kind::kDevice) log_.hello(bell);
    if (bell.kind == Bell::Kind::kMessage) (void)Resolve(&bell);
    bells.push_back(std::move(bell));
  }
  counters_.heard += bells.size();
  NoteNumber(channel, header, bells.size());
  if (reader.broken() && unsure_) unsure_(channel);
  if (heard_ && !bells.empty()) heard_(std::move(bells));
  log_.wake();
}

void RedisRelay::NoteNumber(uint32_t channel, const BellHeader& header, uint64_t count) {
  std::map<uint64_t, uint64_t>& origins = expected_[channel];
  const auto [entry, inserted] = origins.try_emplace(header.origin, header.number + count);
  if (inserted) {
    if (origins.size() > kMaxOrigins)
      origins.erase(origins.begin()->first == header.origin ? std::next(origins.begin()) : origins.begin());
    return;
  }
  if (header.number > entry->second) {
    counters_.lost += header.number - entry->second;
    if (unsure_) unsure_(channel);
  }
  entry->second = std::max(entry->second, header.number + count);
}

void RedisRelay::Began(uint32_t channel, bool again) {
  if (again) ++counters_.resubscriptions;
  expected_[channel].clear();
  if (unsure_) unsure_(channel);
  log_.wake();
}

bool RedisRelay::Resolve(Bell* bell) {
  if (IsDirect(bell->conv)) {
    const DirectUsers users = UsersOfDirect(bell->conv);
    bell->audience = std::make_shared<MemberList>(MemberList{std::string(users.first), std::string(users.second)});
    return true;
  }
  const auto [version, list] = log_.members(bell->conv);
  if (list == nullptr || bell->version.empty() || version != bell->version) return false;
  bell->audience = With(list, bell->removed);
  return true;
}

// --- positions ---

void RedisRelay::Heads(const std::vector<std::string>& convs, HeadsDone done) {
  medium_->Heads(convs, [this, done = std::move(done)](bool ok, std::vector<Head> heads) {
    done(ok, std::move(heads));
    log_.wake();
  });
}

void RedisRelay::People(const std::vector<std::pair<std::string, std::string>>& devices, PeopleDone done) {
  medium_->People(devices, [this, done = std::move(done)](bool ok, std::vector<Person> people) {
    done(ok, std::move(people));
    log_.wake();
  });
}

}  // namespace everyonce
