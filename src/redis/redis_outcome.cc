// From the words of the scripts to outcomes.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "log/refusal.h"
#include "redis/redis_group.h"

namespace everyonce {
namespace {

std::shared_ptr<const MemberList> ListOf(const RedisReply& reply) {
  auto list = std::make_shared<MemberList>();
  for (const RedisReply& name : reply.elements) list->push_back(name.text);
  std::sort(list->begin(), list->end());
  return list;
}

Outcome BrokenReply() { return UnavailableOutcome({RedisCode::kProtocol, "a script's reply that is none"}); }

Outcome Stored(const Command& command, const RedisReply& reply, std::span<const uint64_t> mids, KnownMembers* members) {
  Outcome outcome;
  outcome.seq = NumberAt(reply, 1);
  outcome.epoch = NumberAt(reply, 2);
  outcome.at_ms = static_cast<int64_t>(NumberAt(reply, 3));
  if (outcome.seq == 0 || mids.empty()) return BrokenReply();
  outcome.mid = mids.size() > 1 ? mids[1] : mids[0];
  outcome.mids.assign(mids.begin() + 1, mids.end());
  if (IsDirect(command.conv)) return outcome;
  auto& known = (*members)[command.conv];
  if (reply.elements.size() > 5) known = {TextAt(reply, 4), ListOf(reply.elements[5])};
  if (known.second == nullptr) return BrokenReply();
  outcome.audience = known.second;
  return outcome;
}

Outcome MembersChanged(const Command& command, const RedisReply& reply, KnownMembers* members) {
  if (reply.elements.size() != 9) return BrokenReply();
  Outcome outcome;
  outcome.seq = NumberAt(reply, 1);
  outcome.epoch = NumberAt(reply, 2);
  outcome.at_ms = static_cast<int64_t>(NumberAt(reply, 3));
  outcome.body = TextAt(reply, 4);
  outcome.added = *ListOf(reply.elements[5]);
  outcome.removed = *ListOf(reply.elements[6]);
  const auto list = ListOf(reply.elements[8]);
  (*members)[command.conv] = {TextAt(reply, 7), list};
  outcome.audience = list;
  if (!outcome.removed.empty()) {
    // Those who are removed see the message that removes them.
    auto audience = std::make_shared<MemberList>(*list);
    audience->insert(audience->end(), outcome.removed.begin(), outcome.removed.end());
    std::sort(audience->begin(), audience->end());
    outcome.audience = audience;
  }
  return outcome;
}

Outcome Duplicate(const RedisReply& reply) {
  Outcome outcome;
  outcome.duplicate = true;
  outcome.seq = NumberAt(reply, 1);
  outcome.epoch = NumberAt(reply, 2);
  outcome.at_ms = static_cast<int64_t>(NumberAt(reply, 3));
  outcome.mid = NumberAt(reply, 4);
  return outcome;
}

}  // namespace

const LuaScript* ScriptOf(CommandKind kind) {
  static const LuaScript* const publish = FindLuaScript("publish");
  static const LuaScript* const skip = FindLuaScript("skip");
  static const LuaScript* const members = FindLuaScript("members");
  static const LuaScript* const marks = FindLuaScript("marks");
  switch (kind) {
    case CommandKind::kSend:
      return publish;
    case CommandKind::kSkip:
      return skip;
    case CommandKind::kMembers:
      return members;
    default:
      return marks;
  }
}

Outcome UnavailableOutcome(const RedisStatus& status) {
  Outcome outcome = Unavailable(status.message.empty() ? "Redis is not available" : std::string_view(status.message));
  outcome.unknown = status.unknown();
  return outcome;
}

Code CodeOf(std::string_view name) {
  for (auto code = static_cast<uint8_t>(Code::kOk); code <= static_cast<uint8_t>(Code::kClosed); ++code) {
    if (CodeName(static_cast<Code>(code)) == name) return static_cast<Code>(code);
  }
  return Code::kUnavailable;
}

SeenDevice SeenDeviceOf(const std::string& text) {
  SeenDevice seen;
  char* end = nullptr;
  seen.pe = std::strtoull(text.c_str(), &end, 10);
  seen.first_hello_ms = std::strtoll(end, &end, 10);
  seen.last_seen_ms = std::strtoll(end, &end, 10);
  return seen;
}

uint64_t NumberAt(const RedisReply& reply, size_t index) {
  uint64_t number = 0;
  return index < reply.elements.size() && reply.elements[index].ToNumber(&number) ? number : 0;
}

const std::string& TextAt(const RedisReply& reply, size_t index) {
  static const std::string none;
  return index < reply.elements.size() ? reply.elements[index].text : none;
}

std::vector<std::string> MembersArguments(const Command& command, int64_t now_ms, uint64_t mid, uint64_t epoch) {
  static constexpr const char* kActions[] = {"create", "add", "remove", "leave"};
  MemberList named = command.members;
  const bool create = command.action == MembersAction::kCreate;
  if (create && command.user != kSystemUser) named.push_back(command.user);
  std::sort(named.begin(), named.end());
  named.erase(std::unique(named.begin(), named.end()), named.end());
  std::vector<std::string> arguments = {kActions[static_cast<size_t>(command.action)],
                                        command.user,
                                        command.device,
                                        std::to_string(command.pe),
                                        "0",
                                        !command.authorised   ? ""
                                        : *command.authorised ? "1"
                                                              : "0",
                                        command.history_all ? "1" : "0",
                                        "0",
                                        std::to_string(now_ms),
                                        std::to_string(epoch),
                                        std::to_string(mid)};
  arguments.insert(arguments.end(), named.begin(), named.end());
  return arguments;
}

Outcome OutcomeOf(const Command& command, const RedisReply& reply, std::span<const uint64_t> mids,
                  KnownMembers* members) {
  const std::string& word = TextAt(reply, 0);
  if (word == "OK") {
    Outcome outcome;
    switch (command.kind) {
      case CommandKind::kSend:
        return Stored(command, reply, mids, members);
      case CommandKind::kMembers:
        outcome = MembersChanged(command, reply, members);
        outcome.mid = mids.empty() ? 0 : mids[0];
        return outcome;
      case CommandKind::kGot:
        outcome.got = NumberAt(reply, 1);
        outcome.acked_to = NumberAt(reply, 2);
        outcome.rose = TextAt(reply, 3) == "1";
        return outcome;
      case CommandKind::kRead:
        outcome.read = NumberAt(reply, 1);
        outcome.rose = TextAt(reply, 2) == "1";
        return outcome;
      default:
        return outcome;
    }
  }
  if (word == "HELD" || word == "NOTHING") return {};
  if (word == "DUP") {
    Outcome outcome = Duplicate(reply);
    for (size_t i = 4; !command.parts.empty() && i < reply.elements.size(); ++i)
      outcome.mids.push_back(NumberAt(reply, i));
    return outcome;
  }
  if (word == "GAP") {
    Outcome outcome = Refusal(Code::kGap, "an earlier n of this device is missing");
    outcome.expected = NumberAt(reply, 1);
    outcome.retry_ms = 0;
    return outcome;
  }
  if (word == "FENCED") {
    Outcome outcome = Refusal(Code::kStaleDevice, "a newer run of this device has taken over");
    outcome.pe = NumberAt(reply, 1);
    return outcome;
  }
  if (word == "NACK") return Refusal(CodeOf(TextAt(reply, 1)), TextAt(reply, 2));
  if (word == "CONFLICT" && command.kind == CommandKind::kSkip) {
    return Refusal(Code::kConflict, "an n of this span was accepted");
  }
  if (word == "CONFLICT") return Refusal(Code::kConflict, "this n or id was used for another message of this device");
  if (word == "TOO_OLD") return Refusal(Code::kTooOld, "the log no longer tells what became of this message");
  if (word == "UNKNOWN_CONV") return UnknownConversation();
  if (word == "UNKNOWN_PRODUCER") {
    return Refusal(Code::kUnknownProducer, "this device is not known here, and n is not 1: ask status, then skip");
  }
  if (word == "EXISTS") return Refusal(Code::kExists, "a conversation of this name exists");
  if (word == "FORBIDDEN") return Refusal(Code::kForbidden, TextAt(reply, 1));
  if (word == "BAD") return Refusal(Code::kBadRequest, TextAt(reply, 1));
  return BrokenReply();
}

}  // namespace everyonce
