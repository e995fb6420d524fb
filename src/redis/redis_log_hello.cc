// Hellos: a device begins in many conversations, each in its own slot. Its run is raised first, so that an older one is
// fenced; that its first hello is over is written last, so that one that died half-way is made again.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "redis/redis_group.h"
#include "redis/redis_keys.h"

namespace everyonce {
namespace {

constexpr size_t kIndexChunk = 1000;

void AddAct(const Command& command, const std::string& conv, const char* act, uint64_t epoch, uint64_t seq,
            std::map<uint32_t, ScriptCall>* calls) {
  const ConversationKeys keys(conv);
  ScriptCall& call = (*calls)[keys.partition()];
  call.slot = SlotOfKey(keys.prefix());
  call.keys.AddAll(keys.Meta(), keys.Log(), keys.Members(), keys.Senders(), keys.Marks());
  call.arguments.AddAll(std::string_view(IsDirect(conv) ? "d" : "g"), std::string_view(act), command.user,
                        command.device, uint64_t{0}, uint64_t{0}, epoch, uint64_t{0}, seq);
}

}  // namespace

void RedisLog::RunHello(const GroupPointer& group, size_t index) {
  const Command& command = (*group->commands)[index];
  auto hello = std::make_shared<Hello>();
  hello->group = group;
  hello->index = index;
  Run("device", {UserDevicesKey(command.user)},
      {"hello", command.device, std::to_string(command.pe), std::to_string(group->now_ms)},
      [this, hello, &command](const RedisResult& result) {
        hello->group->links.insert(result.link);
        if (!result.status.ok()) return HelloDone(hello, UnavailableOutcome(result.status));
        SeenDevice& known = devices_[DeviceName(command)];
        known.pe = std::max(known.pe, NumberAt(result.reply, 1));
        if (TextAt(result.reply, 0) == "FENCED") {
          hello->outcome = Refusal(Code::kStaleDevice, "a newer run of this device has taken over");
          hello->outcome.pe = NumberAt(result.reply, 1);
          return HelloDone(hello, std::move(hello->outcome));
        }
        known.first_hello_ms = std::max<int64_t>(known.first_hello_ms, 1);
        known.last_seen_ms = hello->group->now_ms;
        hello->outcome.pe = NumberAt(result.reply, 1);
        hello->outcome.first = TextAt(result.reply, 2) == "1";
        hello->outcome.at_ms = static_cast<int64_t>(NumberAt(result.reply, 3));
        for (const Position& position : command.positions) {
          hello->brought.insert(position.conv);
          if (!IsParty(command.user, position.conv) || position.epoch == 0) continue;
          AddAct(command, position.conv, "at", position.epoch, position.seq, &hello->calls);
        }
        if (hello->outcome.first) return HelloBegins(hello, "");
        HelloMarks(hello);
      });
}

// A new device begins at its user's read marks of this moment, except where the client brought a position.
void RedisLog::HelloBegins(const std::shared_ptr<Hello>& hello, std::string after) {
  const Command& command = (*hello->group->commands)[hello->index];
  ListIndex(command.user, after, kIndexChunk,
            [this, hello, &command](const Status& status, const std::vector<std::string>& convs) {
              if (!status.ok()) return HelloDone(hello, UnavailableOutcome({RedisCode::kUnreachable, status.message}));
              for (const std::string& conv : convs) {
                if (!hello->brought.contains(conv)) AddAct(command, conv, "begin", 0, 0, &hello->calls);
              }
              if (convs.size() == kIndexChunk) return HelloBegins(hello, convs.back());
              HelloMarks(hello);
            });
}

void RedisLog::HelloMarks(const std::shared_ptr<Hello>& hello) {
  if (hello->calls.empty()) {
    if (!hello->outcome.first) return HelloDone(hello, std::move(hello->outcome));
    const Command& command = (*hello->group->commands)[hello->index];
    return Run("device", {UserDevicesKey(command.user)},
               {"done", command.device, std::to_string(command.pe),
                std::to_string(std::max<int64_t>(1, hello->group->now_ms))},
               [this, hello](const RedisResult& result) {
                 hello->group->links.insert(result.link);
                 HelloDone(hello, result.status.ok() ? std::move(hello->outcome) : UnavailableOutcome(result.status));
               });
  }
  auto calls = std::make_shared<std::map<uint32_t, ScriptCall>>(std::move(hello->calls));
  hello->calls.clear();
  auto left = std::make_shared<size_t>(calls->size());
  auto failure = std::make_shared<RedisStatus>();
  for (const auto& [partition, call] : *calls) {
    client_.RunScript(*ScriptOf(CommandKind::kGot), call.slot, call.keys, call.arguments,
                      [this, hello, left, failure](const RedisResult& result) {
                        hello->group->links.insert(result.link);
                        if (!result.status.ok()) *failure = result.status;
                        if (--*left > 0) return;
                        if (!failure->ok()) return HelloDone(hello, UnavailableOutcome(*failure));
                        HelloMarks(hello);
                      });
  }
}

void RedisLog::HelloDone(const std::shared_ptr<Hello>& hello, Outcome outcome) {
  hello->group->outcomes[hello->index] = std::move(outcome);
  WavePartDone(hello->group);
}

}  // namespace everyonce
