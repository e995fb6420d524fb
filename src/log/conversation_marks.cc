// What a user or a device has in a Conversation: visibility, counts, acks.

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "log/conversation.h"

namespace everyonce {

uint64_t NextVisible(const VisibleSpans& spans, uint64_t seq) {
  for (const VisibleSpan& span : spans) {
    if (seq <= span.to) return std::max(seq, span.from);
  }
  return kMaxInteger + 1;
}

uint64_t PreviousVisible(const VisibleSpans& spans, uint64_t seq) {
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    if (seq >= span->from) return std::min(seq, span->to);
  }
  return 0;
}

bool IsVisible(const VisibleSpans& spans, uint64_t seq) { return NextVisible(spans, seq) == seq; }

const VisibleSpans* Conversation::SpansOf(std::string_view user) const {
  if (direct_) {
    const DirectUsers users = UsersOfDirect(conv_);
    return user == users.first || user == users.second ? &all_ : nullptr;
  }
  const auto spans = spans_.find(user);
  return spans == spans_.end() || spans->second.empty() ? nullptr : &spans->second;
}

bool Conversation::IsMember(std::string_view user) const {
  const VisibleSpans* spans = SpansOf(user);
  return spans != nullptr && spans->back().open();
}

uint64_t Conversation::VisibleHead(const VisibleSpans& spans) const { return std::min(spans.back().to, head_); }

Status Conversation::ReadLog(uint64_t seq, std::string* storage, LogRecord* record, bool* found) {
  *found = false;
  if (seq <= record_.floor || seq > head_) return Status::Ok();
  if (!pending_.empty() && seq >= pending_from_) {
    storage->assign(store_->StagedValue(pending_[seq - pending_from_]));
    *found = true;
  } else {
    Status status = store_->kv()->Get(Space::kLog, key::Log(conv_, seq), storage, found);
    if (!status.ok() || !*found) return status;
  }
  return DecodeLogRecord(*storage, record) ? Status::Ok() : Corrupt("no log record", seq);
}

Status Conversation::ReadAnswer(std::string_view user, std::string_view device, uint64_t n, uint64_t seq,
                                KeptAnswer* answer, bool* found) {
  std::string value;
  *found = false;
  if (seq <= record_.floor) {
    Status status = store_->Get(Space::kProducers, key::Answer(conv_, user, device, n, seq), &value, found);
    if (!status.ok() || !*found) return status;
    return KeptAnswer::Decode(value, answer) ? status : Corrupt("no kept answer", seq);
  }
  LogRecord record;
  Status status = ReadLog(seq, &value, &record, found);
  if (status.ok() && *found) *answer = {record.mid, record.at_ms, std::string(record.id)};
  return status;
}

Status Conversation::ScanLog(uint64_t from, uint64_t to,
                             const std::function<bool(uint64_t seq, std::string_view value)>& visit) {
  return store_->kv()->Scan(
      Space::kLog, key::Log(conv_, from), key::Log(conv_, to + 1), false,
      [&](std::string_view log_key, std::string_view value) { return visit(key::NumberAtEnd(log_key), value); });
}

Status Conversation::SystemCountAt(uint64_t seq, uint64_t* count) {
  *count = seq == 0 ? 0 : system_count_;
  if (seq == 0 || seq >= head_) return Status::Ok();
  if (seq <= record_.floor) {
    *count = record_.floor_system_count;  // below it, too: nobody counts from there any more
    return Status::Ok();
  }
  std::string storage;
  LogRecord record;
  bool found = false;
  Status status = ReadLog(seq, &storage, &record, &found);
  if (!status.ok()) return status;
  if (!found) return Corrupt("a hole in the log", seq);
  *count = record.system_count;
  return status;
}

