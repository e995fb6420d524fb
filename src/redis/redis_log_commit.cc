// Commit: a group is cut into waves, so that commands whose order matters across slots keep it; a wave into lanes, one
// per partition, that run side by side; a lane into script calls, one after the other.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "core/window_dedup.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"
#include "redis/redis_log.h"

namespace everyonce {
namespace {

// One script call holds up all others of that server meanwhile: some milliseconds at most.
constexpr size_t kMaxCommandsPerCall = 128;
constexpr size_t kMaxBytesPerCall = 1u << 20;
constexpr size_t kUsualBytes = 768;  // of the keys, and of the arguments, of a short message
constexpr int64_t kSeenEveryMs = 6 * 3600 * 1000;

bool IsParty(std::string_view user, std::string_view conv) {
  if (!IsDirect(conv)) return true;
  const DirectUsers users = UsersOfDirect(conv);
  return user == users.first || user == users.second;
}

// Kept in the device's record, so it has a bound: whole UTF-8 characters.
std::string CutToNackBytes(std::string message) {
  constexpr size_t kMaxBytes = 256;
  if (message.size() <= kMaxBytes) return message;
  size_t end = kMaxBytes;
  while (end > 0 && (static_cast<uint8_t>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
  return message;
}

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
    const DirectUsers users = UsersOfDirect(command.conv);
    auto left = std::make_shared<int>(2);
    group->parts += 2;
    for (const std::string_view user : {users.first, users.second}) {
      const std::string key = UserIndexKey(user);
      client_.Command(SlotOfKey(key), {"ZADD", key, "0", command.conv}, true,
                      [this, group, left, conv = command.conv](const RedisResult& result) {
                        group->links.insert(result.link);
                        if (!result.status.ok()) {
                          group->failure = result.status;
                        } else if (--*left == 0) {
                          indexed_.insert(conv);
                        }
                        WavePartDone(group);
                      });
    }
  }
  WavePartDone(group);
}

void RedisLog::WavePartDone(const GroupPointer& group) {
  if (--group->parts > 0) return;
  const std::function<void()> then = std::exchange(group->then, nullptr);
  then();
}

void RedisLog::RunWave(const GroupPointer& group, size_t end) {
  if (!group->failure.ok()) return FinishGroup(group);
  std::map<uint32_t, std::shared_ptr<Lane>> lanes;
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
          RefusalOf(Code::kBadRequest, "\"conv\" is a direct conversation, which has its two members for ever");
    } else if (!IsParty(command.user, command.conv)) {
      group->outcomes[i] = StrangerOutcome();
    } else {
      AddToLane(group, i, &lanes);
    }
  }
  group->next = end;
  group->parts = 1 + lanes.size() + hellos.size() + feeds.size();
  group->then = [this, group] { SettleTokens(group); };
  for (const auto& [partition, lane] : lanes) RunLane(group, lane);
  for (const size_t index : hellos) RunHello(group, index);
  for (const size_t index : feeds) RunFeed(group, index);
  WavePartDone(group);
}

// A change of a consumer group. One that fails tells so by itself: nothing else rests on it.
void RedisLog::RunFeed(const GroupPointer& group, size_t index) {
  const Command& command = (*group->commands)[index];
  if (command.feed == nullptr) {
    group->outcomes[index] = RefusalOf(Code::kBadRequest, "no change of a feed");
    return WavePartDone(group);
  }
  feed_->Change(*command.feed, group->now_ms, [this, group, index](Outcome outcome, uint64_t link) {
    group->links.insert(link);
    group->outcomes[index] = std::move(outcome);
    WavePartDone(group);
  });
}

