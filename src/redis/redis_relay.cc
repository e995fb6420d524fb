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

RedisRelay::RedisRelay(uv_loop_t* loop, RedisClient* client, uint64_t origin, RedisRelayLog log)
    : client_(client),
      origin_(origin),
      log_(std::move(log)),
      subscriptions_(
          loop, client, [this](uint32_t channel, std::string_view payload) { Said(channel, payload); },
          [this](uint32_t channel, bool again) { Began(channel, again); }),
      watched_(kRedisPartitions),
      next_number_(kRedisPartitions, 1),
      expected_(kRedisPartitions) {
  client_->OnTopology([this] { subscriptions_.Follow(); });
}

uint32_t RedisRelay::channels() const { return kRedisPartitions; }
uint32_t RedisRelay::ChannelOf(std::string_view name) const { return RedisPartitionOf(name); }

void RedisRelay::Watch(uint32_t channel) {
  if (++watched_[channel] == 1) subscriptions_.Subscribe(channel);
}

void RedisRelay::Unwatch(uint32_t channel) {
  if (--watched_[channel] == 0) subscriptions_.Unsubscribe(channel);
}

void RedisRelay::Listen(Heard heard, Unsure unsure) {
  heard_ = std::move(heard);
  unsure_ = std::move(unsure);
}

RelayCounters RedisRelay::counters() const {
  RelayCounters counters = counters_;
  counters.subscriptions = subscriptions_.active();
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
  const std::string name = RedisSubscriptions::NameOf(channel);
  const size_t bytes = pending.payload.size();
  pending_bytes_ -= bytes;
  under_way_bytes_ += bytes;
  // Not again after a cut: it would come behind later ones, and what is lost is read.
  client_->Command(SlotOfKey(name), {"SPUBLISH", name, std::move(pending.payload)}, false,
                   [this, bytes, bells = pending.bells](const RedisResult& result) {
                     under_way_bytes_ -= bytes;
                     (result.status.ok() ? counters_.rung : counters_.dropped) += bells;
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
  std::vector<std::string> keys;
  keys.reserve(convs.size());
  for (const std::string& conv : convs) keys.push_back(ConversationKeys(conv).Meta());
  client_->RunScript(*FindLuaScript("heads"), keys, {},
                     [this, count = convs.size(), done = std::move(done)](const RedisResult& result) {
                       const std::vector<RedisReply>& reply = result.reply.elements;
                       const bool ok = result.status.ok() && reply.size() == 2 * count;
                       std::vector<Head> heads(ok ? count : 0);
                       for (size_t i = 0; i < heads.size(); ++i) {
                         (void)reply[2 * i].ToNumber(&heads[i].epoch);
                         (void)reply[2 * i + 1].ToNumber(&heads[i].seq);
                       }
                       done(ok, std::move(heads));
                       log_.wake();
                     });
}

void RedisRelay::People(const std::vector<std::pair<std::string, std::string>>& devices, PeopleDone done) {
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  for (const auto& [user, device] : devices) {
    keys.push_back(UserDevicesKey(user));
    keys.push_back(UserIndexKey(user));
    arguments.push_back(device);
  }
  client_->RunScript(*FindLuaScript("people"), keys, arguments,
                     [this, count = devices.size(), done = std::move(done)](const RedisResult& result) {
                       const std::vector<RedisReply>& reply = result.reply.elements;
                       const bool ok = result.status.ok() && reply.size() == 2 * count;
                       std::vector<Person> people(ok ? count : 0);
                       for (size_t i = 0; i < people.size(); ++i) {
                         uint64_t hello_ms = 0;
                         (void)reply[2 * i].ToNumber(&hello_ms);
                         people[i].hello_ms = static_cast<int64_t>(hello_ms);
                         (void)reply[2 * i + 1].ToNumber(&people[i].conversations);
                       }
                       done(ok, std::move(people));
                       log_.wake();
                     });
}

}  // namespace everyonce
