// Pages of what a device has not acked, oldest first. A page costs the page: own messages are stepped over by their
// runs, acked ranges and what is not visible without looking at the log.

#include <algorithm>
#include <utility>

#include "log/page_filler.h"
#include "log/read.h"

namespace everyonce {
namespace {

constexpr size_t kIndexChunk = 256;
// Own messages in a row that one scan reads over before their run's end is looked up instead.
constexpr uint64_t kScanOverOwn = 16;

// Fills a page with one conversation, from the lowest seq that the device still needs.
class ConversationPager {
 public:
  ConversationPager(Conversation* conversation, const PullQuery& query, PageBudget* budget, Page* page)
      : conversation_(*conversation),
        query_(query),
        page_(*page),
        filler_(*conversation, query.archived_bytes, budget, &page->items) {}

  // As FillNewest.
  Status Fill(bool always, bool* complete) {
    *complete = true;
    spans_ = conversation_.SpansOf(query_.user);
    limit_ = conversation_.VisibleHead(*spans_);
    uint64_t settled = 0;
    Status status = conversation_.SettledUpTo(query_.user, query_.device, &settled);
    DeviceMark* mark = nullptr;
    if (status.ok()) status = conversation_.FindDeviceMark(query_.user, query_.device, &mark);
    if (!status.ok() || limit_ == 0) return status;
    acked_ = &mark->acked;
    const bool nothing_left = settled >= limit_;
    if (nothing_left && !always) return status;
    uint64_t behind = 0;
    const bool ahead = GoOnIn(conversation_, query_, &behind) && behind > settled;
    if (ahead && behind >= limit_ && !nothing_left) return status;
    const uint64_t first = nothing_left ? limit_ : std::max(settled, behind) + 1;
    next_ = nothing_left ? limit_ + 1 : first;
    while (status.ok() && next_ <= limit_ && !full_) status = Step();
    if (!status.ok()) return status;
    const uint64_t covered = std::min(next_ - 1, limit_);
    if (covered >= first) {
      page_.covers.push_back({conversation_.conv(), conversation_.epoch(), first, covered});
      page_.position = {conversation_.conv(), conversation_.epoch(), covered};
    }
    *complete = covered == limit_;
    if (covered < limit_) return status;
    page_.finished.emplace_back();
    return ViewOf(&conversation_, query_.user, query_.device, &page_.finished.back());
  }

 private:
  // Goes over one stretch from next_ on: acked, removed, not visible, or records.
  Status Step() {
    const uint64_t unacked = acked_->NextUnacked(next_);
    if (unacked > next_) {
      next_ = unacked;
      return Status::Ok();
    }
    if (next_ <= conversation_.floor() && (!filler_.archived() || IsVisible(*spans_, next_))) {
      // One hole, whatever else was acked or not visible within it; with an archive, nothing that was.
      uint64_t to = std::min(conversation_.floor(), limit_);
      if (filler_.archived()) to = EndOfWanted(*spans_, acked_, next_, to);
      full_ = !filler_.AddRemoved(next_, &to);
      if (!full_) next_ = to + 1;
      return Status::Ok();
    }
    const uint64_t visible = std::min(NextVisible(*spans_, next_), limit_ + 1);
    if (visible > next_) {
      full_ = !filler_.AddHole(next_, visible - 1);
      if (!full_) next_ = visible;
      return Status::Ok();
    }
    uint64_t end = limit_;
    for (const VisibleSpan& span : *spans_) {
      if (next_ >= span.from && next_ <= span.to) end = std::min(end, span.to);
    }
    for (const AckedRanges::Range& range : *acked_) {
      if (range.from > next_) {
        end = std::min(end, range.from - 1);
        break;
      }
    }
    return AddRecords(end);
  }

  // Visible, unacked records up to `end`, the device's own left out.
  Status AddRecords(uint64_t end) {
    Status inner;
    uint64_t own_in_a_row = 0;
    const uint64_t from = next_;
    Status status = conversation_.ScanLog(next_, end, [&](uint64_t seq, std::string_view value) {
      LogRecord record;
      if (seq != next_ || !DecodeLogRecord(value, &record)) {
        inner = Status::Error(Code::kStoreCorrupt, conversation_.conv() + ": a hole at seq " + std::to_string(next_));
        return false;
      }
      if (record.from == query_.user && record.device == query_.device) {
        next_ = seq + 1;
        return ++own_in_a_row < kScanOverOwn;
      }
      own_in_a_row = 0;
      full_ = !filler_.AddMessage(seq, record);
      if (!full_) next_ = seq + 1;
      return !full_;
    });
    if (!status.ok() || !inner.ok()) return status.ok() ? inner : status;
    if (next_ == from && !full_) {
      return Status::Error(Code::kStoreCorrupt, conversation_.conv() + ": a hole at seq " + std::to_string(next_));
    }
    if (own_in_a_row < kScanOverOwn || next_ > end) return status;
    uint64_t own_end = 0;
    status = conversation_.EndOfOwnRun(query_.user, query_.device, next_, end, &own_end);
    next_ = own_end + 1;
    return status;
  }