void RedisLog::AddToLane(const GroupPointer& group, size_t index, std::map<uint32_t, std::shared_ptr<Lane>>* lanes) {
  const Command& command = (*group->commands)[index];
  const ConversationKeys keys(command.conv);
  std::shared_ptr<Lane>& lane = (*lanes)[keys.partition()];
  if (lane == nullptr) lane = std::make_shared<Lane>();
  const char* script = ScriptOf(command.kind);
  const bool together = command.kind != CommandKind::kSkip && command.kind != CommandKind::kMembers;
  if (lane->calls.empty() || lane->calls.back().script != script || !together ||
      lane->calls.back().indices.size() >= kMaxCommandsPerCall ||
      lane->calls.back().arguments.bytes().size() >= kMaxBytesPerCall) {
    lane->calls.push_back({.script = script, .slot = SlotOfKey(keys.Meta())});
    if (command.kind == CommandKind::kSend) {
      const PartitionKeys shelf(keys.partition());
      lane->calls.back().keys.Reserve(kUsualBytes);
      lane->calls.back().arguments.Reserve(kUsualBytes);
      lane->calls.back().keys.AddAll(shelf.catalogue, shelf.groups, shelf.feed);
      lane->calls.back().arguments.AddAll(static_cast<uint64_t>(group->now_ms), group->NextEpoch(),
                                          static_cast<uint64_t>(options_.window_ms),
                                          uint64_t{options_.replicas > 0 ? 1u : 0u});
    }
  }
  ScriptCall& call = lane->calls.back();
  call.indices.push_back(index);
  const std::string_view kind = IsDirect(command.conv) ? "d" : "g";
  const auto known = devices_.find(DeviceName(command));
  const uint64_t known_pe = known == devices_.end() ? 0 : known->second.pe;
  switch (command.kind) {
    case CommandKind::kSend: {
      const WindowEntry print = WindowEntryOf(command.body, command.type);
      const auto members = members_.find(command.conv);
      if (members != members_.end())
        call.members.try_emplace(command.conv, members->second.version, members->second.list);
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Own(command.user),
                       keys.Blocks(command.user, command.device), keys.Window(command.user, command.id));
      std::string refusal;
      if (const Outcome refused = RefusalFor(group, index); refused.code != Code::kOk) {
        refusal = std::string(CodeName(refused.code)) + " " + CutToNackBytes(refused.message);
      }
      const std::string fingerprint =
          Text(print.body_bytes) + "-" + Text(print.body_hash_low) + "-" + Text(print.body_hash_high);
      std::vector<std::string>& mids = group->mids[index];
      mids.push_back(NextMid(group->now_ms));
      call.arguments.AddAll(kind, command.user, command.device, command.pe, known_pe, command.n, command.id,
                            command.type, command.body, mids.back(), fingerprint, refusal, command.package_id,
                            uint64_t{command.parts.size()},
                            members == members_.end() ? std::string_view() : std::string_view(members->second.version));
      for (const CommandPart& part : command.parts) {
        mids.push_back(NextMid(group->now_ms));
        call.arguments.AddAll(part.id, part.type, part.body, mids.back());
      }
      return;
    }
    case CommandKind::kSkip:
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(),
                       keys.Blocks(command.user, command.device));
      return call.arguments.AddAll(kind, command.user, command.device, command.pe, known_pe, command.from, command.to);
    case CommandKind::kMembers: {
      const PartitionKeys shelf(keys.partition());
      call.keys.AddAll(shelf.catalogue, shelf.groups, shelf.feed, keys.Meta(), keys.Log(), keys.Members(),
                       keys.Senders(), keys.Blocks(command.user, command.device));
      group->mids[index].push_back(NextMid(group->now_ms));
      call.change = MembersArguments(command, group->now_ms, group->mids[index].back(), group->NextEpoch());
      call.change[4] = Text(known_pe);
      call.arguments = RedisArguments(call.change);
      return;
    }
    default: {
      const bool got = command.kind == CommandKind::kGot;
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Marks(), keys.Own(command.user));
      return call.arguments.AddAll(kind, std::string_view(got ? "got" : "read"), command.user, command.device,
                                   command.pe, known_pe, command.epoch, got ? command.from : uint64_t{0}, command.to);
    }
  }
}

void RedisLog::RunLane(const GroupPointer& group, const std::shared_ptr<Lane>& lane) {
  if (lane->next == lane->calls.size()) return WavePartDone(group);
  const ScriptCall& call = lane->calls[lane->next];
  client_.RunScript(*FindLuaScript(call.script), call.slot, call.keys, call.arguments,
                    [this, group, lane](RedisResult result) { TookLane(group, lane, std::move(result)); });
}

void RedisLog::TookLane(const GroupPointer& group, const std::shared_ptr<Lane>& lane, RedisResult result) {
  ScriptCall& call = lane->calls[lane->next];
  group->links.insert(result.link);
  const bool members = call.script == "members";
  const std::vector<RedisReply>& replies = result.reply.elements;
  if (result.status.ok() && !members && call.script != "skip" && replies.size() != call.indices.size()) {
    result.status = {RedisCode::kProtocol, "a script's reply that is none"};
  }
  if (!result.status.ok()) {
    // Unknown: what comes behind it in this partition would only run into what may be missing.
    for (; lane->next < lane->calls.size(); ++lane->next) {
      for (const size_t index : lane->calls[lane->next].indices)
        group->outcomes[index] = UnavailableOutcome(result.status);
    }
    return WavePartDone(group);
  }
  if (members && !replies.empty() && replies[0].text == "INDEX") return IndexGroup(group, lane);
  for (size_t i = 0; i < call.indices.size(); ++i) {
    const size_t index = call.indices[i];
    const Command& command = (*group->commands)[index];
    const RedisReply& reply = members || call.script == "skip" ? result.reply : replies[i];
    Outcome outcome = OutcomeOf(command, reply, group->mids[index], &call.members);
    NoteRaised(group, command, outcome);
    if (command.kind == CommandKind::kSend && outcome.code == Code::kOk && outcome.seq != 0 && !outcome.duplicate) {
      counters_.messages += std::max<size_t>(1, command.parts.size());
    }
    if (outcome.seq != 0 && !outcome.duplicate) group->stored.insert(RedisPartitionOf(command.conv));
    if (outcome.duplicate) ++counters_.duplicates;
    group->outcomes[index] = std::move(outcome);
  }
  if (members_.size() > options_.cache_conversations) members_.clear();
  for (auto& [conv, known] : call.members) members_.insert_or_assign(conv, Members{known.first, known.second});
  ++lane->next;
  RunLane(group, lane);
}

// The users that the command names get the group on their lists; then the same call again.
void RedisLog::IndexGroup(const GroupPointer& group, const std::shared_ptr<Lane>& lane) {
  ScriptCall& call = lane->calls[lane->next];
  const std::string conv = (*group->commands)[call.indices[0]].conv;
  call.change[7] = "1";
  call.arguments = RedisArguments(call.change);
  auto left = std::make_shared<size_t>(1);
  auto failure = std::make_shared<RedisStatus>();
  const auto part_done = [this, group, lane, left, failure] {
    if (--*left > 0) return;
    if (failure->ok()) return RunLane(group, lane);
    TookLane(group, lane, {*failure, {}, 0});
  };
  for (size_t i = kMembersFirstName; i < call.change.size(); ++i) {
    ++*left;
    const std::string key = UserIndexKey(call.change[i]);
    client_.Command(SlotOfKey(key), {"ZADD", key, "0", conv}, true,
                    [group, failure, part_done](const RedisResult& result) {
                      group->links.insert(result.link);
                      if (!result.status.ok()) *failure = result.status;
                      part_done();
                    });
  }
  part_done();
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
