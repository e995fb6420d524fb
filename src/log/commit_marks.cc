// Marks: what a device has acked, what a user has read, which devices there are.

#include <algorithm>
#include <set>
#include <utility>

#include "log/commit.h"

namespace everyonce {
namespace {

constexpr size_t kIndexChunk = 256;
constexpr int64_t kSeenEveryMs = 6 * 3600 * 1000;

// The highest seq that a mark made in `epoch` may name now (0: the current one). False: an unknown history.
bool KeepOf(const Conversation& conversation, uint64_t epoch, uint64_t* keep) {
  if (epoch == 0) epoch = conversation.epoch();
  return conversation.epochs().KeepOf(epoch, conversation.head(), keep);
}

// Acks what survived of a position that a client brings.
Status AckPosition(LogContext* context, const Command& command, const Position& position) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(command.user, position.conv, &conversation);
  if (!status.ok() || conversation == nullptr) return status;
  uint64_t keep = 0;
  if (conversation->epochs().Judge(position.epoch, position.seq, conversation->head(), &keep) == Resume::kReset ||
      keep == 0) {
    return status;
  }
  bool fits = false;
  return conversation->Ack(command.user, command.device, 0, keep, &fits);
}

// A new device begins at the user's read marks of this moment, except where the client brought a position.
Status BeginAtReadMarks(LogContext* context, const Command& command) {
  std::set<std::string, std::less<>> brought;
  for (const Position& position : command.positions) brought.insert(position.conv);
  std::vector<std::string> convs;
  std::string after;
  do {
    Status status = context->ConversationsOf(command.user, after, kIndexChunk, &convs);
    if (!status.ok()) return status;
    for (const std::string& conv : convs) {
      after = conv;
      if (brought.contains(conv)) continue;
      // Most have none; they need not be touched.
      std::string value;
      bool marked = false;
      status = context->store().Get(Space::kMarks, key::Read(command.user, conv), &value, &marked);
      if (!status.ok()) return status;
      if (!marked) continue;
      Conversation* conversation = nullptr;
      status = context->FindFor(command.user, conv, &conversation);
      if (!status.ok()) return status;
      if (conversation == nullptr) continue;
      ReadRecord* read = nullptr;
      bool fits = false;
      status = conversation->FindReadMark(command.user, &read);
      if (status.ok() && read->seq > 0) status = conversation->Ack(command.user, command.device, 0, read->seq, &fits);
      if (!status.ok()) return status;
    }
  } while (convs.size() == kIndexChunk);
  return Status::Ok();
}

}  // namespace

bool RefusedAsStale(LogContext* context, const Command& command, Outcome* outcome) {
  if (command.pe == 0 || command.device.empty()) return false;
  DeviceRecord* record = nullptr;
  Status status = context->FindDevice(command.user, command.device, &record);
  if (!status.ok()) {
    *outcome = Unavailable(status);
    return true;
  }
  if (command.pe < record->pe) {
    *outcome = Refusal(Code::kStaleDevice, "a newer run of this device has taken over");
    outcome->pe = record->pe;
    return true;
  }
  const bool newer = command.pe > record->pe;
  // A device that stays connected for weeks is seen all the same; hours are near enough.
  const bool seen_again = record->first_hello_ms != 0 && context->now_ms() - record->last_seen_ms > kSeenEveryMs;
  if (newer || seen_again) {
    DeviceRecord raised = *record;
    raised.pe = command.pe;
    if (seen_again) raised.last_seen_ms = context->now_ms();
    context->StageDevice(command.user, command.device, raised);
    if (newer) context->store().RequireSync();
  }
  return false;
}

Outcome DecideGot(LogContext* context, const Command& command) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(command.user, command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (conversation == nullptr) return UnknownConversation();
  Outcome outcome;
  if (RefusedAsStale(context, command, &outcome)) return outcome;
  uint64_t before = 0;
  status = conversation->SettledUpTo(command.user, command.device, &before);
  if (!status.ok()) return Unavailable(status);
  uint64_t keep = 0;
  bool fits = true;
  if (KeepOf(*conversation, command.epoch, &keep)) {
    outcome.acked_to = std::min(command.to, keep);
    status = conversation->Ack(command.user, command.device, command.from, outcome.acked_to, &fits);
  }
  if (status.ok()) status = conversation->SettledUpTo(command.user, command.device, &outcome.got);
  if (!status.ok()) return Unavailable(status);
  outcome.rose = outcome.got > before;
  return outcome;
}

Outcome DecideRead(LogContext* context, const Command& command) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(command.user, command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (conversation == nullptr) return UnknownConversation();
  Outcome outcome;
  if (RefusedAsStale(context, command, &outcome)) return outcome;
  ReadRecord* known = nullptr;
  status = conversation->FindReadMark(command.user, &known);
  if (!status.ok()) return Unavailable(status);
  outcome.read = known->seq;
  uint64_t keep = 0;
  if (!KeepOf(*conversation, command.epoch, &keep)) return outcome;
  ReadRecord mark;
  mark.epoch = conversation->epoch();
  mark.seq = std::min({command.to, keep, conversation->VisibleHead(*conversation->SpansOf(command.user))});
  if (mark.seq <= known->seq) return outcome;
  status = conversation->OwnCountAt(command.user, mark.seq, &mark.own_count);
  if (status.ok()) status = conversation->SystemCountAt(mark.seq, &mark.system_count);
  if (!status.ok()) return Unavailable(status);
  conversation->StageReadMark(command.user, mark);
  outcome.read = mark.seq;
  outcome.rose = true;
  return outcome;
}

Outcome DecideDevice(LogContext* context, const Command& command) {
  Outcome outcome;
  DeviceRecord* known = nullptr;
  Status status = context->FindDevice(command.user, command.device, &known);
  if (!status.ok()) return Unavailable(status);
  outcome.pe = std::max(known->pe, command.pe);
  if (command.pe < known->pe) {
    Outcome stale = Refusal(Code::kStaleDevice, "a newer run of this device has taken over");
    stale.pe = known->pe;
    return stale;
  }
  DeviceRecord record = *known;
  outcome.first = record.first_hello_ms == 0;
  for (const Position& position : command.positions) {
    status = AckPosition(context, command, position);
    if (!status.ok()) return Unavailable(status);
  }
  if (outcome.first) {
    status = BeginAtReadMarks(context, command);
    if (!status.ok()) return Unavailable(status);
    record.first_hello_ms = std::max<int64_t>(context->now_ms(), 1);
  }
  if (outcome.first || command.pe > record.pe) context->store().RequireSync();
  record.pe = outcome.pe;
  record.last_seen_ms = context->now_ms();
  context->StageDevice(command.user, command.device, record);
  return outcome;
}

}  // namespace everyonce
