#include "log/embedded_log.h"

#include <utility>

#include "core/window_dedup.h"
#include "log/commit.h"
#include "log/log_context.h"

namespace everyonce {
namespace {

constexpr int64_t kRetryMs = 1000;     // told to senders, and the least time between two attempts to recover
constexpr size_t kSweptAtOnce = 4096;  // window entries, and used tokens, looked at in one slice, about 2 ms each
constexpr int64_t kClockMarginMs = 86400000;

Outcome Decide(LogContext* context, const Command& command) {
  switch (command.kind) {
    case CommandKind::kSend:
      return DecideSend(context, command);
    case CommandKind::kSkip:
      return DecideSkip(context, command);
    case CommandKind::kMembers:
      return DecideMembers(context, command);
    case CommandKind::kGot:
      return DecideGot(context, command);
    case CommandKind::kRead:
      return DecideRead(context, command);
    case CommandKind::kDevice:
      return DecideDevice(context, command);
    case CommandKind::kFeed:
      return DecideFeed(context, command);
  }
  return Refusal(Code::kBadRequest, "no such command");
}

// What stands even if the group cannot be written: an answer about a message or an n that was durable before it.
// `changed`: conversations that the group has changed, judged at its end.
bool StandsWithoutGroup(LogContext* context, const Command& command, bool staged) {
  if (staged || (command.kind != CommandKind::kSend && command.kind != CommandKind::kSkip)) return false;
  Conversation* conversation = nullptr;
  if (!context->Find(command.conv, &conversation).ok()) return false;
  return conversation == nullptr || !conversation->changed();
}

}  // namespace

std::unique_ptr<EmbeddedLog> OpenEmbeddedLog(std::unique_ptr<Kv> kv, EmbeddedLogOptions options, Status* status) {
  auto context = std::make_unique<LogContext>(std::move(kv), std::move(options));
  *status = context->Open();
  if (!status->ok()) return nullptr;
  return std::unique_ptr<EmbeddedLog>(new EmbeddedLog(std::move(context)));
}

EmbeddedLog::EmbeddedLog(std::unique_ptr<LogContext> context)
    : context_(std::move(context)), retention_(context_.get(), context_->options().retention) {}
EmbeddedLog::~EmbeddedLog() = default;

Safe EmbeddedLog::safe() const { return context_->kv().durable() ? Safe::kDisk : Safe::kMemory; }

LogCounters EmbeddedLog::counters() const {
  LogCounters counters = context_->counters;
  counters.syncs = context_->kv().syncs();
  counters.cached_conversations = context_->cached_conversations();
  return counters;
}

Status EmbeddedLog::Readable() {
  NoticeFailure();
  if (failed_ && context_->kv().stale()) return TryRecover(context_->now_ms());
  return failed_ ? Status::Error(Code::kUnavailable, "the store has failed and is being recovered") : Status::Ok();
}

// A write outside of a group has failed (an epoch that a read had to begin, a slice of tidying), or another user of the
// same store failed to write or has opened it again: what is cached here may not have survived.
void EmbeddedLog::NoticeFailure() {
  if (failed_ || !context_->kv().stale()) return;
  failed_ = true;
  tried_ = false;
}

Status EmbeddedLog::TryRecover(int64_t now_ms) {
  if (tried_ && now_ms - tried_at_ms_ < kRetryMs && now_ms >= tried_at_ms_) {
    return failed_ ? Status::Error(Code::kUnavailable, "the store has failed and is being recovered") : Status::Ok();
  }
  tried_ = true;
  tried_at_ms_ = now_ms;
  context_->DropCaches();
  Status status = context_->kv().Recover();
  if (status.ok()) status = context_->Open();
  failed_ = !status.ok();
  return status;
}

// The end of a group: what is due is staged, and all is written at once.
Status EmbeddedLog::WriteGroup() {
  for (Conversation* conversation : context_->touched()) conversation->StageSnapshots();
  if (context_->store().empty()) return Status::Ok();
  context_->StageMidReservation();
  Status status = context_->store().Write();
  if (status.ok()) ++context_->counters.groups;
  return status;
}

void EmbeddedLog::Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) {
  NoticeFailure();
  Status status = failed_ ? TryRecover(now_ms) : Status::Ok();
  if (status.ok() && now_ms > Snowflake::kMaxMs - kClockMarginMs) {
    status = Status::Error(Code::kUnavailable, "the clock is beyond what message ids can hold");
  }
  if (!status.ok()) {
    done(std::vector<Outcome>(group.size(), Unavailable(status)));
    return;
  }
  context_->AdvanceClock(now_ms);
  const LogCounters before = context_->counters;
  std::vector<Outcome> outcomes;
  std::vector<bool> staged;
  outcomes.reserve(group.size());
  for (const Command& command : group) {
    const size_t size = context_->store().size();
    outcomes.push_back(Decide(context_.get(), command));
    staged.push_back(context_->store().size() != size);
  }
  status = WriteGroup();
  if (status.ok()) {
    for (Conversation* conversation : context_->touched()) {
      if (!context_->feed().empty()) context_->feed().Committed(*conversation, conversation->appended());
      conversation->Settle();
    }
    context_->ClearTouched();
    context_->store().Clear();
    context_->Trim();
  } else {
    // Unknown whether any of it is there: whatever rests on it is forgotten, and the same again will tell.
    for (size_t i = 0; i < group.size(); ++i) {
      // A higher `pe` that refused it may be this group's own.
      const bool stale = outcomes[i].code == Code::kStaleDevice;
      if (stale || !StandsWithoutGroup(context_.get(), group[i], staged[i])) {
        outcomes[i] = Unavailable(status);
        outcomes[i].unknown = true;
      }
    }
    context_->counters = before;
    ++context_->counters.failures;
    failed_ = true;
    context_->DropCaches();
    (void)TryRecover(now_ms);
  }
  done(std::move(outcomes));
}