  Conversation& conversation_;
  const PullQuery& query_;
  Page& page_;
  PageFiller filler_;
  const VisibleSpans* spans_ = nullptr;
  const AckedRanges* acked_ = nullptr;
  uint64_t limit_ = 0;
  uint64_t next_ = 0;
  bool full_ = false;
};

Status FillPage(Conversation* conversation, const PullQuery& query, bool always, PageBudget* budget, Page* page,
                bool* complete) {
  if (query.newest_first) return FillNewest(conversation, query, always, budget, page, complete);
  return ConversationPager(conversation, query, budget, page).Fill(always, complete);
}

// One conversation after the other, from behind `after` to `until` (empty: to the end).
Status ReadRound(LogContext* context, const PullQuery& query, std::string after, const std::string& until,
                 PageBudget* budget, Page* page) {
  std::vector<std::string> convs;
  do {
    Status status = context->ConversationsOf(query.user, after, kIndexChunk, &convs);
    if (!status.ok()) return status;
    for (const std::string& conv : convs) {
      if (!until.empty() && conv > until) return status;
      if (budget->full() || page->covers.size() >= query.max_spans) return status;
      after = conv;
      Conversation* conversation = nullptr;
      status = context->FindFor(query.user, conv, &conversation);
      if (!status.ok()) return status;
      if (conversation == nullptr) continue;
      bool complete = false;
      status = FillPage(conversation, query, false, budget, page, &complete);
      if (!status.ok() || !complete) return status;
    }
    context->Trim();
  } while (convs.size() == kIndexChunk);
  return Status::Ok();
}

// A walk over all conversations goes on where it stood: the rest of that conversation, then those behind it.
Status GoOnReading(LogContext* context, const PullQuery& query, PageBudget* budget, Page* page) {
  Conversation* conversation = nullptr;
  Status status = context->FindFor(query.user, query.go_on->conv, &conversation);
  if (!status.ok()) return status;
  bool complete = true;
  if (conversation != nullptr) status = FillPage(conversation, query, false, budget, page, &complete);
  if (!status.ok() || !complete) return status;
  return ReadRound(context, query, query.go_on->conv, "", budget, page);
}

}  // namespace

Message MessageOf(const Conversation& conversation, uint64_t seq, const LogRecord& record) {
  return {.conv = conversation.conv(),
          .epoch = conversation.epoch(),  // positions are told in the current history
          .seq = seq,
          .mid = record.mid,
          .from = std::string(record.from),
          .device = std::string(record.device),
          .n = record.n,
          .id = std::string(record.id),
          .type = std::string(record.type),
          .body = std::string(record.body),
          .at_ms = record.at_ms};
}

size_t PageBytesOf(const Conversation& conversation, const LogRecord& record) {
  const size_t texts =
      conversation.conv().size() + record.from.size() + record.device.size() + record.id.size() + record.type.size();
  return PageBytes(texts, record.body.size());
}

Status ReadPage(LogContext* context, const PullQuery& query, Page* page) {
  PageBudget budget(query.limit, query.max_bytes);
  if (!query.conv.empty()) {
    Conversation* conversation = nullptr;
    Status status = context->FindFor(query.user, query.conv, &conversation);
    if (!status.ok()) return status;
    if (conversation == nullptr) {
      return Status::Error(Code::kUnknownConv, "no such conversation, or you are not in it");
    }
    bool complete = false;
    return FillPage(conversation, query, true, &budget, page, &complete);
  }
  if (query.go_on) return GoOnReading(context, query, &budget, page);
  Status status = ReadRound(context, query, query.after_conv, "", &budget, page);
  if (!status.ok() || query.after_conv.empty()) return status;
  if (!page->covers.empty()) return status;
  return ReadRound(context, query, "", query.after_conv, &budget, page);
}

}  // namespace everyonce
