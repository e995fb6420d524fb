// Commit: a group is cut into waves, so that commands whose order matters across slots keep it; a wave into lanes (see
// redis_log_lane.cc), hellos and changes of the feed, that run side by side.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"

namespace everyonce {
namespace {

constexpr int64_t kSeenEveryMs = 6 * 3600 * 1000;

std::string Text(uint64_t number) { return std::to_string(number); }

}  // namespace

std::string DeviceName(const Command& command) { return command.user + "/" + command.device; }

void RedisLog::Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) {
  auto started = std::make_shared<Group>();
  started->commands = &group;
  started->outcomes.resize(group.size());
  started->ticket = TakeTicket();
  started->done = std::move(done);
  ++commits_;
  now_ms_ = std::max(now_ms_, now_ms);
  started->now_ms = now_ms_;
  started->random = options_.random ? options_.random() : 0;
  if (!HasLease() && !leasing_ && !closed_) RenewLease();
  if (closed_ || !HasLease() || now_ms_ > Snowflake::kMaxMs - 86400000) {
    started->failure = {RedisCode::kUnreachable, "Redis can't be reached"};
    return FinishGroup(started);
  }
  StartWave(started);
}

// As many commands as may run side by side. A hello acks in many slots, so it goes before or behind what touches the
// same user or the conversations that it names, never beside it.
size_t RedisLog::EndOfWave(const std::vector<Command>& commands, size_t first) const {
  std::set<std::string_view> hello_users;
  std::set<std::string_view> hello_convs;
  std::set<std::string_view> users;
  std::set<std::string_view> convs;
  size_t end = first;
  for (; end < commands.size(); ++end) {
    const Command& command = commands[end];
    if (hello_users.contains(command.user)) break;
    if (command.kind == CommandKind::kDevice) {
      bool beside = users.contains(command.user);
      for (const Position& position : command.positions) beside = beside || convs.contains(position.conv);
      if (beside) break;
      hello_users.insert(command.user);
      for (const Position& position : command.positions) hello_convs.insert(position.conv);
      continue;
    }
    const bool members = command.kind == CommandKind::kMembers;
    if (hello_convs.contains(command.conv) || (members && !hello_users.empty())) break;
    users.insert(command.user);
    convs.insert(command.conv);
  }
  return end;
}

void RedisLog::StartWave(const GroupPointer& group) {
  if (group->next == group->commands->size() || !group->failure.ok()) return FinishGroup(group);
  LoadDevices(group, EndOfWave(*group->commands, group->next));
}

// The newest run of each device as the store knows it: what is cached may be older, never newer.
void RedisLog::LoadDevices(const GroupPointer& group, size_t end) {
  std::set<std::pair<std::string, std::string>> unknown;
  for (size_t i = group->next; i < end; ++i) {
    const Command& command = (*group->commands)[i];
    if (command.pe == 0 || command.device.empty() || devices_.contains(DeviceName(command))) continue;
    unknown.emplace(command.user, command.device);
  }
  if (devices_.size() > 4 * options_.cache_conversations) devices_.clear();
  group->parts = 1;
  group->then = [this, group, end] { IndexDirect(group, end); };
  for (const auto& [user, device] : unknown) {
    ++group->parts;
    const std::string key = UserDevicesKey(user);
    std::string name = user;
    name.append("/").append(device);
    client_.Command(SlotOfKey(key), {"HGET", key, device}, true,
                    [this, group, name = std::move(name)](const RedisResult& result) {
                      if (!result.status.ok()) {
                        group->failure = result.status;
                      } else {
                        const SeenDevice stored = SeenDeviceOf(result.reply.text);
                        if (SeenDevice& seen = devices_[name]; stored.pe >= seen.pe) seen = stored;
                      }
                      WavePartDone(group);
                    });
  }
  WavePartDone(group);
}

// Index first: a direct conversation is on its users' lists before its first message.
void RedisLog::IndexDirect(const GroupPointer& group, size_t end) {
  if (!group->failure.ok()) return FinishGroup(group);
  if (indexed_.size() > options_.cache_conversations) indexed_.clear();
  group->parts = 1;
  group->then = [this, group, end] { TakeTokens(group, end); };
  std::set<std::string_view> asked;
  for (size_t i = group->next; i < end; ++i) {
    const Command& command = (*group->commands)[i];
    if (command.kind != CommandKind::kSend || !IsDirect(command.conv) || indexed_.contains(command.conv)) continue;
    if (!IsParty(command.user, command.conv) || !asked.insert(command.conv).second) continue;
    Index(group, command.conv, 0);
  }
  WavePartDone(group);
}

// Both users' lists get the conversation, as two parts of what is under way.
void RedisLog::Index(const GroupPointer& group, const std::string& conv, uint64_t epoch) {
  const std::shared_ptr<const MemberList> users = UsersOf(conv);
  auto left = std::make_shared<size_t>(users->size());
  group->parts += users->size();
  for (const std::string& user : *users) {
    const std::string key = UserIndexKey(user);
    client_.Command(SlotOfKey(key), {"ZADD", key, "0", conv}, true,
                    [this, group, left, conv, users, epoch](const RedisResult& result) {
                      group->links.insert(result.link);
                      if (!result.status.ok()) {
                        group->failure = result.status;
                      } else if (--*left == 0) {
                        indexed_.insert_or_assign(conv, Indexed{users, epoch});
                      }
                      WavePartDone(group);
                    });
  }
}

