// A lane: the commands of one partition in a wave, as script calls that run one after the other.

#include <algorithm>
#include <charconv>
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
// Of buffers that calls give back for the next ones.
constexpr size_t kMaxSpares = 8;
constexpr size_t kMaxSpareBytes = 1u << 16;

// Kept in the device's record, so it has a bound: whole UTF-8 characters.
std::string CutToNackBytes(std::string message) {
  constexpr size_t kMaxBytes = 256;
  if (message.size() <= kMaxBytes) return message;
  size_t end = kMaxBytes;
  while (end > 0 && (static_cast<uint8_t>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
  return message;
}

std::string_view KindOf(std::string_view conv) { return IsDirect(conv) ? "d" : "g"; }

// What publish.lua compares a message with one of the same n by.
class Fingerprint {
 public:
  explicit Fingerprint(const WindowEntry& print) {
    Append(print.body_bytes);
    *end_++ = '-';
    Append(print.body_hash_low);
    *end_++ = '-';
    Append(print.body_hash_high);
  }
  std::string_view text() const { return {digits_, static_cast<size_t>(end_ - digits_)}; }

 private:
  void Append(uint64_t number) { end_ = std::to_chars(end_, digits_ + sizeof digits_, number).ptr; }

  char digits_[64];
  char* end_ = digits_;
};

}  // namespace

std::shared_ptr<const MemberList> RedisLog::UsersOf(const std::string& conv) const {
  if (const auto known = indexed_.find(conv); known != indexed_.end()) return known->second.users;
  const DirectUsers users = UsersOfDirect(conv);
  auto both = std::make_shared<MemberList>();
  both->reserve(2);
  both->emplace_back(users.first);
  both->emplace_back(users.second);
  return both;
}

RedisArguments RedisLog::TakeSpare() {
  RedisArguments spare;
  if (!spares_.empty()) {
    spare = std::move(spares_.back());
    spares_.pop_back();
  }
  return spare;
}

void RedisLog::GiveSpare(RedisArguments spare) {
  if (spares_.size() >= kMaxSpares || spare.bytes().capacity() > kMaxSpareBytes) return;
  spare.Clear();
  spares_.push_back(std::move(spare));
}

void RedisLog::AddToLane(const GroupPointer& group, size_t index, Lane* lane) {
  const Command& command = (*group->commands)[index];
  const LuaScript* script = ScriptOf(command.kind);
  const bool together = command.kind != CommandKind::kSkip && command.kind != CommandKind::kMembers;
  if (lane->calls.empty() || lane->calls.back().script != script || !together ||
      lane->calls.back().indices.size() >= kMaxCommandsPerCall ||
      lane->calls.back().arguments.bytes().size() >= kMaxBytesPerCall) {
    ScriptCall& call = lane->calls.emplace_back();
    call.script = script;
    call.keys = TakeSpare();
    call.arguments = TakeSpare();
  }
  ScriptCall& call = lane->calls.back();
  call.indices.push_back(index);
  const ConversationKeys keys(command.conv);
  call.slot = SlotOfKey(keys.prefix());
  switch (command.kind) {
    case CommandKind::kSend:
      return AddSend(group, index, keys, &call);
    case CommandKind::kSkip:
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(),
                       keys.Blocks(command.user, command.device));
      return call.arguments.AddAll(KindOf(command.conv), command.user, command.device, command.pe, KnownPe(command),
                                   command.from, command.to);
    case CommandKind::kMembers: {
      call.keys.AddAll(keys.Catalogue(), keys.Groups(), keys.Feed(), keys.Meta(), keys.Log(), keys.Members(),
                       keys.Senders(), keys.Blocks(command.user, command.device));
      const uint64_t mid = mids_.Next(group->now_ms);
      group->AddMids(index, mid);
      call.change = MembersArguments(command, group->now_ms, mid, group->NextEpoch());
      call.change[4] = std::to_string(KnownPe(command));
      call.arguments = RedisArguments(call.change);
      return;
    }
    default: {
      const bool got = command.kind == CommandKind::kGot;
      call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Marks());
      return call.arguments.AddAll(KindOf(command.conv), std::string_view(got ? "got" : "read"), command.user,
                                   command.device, command.pe, KnownPe(command), command.epoch,
                                   got ? command.from : uint64_t{0}, command.to);
    }
  }
}

