// Sends: deduplicate, number, store.

#include <algorithm>
#include <utility>
#include <vector>

#include "core/window_dedup.h"
#include "log/commit.h"

namespace everyonce {
namespace {

using Verdict = Producer::Verdict;
using Kind = ProducerAnswer::Kind;

constexpr size_t kMaxNackMessageBytes = 256;  // kept in the producer's state

Outcome Conflict() { return Refusal(Code::kConflict, "this n or id was used for another message of this device"); }
Outcome TooOld() { return Refusal(Code::kTooOld, "the log no longer tells what became of this message"); }

Message MessageOf(const Command& command) {
  Message message;
  message.from = command.user;
  message.device = command.device;
  message.n = command.n;
  message.id = command.id;
  message.type = command.type;
  message.body = command.body;
  return message;
}

Outcome Duplicate(LogContext* context, const Conversation& conversation, uint64_t seq, uint64_t mid, int64_t at_ms) {
  ++context->counters.duplicates;
  Outcome outcome;
  outcome.duplicate = true;
  outcome.seq = seq;
  outcome.epoch = conversation.epochs().EpochOf(seq);
  outcome.mid = mid;
  outcome.at_ms = at_ms;
  return outcome;
}

// The answer to a duplicate of the message at `seq`: its first acceptance, if it really has this id.
// kConflict: another id; kTooOld: nothing is left of it.
Outcome AnswerDuplicate(LogContext* context, Conversation* conversation, const Command& command, uint64_t seq) {
  KeptAnswer answer;
  bool found = false;
  Status status = conversation->ReadAnswer(command.user, command.device, command.n, seq, &answer, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) return TooOld();
  if (answer.id != command.id) return Conflict();
  return Duplicate(context, *conversation, seq, answer.mid, answer.at_ms);
}

// n is older than the producer's own answers: its block tells, for ever.
Outcome AnswerFromBlock(LogContext* context, Conversation* conversation, const Command& command, uint64_t id_hash) {
  std::string value;
  bool found = false;
  const std::string block_key =
      key::ProducerBlock(conversation->conv(), command.user, command.device, Producer::BlockOf(command.n));
  Status status = context->store().Get(Space::kProducers, block_key, &value, &found);
  if (!status.ok()) return Unavailable(status);
  if (!found) return Conflict();  // blocks that were skipped whole have no record
  std::vector<ProducerAnswer> answers;
  Producer::PackageHashes packages;
  if (!Producer::DecodeBlock(value, &answers, &packages)) {
    return Unavailable(Status::Error(Code::kStoreCorrupt, conversation->conv() + ": no block of a producer"));
  }
  const uint64_t slot = (command.n - 1) % kProducerWindow;
  const ProducerAnswer& answer = answers[slot];
  if (answer.kind == Kind::kUnknown) return TooOld();
  if (answer.kind == Kind::kSkipped) return Conflict();
  uint64_t part = 0;
  bool same = answer.id_hash == id_hash;
  if (answer.parts > 1) {
    const std::vector<uint64_t>& hashes = packages[slot];
    const auto at = std::find(hashes.begin(), hashes.end(), id_hash);
    part = static_cast<uint64_t>(at - hashes.begin());
    same = at != hashes.end() || (answer.kind == Kind::kNacked && !command.package_id.empty() &&
                                  hashes.back() == HashOfPackage(command.package_id));
  }
  if (!same) return Conflict();
  if (answer.kind == Kind::kNacked) return Refusal(answer.code, "refused before");
  return AnswerDuplicate(context, conversation, command, answer.seq + part);
}

// Whether the id was already used under `decision.same_id_n`, beyond its hash.
Status IsSameId(Conversation* conversation, const Producer::Decision& decision, const Command& command, bool* same) {
  *same = false;
  if (decision.same_id_n == 0) return Status::Ok();
  if (decision.answer.kind == Kind::kNacked) {
    // Of a package only the hashes of the ids are known.
    *same = decision.nack != nullptr && (decision.answer.parts > 1 || decision.nack->id == command.id);
    return Status::Ok();
  }
  KeptAnswer answer;
  bool found = false;
  Status status =
      conversation->ReadAnswer(command.user, command.device, decision.same_id_n, decision.answer.seq, &answer, &found);
  *same = status.ok() && found && answer.id == command.id;
  return status;
}

// A final refusal uses its n, so that what follows is not blocked, and is the same for ever.
Outcome RefuseForGood(LogContext* context, Conversation* conversation, const Command& command, Outcome refusal) {
  if (refusal.message.size() > kMaxNackMessageBytes) {
    size_t end = kMaxNackMessageBytes;
    while (end > 0 && (static_cast<uint8_t>(refusal.message[end]) & 0xc0) == 0x80) --end;  // whole UTF-8 characters
    refusal.message.resize(end);
  }
  context->Touch(conversation);
  Producer* producer = conversation->MakeProducer(command.user, command.device);
  if (command.parts.empty()) {
    producer->Nack(command.id, HashOfId(command.id), refusal.code, refusal.message);
  } else {
    std::vector<uint64_t> hashes;
    for (const CommandPart& part : command.parts) hashes.push_back(HashOfId(part.id));
    hashes.push_back(HashOfPackage(command.package_id));
    producer->NackPackage(std::move(hashes), refusal.code, refusal.message);
  }
  conversation->MarkProducerAlone(command.user, command.device);
  if (producer->block_complete()) conversation->StageBlock(command.user, command.device, *producer);
  return refusal;
}

// What speaks against a member's new message, in protocol.md's order: size, type, token, authorize.
Outcome JudgeRefusals(LogContext* context, const Command& command, uint64_t* stored_at) {
  Outcome refused = Refusal(command.refused, command.refused_message);
  if (refused.code != Code::kOk && refused.code != Code::kForbidden) return refused;
  Outcome outcome = JudgeTokens(context, command, stored_at);
  return outcome.code == Code::kOk ? refused : outcome;
}

Outcome DecideWindowSend(LogContext* context, Conversation* conversation, const Command& command) {
  const bool member = conversation->IsMember(command.user);
  WindowEntry offered = WindowEntryOf(command.body, command.type);
  WindowEntry known;
  std::string value;
  bool found = false;
  std::string window_key = key::Window(command.conv, command.user, command.id);
  Status status = context->store().Get(Space::kWindow, window_key, &value, &found);
  if (!status.ok()) return Unavailable(status);
  if (found && !WindowEntry::Decode(value, &known)) {
    return Unavailable(Status::Error(Code::kStoreCorrupt, command.conv + ": no window entry"));
  }
  const EmbeddedLogOptions& options = context->options();
  switch (JudgeWindow(found ? &known : nullptr, offered, context->now_ms(), options.window_ms)) {
    case WindowVerdict::kConflict:
      return Refusal(Code::kConflict, "this id was used for another body or type");
    case WindowVerdict::kDuplicate:
      if (known.mid != 0) return Duplicate(context, *conversation, known.seq, known.mid, known.message_at_ms);
      return AnswerDuplicate(context, conversation, command, known.seq);
    case WindowVerdict::kNew:
      break;
  }
  if (!member) return UnknownConversation();
  uint64_t stored_at = 0;
  Outcome outcome = JudgeRefusals(context, command, &stored_at);
  if (outcome.code != Code::kOk) return outcome;
  // The window is over and the token is not: it still tells.
  if (stored_at != 0) return AnswerDuplicate(context, conversation, command, stored_at);
  outcome = Store(context, conversation, MessageOf(command));
  if (outcome.code != Code::kOk) return outcome;
  ClaimTokens(context, command, outcome.seq);
  offered.seq = outcome.seq;
  offered.at_ms = context->now_ms();
  context->store().Put(Space::kWindow, std::move(window_key), offered.Encode());
  return outcome;
}

// All parts or none: what can fail comes before the first is appended.
Outcome StorePackage(LogContext* context, Conversation* conversation, const Command& command) {
  Outcome outcome;
  for (size_t i = 0; i < command.parts.size(); ++i) {
    outcome.mids.push_back(context->NextMid());
    if (outcome.mids.back() == 0) {
      return Refusal(Code::kUnavailable, "the clock is beyond what message ids can hold");
    }
  }
  context->Touch(conversation);
  context->BeginEpochIfDue(conversation);
  for (size_t i = 0; i < command.parts.size(); ++i) {
    Message message = MessageOf(command);
    message.mid = outcome.mids[i];
    message.id = command.parts[i].id;
    message.type = command.parts[i].type;
    message.body = command.parts[i].body;
    Status status = conversation->Append(&message, context->now_ms(), i + 1 < command.parts.size());
    if (!status.ok()) return Unavailable(status);  // only the first can
    ++context->counters.messages;
    if (i > 0) continue;
    outcome.seq = message.seq;
    outcome.epoch = message.epoch;
    outcome.mid = message.mid;
    outcome.at_ms = message.at_ms;
  }
  outcome.audience = conversation->members();
  return outcome;
}

Outcome DecideNew(LogContext* context, Conversation* conversation, const Command& command) {
  if (!conversation->IsMember(command.user)) {
    return RefuseForGood(context, conversation, command, UnknownConversation());
  }
  uint64_t stored_at = 0;
  Outcome outcome = JudgeRefusals(context, command, &stored_at);
  if (outcome.code == Code::kUnavailable) return outcome;
  if (outcome.code != Code::kOk) return RefuseForGood(context, conversation, command, std::move(outcome));
  outcome = command.parts.empty() ? Store(context, conversation, MessageOf(command))
                                  : StorePackage(context, conversation, command);
  if (outcome.code == Code::kOk) ClaimTokens(context, command, outcome.seq);
  return outcome;
}

// What is told by the n of a message: all but what is new. `next`: its n is the next one, and nothing is decided yet.
Outcome DecideNumbered(LogContext* context, Conversation* conversation, const Producer& state, const Command& command,
                       bool* next) {
  *next = false;
  const uint64_t id_hash = HashOfId(command.id);
  const uint64_t package_hash = command.package_id.empty() ? 0 : HashOfPackage(command.package_id);
  const Producer::Decision decision = state.Decide(command.n, command.id, id_hash, package_hash);
  bool same_id = false;
  Status status = IsSameId(conversation, decision, command, &same_id);
  if (!status.ok()) return Unavailable(status);
  if (same_id) return Conflict();
  switch (decision.verdict) {
    case Verdict::kAcceptedBefore:
      return AnswerDuplicate(context, conversation, command, decision.answer.seq);
    case Verdict::kNackedBefore:
      return Refusal(decision.nack->code, decision.nack->message);
    case Verdict::kConflict:
      return Conflict();
    case Verdict::kOld:
      return AnswerFromBlock(context, conversation, command, id_hash);
    case Verdict::kTooOld:
      return TooOld();
    case Verdict::kUnknownProducer:
      return Refusal(Code::kUnknownProducer, "this device is not known here, and n is not 1: ask status, then skip");
    case Verdict::kGap: {
      Outcome gap = Refusal(Code::kGap, "an earlier n of this device is missing");
      gap.expected = state.last() + 1;
      gap.retry_ms = 0;
      return gap;
    }
    case Verdict::kNext:
      *next = true;
      break;
  }
  return {};
}

// All parts have one n, so what it tells of one it tells of all: duplicates, or one refusal of the whole.
Outcome DecidePackageNumber(LogContext* context, Conversation* conversation, const Producer& state,
                            const Command& command, bool* next) {
  Outcome whole;
  std::vector<uint64_t> mids;
  Command one;
  one.conv = command.conv;
  one.user = command.user;
  one.device = command.device;
  one.n = command.n;
  one.package_id = command.package_id;
  for (const CommandPart& part : command.parts) {
    one.id = part.id;
    Outcome outcome = DecideNumbered(context, conversation, state, one, next);
    if (outcome.code != Code::kOk) {
      *next = false;
      return outcome;
    }
    if (*next) continue;
    mids.push_back(outcome.mid);
    const uint64_t seq = outcome.seq;
    if (mids.size() == 1) whole = std::move(outcome);
    if (seq != whole.seq + mids.size() - 1) return Conflict();  // the same ids in another order
  }
  whole.mids = std::move(mids);
  return whole;
}

}  // namespace

Outcome Store(LogContext* context, Conversation* conversation, Message message) {
  if (message.mid == 0) message.mid = context->NextMid();
  if (message.mid == 0) return Refusal(Code::kUnavailable, "the clock is beyond what message ids can hold");
  context->Touch(conversation);
  context->BeginEpochIfDue(conversation);
  Status status = conversation->Append(&message, context->now_ms());
  if (!status.ok()) return Unavailable(status);
  ++context->counters.messages;
  Outcome outcome;
  outcome.seq = message.seq;
  outcome.epoch = message.epoch;
  outcome.mid = message.mid;
  outcome.at_ms = message.at_ms;
  outcome.audience = conversation->members();
  return outcome;
}

Outcome DecideSend(LogContext* context, const Command& command) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(command.user, command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (conversation == nullptr) return UnknownConversation();
  Outcome stale;
  if (command.n == 0) {
    if (RefusedAsStale(context, command, &stale)) return stale;
    return DecideWindowSend(context, conversation, command);
  }
  Producer* producer = nullptr;
  status = conversation->FindProducer(command.user, command.device, &producer);
  if (!status.ok()) return Unavailable(status);
  if (producer == nullptr && !conversation->IsMember(command.user)) return UnknownConversation();
  if (RefusedAsStale(context, command, &stale)) return stale;

  static const Producer no_producer;
  const Producer& state = producer == nullptr ? no_producer : *producer;
  bool next = false;
  Outcome outcome;
  if (command.parts.empty()) {
    outcome = DecideNumbered(context, conversation, state, command, &next);
    if (next && !command.package_id.empty()) return {};  // a part: to be held
  } else {
    outcome = DecidePackageNumber(context, conversation, state, command, &next);
  }
  return next ? DecideNew(context, conversation, command) : outcome;
}

}  // namespace everyonce