Status Conversation::OwnCountAt(std::string_view user, uint64_t seq, uint64_t* count) {
  OwnState* own = nullptr;
  *count = 0;
  Status status = FindOwn(user, &own);
  if (!status.ok()) return status;
  const OwnRecord& record = own->record;
  if (record.total == 0 || seq == 0) return status;
  if (!record.recent.empty() && seq >= record.recent.front()) {
    const auto above = std::upper_bound(record.recent.begin(), record.recent.end(), seq);
    *count = record.total - static_cast<uint64_t>(record.recent.end() - above);
    return status;
  }
  std::string block_key;
  std::string value;
  bool found = false;
  status = store_->GetLast(Space::kConversations, key::OwnBlock(conv_, user, 0), key::OwnBlock(conv_, user, seq + 1),
                           &block_key, &value, &found);
  if (!status.ok() || !found) return status;
  uint64_t before = 0;
  std::vector<uint64_t> seqs;
  if (!DecodeOwnBlock(value, &before, &seqs)) return Corrupt("no block of a sender", seq);
  *count = before + static_cast<uint64_t>(std::upper_bound(seqs.begin(), seqs.end(), seq) - seqs.begin());
  return status;
}

Status Conversation::FindOwn(std::string_view user, OwnState** state) {
  uint64_t as_of_seq = 0;
  return LoadOwn(user, state, &as_of_seq);
}

Status Conversation::Unread(std::string_view user, uint64_t* unread) {
  *unread = 0;
  const VisibleSpans* spans = SpansOf(user);
  if (spans == nullptr || head_ == 0) return Status::Ok();
  ReadRecord* mark = nullptr;
  OwnState* own = nullptr;
  Status status = FindReadMark(user, &mark);
  if (status.ok()) status = FindOwn(user, &own);
  if (!status.ok()) return status;
  // What was removed is not there to be read.
  uint64_t start = mark->seq;
  uint64_t start_system = mark->system_count;
  uint64_t start_own = mark->own_count;
  if (record_.floor > start) {
    start = record_.floor;
    start_system = record_.floor_system_count;
    if (own->floor != start) {
      status = OwnCountAt(user, start, &own->floor_count);
      if (!status.ok()) return status;
      own->floor = start;
    }
    start_own = own->floor_count;
  }
  uint64_t count = 0;
  for (const VisibleSpan& span : *spans) {
    const uint64_t below = std::max(start, span.from - 1);
    const uint64_t end = std::min(span.to, head_);
    if (end <= below) continue;
    const uint64_t system_below = start > span.from - 1 ? start_system : span.system_before;
    const uint64_t system_end = span.open() ? system_count_ : span.system_at_end;
    count += (end - below) - (system_end - system_below);
  }
  // A user sends only while a member, so every message of the user's own lies in one of the spans.
  *unread = count - (own->record.total - start_own);
  return status;
}

Status Conversation::EndOfOwnRun(std::string_view user, std::string_view device, uint64_t seq, uint64_t limit,
                                 uint64_t* end) {
  *end = seq - 1;
  limit = std::min(limit, head_);
  if (seq > limit) return Status::Ok();
  if (last_from_ == user && last_device_ == device && run_ >= head_ - seq + 1) {
    *end = limit;
    return Status::Ok();
  }
  // Doubling steps: a record ahead whose run reaches back to `seq` settles all between.
  std::string storage;
  for (uint64_t step = 0; seq + step <= limit; step = step * 2 + 1) {
    LogRecord record;
    bool found = false;
    Status status = ReadLog(seq + step, &storage, &record, &found);
    if (!status.ok()) return status;
    if (!found || !BelongsTo(record, user, device) || record.run < step + 1) break;
    *end = seq + step;
  }
  return Status::Ok();
}

Status Conversation::SettledUpTo(std::string_view user, std::string_view device, uint64_t* settled) {
  *settled = 0;
  const VisibleSpans* spans = SpansOf(user);
  if (spans == nullptr || head_ == 0) return Status::Ok();
  DeviceMark* mark = nullptr;
  Status status = FindDeviceMark(user, device, &mark);
  if (!status.ok()) return status;
  const uint64_t limit = VisibleHead(*spans);
  while (mark->effective < limit) {
    const uint64_t seq = mark->effective + 1;
    uint64_t to = std::max(NextVisible(*spans, seq), mark->acked.NextUnacked(seq)) - 1;
    if (to < seq) {
      if (mark->blocked_at == seq) break;
      status = EndOfOwnRun(user, device, seq, limit, &to);
      if (!status.ok()) return status;
    }
    if (to < seq) {
      mark->blocked_at = seq;
      break;
    }
    mark->effective = std::min(to, limit);
  }
  *settled = mark->effective;
  return status;
}