void RedisLog::AddSend(const GroupPointer& group, size_t index, const ConversationKeys& keys, ScriptCall* call) {
  const Command& command = (*group->commands)[index];
  if (call->indices.size() == 1) {
    call->keys.Reserve(kUsualBytes);
    call->arguments.Reserve(kUsualBytes);
    call->keys.AddAll(keys.Catalogue(), keys.Groups(), keys.Feed());
    call->arguments.AddAll(static_cast<uint64_t>(group->now_ms), group->NextEpoch(),
                           static_cast<uint64_t>(options_.window_ms), uint64_t{options_.replicas > 0 ? 1u : 0u});
  }
  std::string_view known_version;
  if (const auto members = members_.find(command.conv); members != members_.end()) {
    known_version = members->second.version;
    call->members.try_emplace(command.conv, members->second.version, members->second.list);
  }
  call->keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Own(command.user),
                    keys.Blocks(command.user, command.device), keys.Window(command.user, command.id));
  std::string refusal;
  if (const Outcome refused = RefusalFor(group, index); refused.code != Code::kOk) {
    refusal = std::string(CodeName(refused.code)) + " " + CutToNackBytes(refused.message);
  }
  const Fingerprint print(WindowEntryOf(command.body, command.type));
  const uint64_t mid = mids_.Next(group->now_ms);
  group->AddMids(index, mid);
  call->arguments.AddAll(KindOf(command.conv), command.user, command.device, command.pe, KnownPe(command), command.n,
                         command.id, command.type, command.body, mid, print.text(), refusal, command.package_id,
                         uint64_t{command.parts.size()}, known_version);
  for (const CommandPart& part : command.parts) {
    const uint64_t part_mid = mids_.Next(group->now_ms);
    group->mids.push_back(part_mid);
    call->arguments.AddAll(part.id, part.type, part.body, part_mid);
  }
}

// The newest run of the device that was heard of; 0: none, or the command has none.
uint64_t RedisLog::KnownPe(const Command& command) const {
  if (command.pe == 0 || command.device.empty()) return 0;
  const auto known = devices_.find(DeviceName(command));
  return known == devices_.end() ? 0 : known->second.pe;
}

void RedisLog::RunLane(const GroupPointer& group, Lane* lane) {
  if (lane->next == lane->calls.size()) return WavePartDone(group);
  ScriptCall& call = lane->calls[lane->next];
  auto took = [this, group, lane](RedisResult result) { TookLane(group, lane, std::move(result)); };
  // A change of members may be asked for a second time.
  if (!call.change.empty()) return client_.RunScript(*call.script, call.slot, call.keys, call.arguments, took);
  RedisArguments keys = std::move(call.keys);
  RedisArguments arguments = std::move(call.arguments);
  client_.RunScript(*call.script, call.slot, keys, arguments, std::move(took));
  GiveSpare(std::move(keys));
  GiveSpare(std::move(arguments));
}

void RedisLog::TookLane(const GroupPointer& group, Lane* lane, RedisResult result) {
  ScriptCall& call = lane->calls[lane->next];
  group->links.insert(result.link);
  const bool one_reply = call.script == ScriptOf(CommandKind::kMembers) || call.script == ScriptOf(CommandKind::kSkip);
  const std::vector<RedisReply>& replies = result.reply.elements;
  if (result.status.ok() && !one_reply && replies.size() != call.indices.size()) {
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
  if (!call.change.empty() && TextAt(result.reply, 0) == "INDEX") return IndexGroup(group, lane);
  for (size_t i = 0; i < call.indices.size(); ++i) {
    const size_t index = call.indices[i];
    const Command& command = (*group->commands)[index];
    const RedisReply& reply = one_reply ? result.reply : replies[i];
    Outcome outcome = OutcomeOf(command, reply, group->MidsOf(index), &call.members);
    NoteRaised(group, command, outcome);
    if (command.kind == CommandKind::kSend && outcome.code == Code::kOk && outcome.seq != 0 && !outcome.duplicate) {
      counters_.messages += std::max<size_t>(1, command.parts.size());
    }
    if (outcome.seq != 0 && !outcome.duplicate) {
      if (group->stored.empty() || group->stored.back() != lane->partition) group->stored.push_back(lane->partition);
      if (IsDirect(command.conv)) outcome.audience = UsersOf(command.conv);
    }
    if (command.kind == CommandKind::kSend && outcome.seq != 0 && IsDirect(command.conv)) {
      NoteIndexed(group, command.conv, outcome);
    }
    if (outcome.duplicate) ++counters_.duplicates;
    group->outcomes[index] = std::move(outcome);
  }
  if (members_.size() > options_.cache_conversations) members_.clear();
  for (auto& [conv, known] : call.members) members_.insert_or_assign(conv, Members{known.first, known.second});
  ++lane->next;
  RunLane(group, lane);
}

// The users that the command names get the group on their lists; then the same call again.
void RedisLog::IndexGroup(const GroupPointer& group, Lane* lane) {
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