// A message is stored. Where its history is another than the lists were written for, or these were forgotten meanwhile,
// Redis may have lost them: they are written again before anybody is told.
void RedisLog::NoteIndexed(const GroupPointer& group, const std::string& conv, const Outcome& outcome) {
  const auto known = indexed_.find(conv);
  if (known == indexed_.end()) return Index(group, conv, outcome.epoch);
  uint64_t& epoch = known->second.epoch;
  if (epoch == 0) epoch = outcome.epoch;
  const bool older = outcome.duplicate && outcome.epoch < epoch;
  if (epoch != outcome.epoch && !older) Index(group, conv, outcome.epoch);
}

void RedisLog::WavePartDone(const GroupPointer& group) {
  if (--group->parts > 0) return;
  const std::function<void()> then = std::exchange(group->then, nullptr);
  then();
}

void RedisLog::RunWave(const GroupPointer& group, size_t end) {
  if (!group->failure.ok()) return FinishGroup(group);
  std::vector<std::pair<uint32_t, size_t>> by_partition;
  std::vector<size_t> hellos;
  std::vector<size_t> feeds;
  for (size_t i = group->next; i < end; ++i) {
    const Command& command = (*group->commands)[i];
    if (command.kind == CommandKind::kFeed) {
      feeds.push_back(i);
    } else if (command.kind == CommandKind::kDevice) {
      hellos.push_back(i);
    } else if (command.kind == CommandKind::kMembers && !IsGroup(command.conv)) {
      group->outcomes[i] =
          Refusal(Code::kBadRequest, "\"conv\" is a direct conversation, which has its two members for ever");
    } else if (!IsParty(command.user, command.conv)) {
      group->outcomes[i] = UnknownConversation();
    } else {
      by_partition.emplace_back(RedisPartitionOf(command.conv), i);
    }
  }
  std::sort(by_partition.begin(), by_partition.end());
  group->next = end;
  group->parts = 1 + hellos.size() + feeds.size();
  for (size_t i = 0; i < by_partition.size(); ++i) {
    if (i == 0 || by_partition[i].first != by_partition[i - 1].first) ++group->parts;
  }
  group->then = [this, group] { SettleTokens(group); };
  group->lanes.clear();
  for (size_t first = 0, last = 0; first < by_partition.size(); first = last) {
    Lane& lane = group->lanes.emplace_back();
    lane.partition = by_partition[first].first;
    for (; last < by_partition.size() && by_partition[last].first == lane.partition; ++last) {
      AddToLane(group, by_partition[last].second, &lane);
    }
    RunLane(group, &lane);
  }
  for (const size_t index : hellos) RunHello(group, index);
  for (const size_t index : feeds) RunFeed(group, index);
  WavePartDone(group);
}

// A change of a consumer group. One that fails tells so by itself: nothing else rests on it.
void RedisLog::RunFeed(const GroupPointer& group, size_t index) {
  const Command& command = (*group->commands)[index];
  if (command.feed == nullptr) {
    group->outcomes[index] = Refusal(Code::kBadRequest, "no change of a feed");
    return WavePartDone(group);
  }
  feed_->Change(*command.feed, group->now_ms, [this, group, index](Outcome outcome, uint64_t link) {
    group->links.insert(link);
    group->outcomes[index] = std::move(outcome);
    WavePartDone(group);
  });
}

// A run of a device that is newer than any heard of: its record rises with the group.
void RedisLog::NoteRaised(const GroupPointer& group, const Command& command, const Outcome& outcome) {
  if (command.pe == 0 || command.device.empty() || outcome.code == Code::kUnknownConv) return;
  SeenDevice& known = devices_[DeviceName(command)];
  if (outcome.code == Code::kStaleDevice) known.pe = std::max(known.pe, outcome.pe);
  if (command.pe < known.pe) return;
  // A device that stays connected for weeks is seen all the same; hours are near enough.
  const bool seen_again = known.first_hello_ms != 0 && group->now_ms - known.last_seen_ms > kSeenEveryMs;
  if (command.pe == known.pe && !seen_again) return;
  known.pe = command.pe;
  if (seen_again) known.last_seen_ms = group->now_ms;
  ++group->parts;
  Run("device", {UserDevicesKey(command.user)},
      {seen_again ? "seen" : "raise", command.device, Text(command.pe), Text(static_cast<uint64_t>(group->now_ms))},
      [this, group](const RedisResult& result) {
        group->links.insert(result.link);
        if (!result.status.ok()) group->failure = result.status;
        WavePartDone(group);
      });
}

// Everything is decided and stored. Durable before told: the connections that wrote wait for their replicas.
void RedisLog::FinishGroup(const GroupPointer& group) {
  group->links.erase(0);
  const auto finish = [this, group] {
    if (!group->failure.ok()) {
      ++counters_.failures;
      indexed_.clear();  // what was written for it may not last
      group->outcomes.assign(group->outcomes.size(), UnavailableOutcome(group->failure));
    } else {
      ++counters_.groups;
    }
    feed_->Stored(group->stored);
    if (--commits_ == 0) {
      for (const std::function<void()>& read : std::exchange(reads_, {})) read();
    }
    Settle(group->ticket, [group] { group->done(std::move(group->outcomes)); });
  };
  if (options_.replicas == 0 || !group->failure.ok() || group->links.empty()) return finish();
  group->parts = group->links.size();
  group->then = finish;
  const std::set<uint64_t> links = group->links;
  for (const uint64_t link : links) {
    ++counters_.syncs;
    client_.WaitForReplicas(link, options_.replicas, options_.replica_timeout_ms, [this, group](RedisStatus status) {
      if (!status.ok()) group->failure = std::move(status);
      WavePartDone(group);
    });
  }
}

}  // namespace everyonce