Status Conversation::PeekSettled(std::string_view user, std::string_view device, uint64_t* settled) {
  const Pair pair{user, device};
  const bool known = marks_.contains(pair);
  Status status = SettledUpTo(user, device, settled);
  if (!known) marks_.erase(pair);
  return status;
}

Status Conversation::KeepSettled(std::string_view user, std::string_view device, uint64_t to) {
  uint64_t settled = 0;
  DeviceMark* mark = nullptr;
  Status status = SettledUpTo(user, device, &settled);
  if (status.ok()) status = FindDeviceMark(user, device, &mark);
  to = std::min(to, settled);
  if (!status.ok() || to <= mark->acked.Prefix()) return status;
  (void)mark->acked.Add(1, to);  // what begins at 1 always fits
  store_->Put(Space::kMarks, key::Got(user, device, conv_), GotRecord{epoch(), mark->acked}.Encode());
  return status;
}

Status Conversation::AllSettled(std::string_view user, std::string_view device, const VisibleSpans& spans,
                                uint64_t from, uint64_t to, bool* settled) {
  *settled = false;
  std::string storage;
  while (to >= from) {
    const uint64_t visible = PreviousVisible(spans, to);
    if (visible < to) {
      to = visible;
      continue;
    }
    LogRecord record;
    bool found = false;
    Status status = ReadLog(to, &storage, &record, &found);
    if (!status.ok()) return status;
    if (!found || !BelongsTo(record, user, device)) return Status::Ok();
    to = std::max(to - std::min(to, std::max<uint64_t>(record.run, 1)), record_.floor);
  }
  *settled = true;
  return Status::Ok();
}

Status Conversation::Ack(std::string_view user, std::string_view device, uint64_t from, uint64_t to, bool* fits) {
  *fits = true;
  const VisibleSpans* spans = SpansOf(user);
  if (spans == nullptr || head_ == 0) return Status::Ok();
  to = std::min(to, VisibleHead(*spans));
  uint64_t settled = 0;
  Status status = SettledUpTo(user, device, &settled);
  if (!status.ok()) return status;
  DeviceMark* mark = nullptr;
  status = FindDeviceMark(user, device, &mark);
  if (!status.ok()) return status;
  if (from <= settled + 1) from = 1;
  if (to < from || (from == 1 && to <= settled) || mark->acked.NextUnacked(from) > to) return status;
  // What lies between this range and its neighbours may need no ack; then they are one range.
  uint64_t below = 0;
  uint64_t above = 0;
  for (const AckedRanges::Range& range : mark->acked) {
    if (range.to < from) below = range.to;
    if (range.from > to && above == 0) above = range.from;
  }
  bool joined = false;
  if (below + 1 < from && from > 1) {
    status = AllSettled(user, device, *spans, below + 1, from - 1, &joined);
    if (!status.ok()) return status;
    if (joined) from = below + 1;
  }
  if (above > to + 1) {
    status = AllSettled(user, device, *spans, to + 1, above - 1, &joined);
    if (!status.ok()) return status;
    if (joined) to = above - 1;
  }
  *fits = mark->acked.Add(from, to);
  if (!*fits) return status;
  store_->Put(Space::kMarks, key::Got(user, device, conv_), GotRecord{epoch(), mark->acked}.Encode());
  return status;
}

void Conversation::StageReadMark(std::string_view user, const ReadRecord& mark) {
  reads_.insert_or_assign(std::string(user), mark);
  store_->Put(Space::kMarks, key::Read(user, conv_), mark.Encode());
}

}  // namespace everyonce
