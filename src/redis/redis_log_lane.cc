// A lane of a group: what it asks of one partition, as script calls that run one after the other.

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
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Marks());
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

}  // namespace everyonce