void EmbeddedLog::IssueTokens(std::string_view user, size_t count, int64_t now_ms, TokensDone done) {
  std::vector<std::string> tokens;
  if (!context_->has_tokens()) {
    return done(Status::Error(Code::kUnsupported, "this server has no message tokens"), std::move(tokens));
  }
  context_->AdvanceClock(now_ms);
  tokens.reserve(count);
  while (tokens.size() < count) tokens.push_back(context_->NewToken(user));
  done(Status::Ok(), std::move(tokens));
}

bool EmbeddedLog::Tend(int64_t now_ms) {
  (void)SweepWindow(now_ms, kSweptAtOnce);
  (void)SweepTokens(now_ms, kSweptAtOnce);
  const bool dropped = !failed_ && context_->feed().Sweep(kSweptAtOnce);
  return dropped || !window_from_.empty() || !tokens_from_.empty();
}

Feed* EmbeddedLog::feed() { return &context_->feed(); }

void EmbeddedLog::LowestGroupPosition(std::string_view conv, PositionDone done) {
  uint64_t seq = 0;
  Status status = Readable();
  if (status.ok()) status = context_->feed().LowestPosition(conv, &seq);
  done(std::move(status), seq);
}

int64_t EmbeddedLog::Retain(int64_t now_ms) {
  if (!context_->options().retention.removes()) return -1;
  if (failed_) return kRetryMs;  // the next Commit recovers
  context_->AdvanceClock(now_ms);
  int64_t again_ms = 0;
  if (retention_.Slice(&again_ms).ok()) return again_ms;
  failed_ = true;
  context_->DropCaches();
  return kRetryMs;
}

size_t EmbeddedLog::SweepWindow(int64_t now_ms, size_t max_keys) {
  const auto forgettable = [this](std::string_view value, int64_t at_ms) {
    WindowEntry entry;
    return WindowEntry::Decode(value, &entry) && entry.Expired(at_ms, context_->options().window_ms);
  };
  return Sweep(Space::kWindow, forgettable, now_ms, max_keys, &window_from_);
}

size_t EmbeddedLog::SweepTokens(int64_t now_ms, size_t max_keys) {
  const auto forgettable = [](std::string_view value, int64_t at_ms) {
    TokenClaim claim;
    return TokenClaim::Decode(value, &claim) && claim.Forgettable(at_ms);
  };
  return Sweep(Space::kTokens, forgettable, now_ms, max_keys, &tokens_from_);
}

size_t EmbeddedLog::Sweep(Space space, const Forgettable& forgettable, int64_t now_ms, size_t max_keys,
                          std::string* from) {
  NoticeFailure();
  if (failed_ || max_keys == 0) return 0;
  context_->AdvanceClock(now_ms);
  WriteBatch batch;
  size_t seen = 0;
  std::string last;
  Status status =
      context_->kv().Scan(space, *from, "", false, [&](std::string_view stored_key, std::string_view value) {
        if (forgettable(value, context_->now_ms())) batch.Remove(space, std::string(stored_key));
        last = stored_key;
        return ++seen < max_keys;
      });
  if (!status.ok()) return 0;
  if (!batch.empty() && !context_->kv().Write(batch, false).ok()) {
    failed_ = true;  // the next Commit recovers
    context_->DropCaches();
    return 0;
  }
  *from = seen < max_keys ? std::string() : last + '\0';
  return batch.operations().size();
}

}  // namespace everyonce
