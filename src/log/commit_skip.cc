// Skips: a device gives up some of its n (protocol.md, Sending).

#include <algorithm>

#include "log/commit.h"

namespace everyonce {
namespace {

using Kind = ProducerAnswer::Kind;

// Whether any n of from..to, all ≤ producer.last(), was accepted. Blocks that were skipped whole have no record, so a
// long skip is quick to repeat.
Status AnyAccepted(LogContext* context, Conversation* conversation, const Command& command, const Producer& producer,
                   uint64_t from, uint64_t to, bool* any) {
  *any = false;
  uint64_t n = to;
  for (; n >= from && producer.Holds(n); --n) {
    if (producer.AnswerOf(n).kind == Kind::kAccepted) *any = true;
  }
  Status status;
  while (status.ok() && !*any && n >= from && n >= producer.first()) {
    std::string block_key;
    std::string value;
    bool found = false;
    status = context->store().GetLast(
        Space::kProducers,
        key::ProducerBlock(conversation->conv(), command.user, command.device, Producer::BlockOf(from)),
        key::ProducerBlock(conversation->conv(), command.user, command.device, Producer::BlockOf(n) + 1), &block_key,
        &value, &found);
    if (!status.ok() || !found) return status;
    std::vector<ProducerAnswer> answers;
    if (!Producer::DecodeBlock(value, &answers)) {
      return Status::Error(Code::kStoreCorrupt, conversation->conv() + ": no block of a producer");
    }
    const uint64_t first_n = key::NumberAtEnd(block_key) * kProducerWindow + 1;
    for (uint64_t i = 0; i < kProducerWindow; ++i) {
      const uint64_t at = first_n + i;
      if (at >= from && at <= n && answers[i].kind == Kind::kAccepted) *any = true;
    }
    n = first_n - 1;
  }
  return status;
}

Outcome DecideKnown(LogContext* context, Conversation* conversation, const Command& command, const Producer& producer) {
  bool any = false;
  Status status =
      AnyAccepted(context, conversation, command, producer, command.from, std::min(command.to, producer.last()), &any);
  if (!status.ok()) return Unavailable(status);
  if (any) return Refusal(Code::kConflict, "an n of this span was accepted");
  if (command.to > producer.last()) return Refusal(Code::kBadRequest, "the span begins at an n that is already used");
  return {};
}

}  // namespace

Outcome DecideSkip(LogContext* context, const Command& command) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(command.user, command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (conversation == nullptr) return UnknownConversation();
  Producer* producer = nullptr;
  status = conversation->FindProducer(command.user, command.device, &producer);
  if (!status.ok()) return Unavailable(status);
  if (producer == nullptr && !conversation->IsMember(command.user)) return UnknownConversation();
  Outcome stale;
  if (RefusedAsStale(context, command, &stale)) return stale;
  if (command.from == 0 || command.to < command.from || command.to > kMaxInteger) {
    return Refusal(Code::kBadRequest, "from and to are no span of n");
  }
  if (producer != nullptr) {
    if (command.from > producer->last() + 1) {
      return Refusal(Code::kBadRequest, "the span begins beyond the device's next n");
    }
    if (command.from <= producer->last()) return DecideKnown(context, conversation, command, *producer);
  }
  context->Touch(conversation);
  producer = conversation->MakeProducer(command.user, command.device);
  producer->Skip(command.from, command.to,
                 [&](uint64_t) { conversation->StageBlock(command.user, command.device, *producer); });
  conversation->MarkProducerAlone(command.user, command.device);
  return {};
}

}  // namespace everyonce
