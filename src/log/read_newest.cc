// Pages of what a device has not acked, newest first. Such pages ack ranges that are no prefix, of which a device has
// few; where they are used up the oldest hole is served, whose acks join what lies above it (semantics f-1).

#include <algorithm>
#include <utility>

#include "log/page_filler.h"
#include "log/read.h"

namespace everyonce {
namespace {

class NewestPager {
 public:
  NewestPager(Conversation* conversation, const PullQuery& query, PageBudget* budget, Page* page)
      : conversation_(*conversation),
        query_(query),
        page_(*page),
        filler_(*conversation, query.archived_bytes, budget, &page->items) {}

  Status Fill(bool always, bool* complete) {
    *complete = true;
    spans_ = conversation_.SpansOf(query_.user);
    limit_ = conversation_.VisibleHead(*spans_);
    Status status = conversation_.SettledUpTo(query_.user, query_.device, &settled_);
    DeviceMark* mark = nullptr;
    if (status.ok()) status = conversation_.FindDeviceMark(query_.user, query_.device, &mark);
    if (!status.ok() || limit_ == 0) return status;
    acked_ = &mark->acked;
    if (settled_ >= limit_) {
      if (!always) return status;
      page_.covers.push_back({conversation_.conv(), conversation_.epoch(), limit_, limit_});
      return Finish();
    }
    uint64_t below = 0;
    go_on_ = GoOnIn(conversation_, query_, &below);
    const uint64_t top = below == 0 ? limit_ : std::min(limit_, below - 1);
    if (!query_.hold && acked_->size() >= kMaxAckedRanges) {
      *complete = false;
      return OldestHole();
    }
    if (settled_ >= top) return status;
    return Downwards(top, complete);
  }

 private:
  Status Downwards(uint64_t top, bool* complete) {
    uint64_t seq = top;
    Status status;
    bool full = false;
    while (status.ok() && seq > settled_ && !full) {
      if (seq <= conversation_.floor()) {
        seq = std::max(PreviousUnacked(seq), settled_);
        if (seq <= settled_) break;
        if (!filler_.archived() || IsVisible(*spans_, seq)) {
          uint64_t from = settled_ + 1;
          if (filler_.archived()) from = StartOfWanted(*spans_, acked_, seq, from);
          full = !filler_.AddRemovedBelow(&from, seq);
          if (!full) seq = from - 1;
          continue;
        }
      }
      const uint64_t visible = PreviousVisible(*spans_, seq);
      if (visible < seq) {
        full = !filler_.AddHole(std::max(visible, settled_) + 1, seq);
        if (!full) seq = std::max(visible, settled_);
        continue;
      }
      const uint64_t unacked = PreviousUnacked(seq);
      if (unacked < seq) {
        seq = unacked;
        continue;
      }
      status = TakeRecord(seq, &full, [&](const LogRecord& record) {
        // A run of the device's own messages ends here: what is left of it is stepped over.
        seq = std::max(seq - std::min(seq, std::max<uint64_t>(record.run, 1)), conversation_.floor());
      });
      if (taken_) --seq;
    }
    if (!status.ok()) return status;
    *complete = seq <= settled_;
    const uint64_t from = std::max(seq, settled_) + 1;
    if (from > top) return status;
    page_.covers.push_back({conversation_.conv(), conversation_.epoch(), from, top});
    page_.position = {conversation_.conv(), conversation_.epoch(), from};
    return top == limit_ ? Finish() : status;
  }

  // The lowest that the device lacks, up to what it has above it; told newest first all the same. The walk goes on
  // where it stood.
  Status OldestHole() {
    uint64_t end = limit_;
    for (const AckedRanges::Range& range : *acked_) {
      if (range.from <= settled_ + 1) continue;
      end = std::min(end, range.from - 1);
      break;
    }
    const size_t first_item = page_.items.size();
    uint64_t seq = settled_ + 1;
    Status status;
    bool full = false;
    while (status.ok() && seq <= end && !full) {
      if (seq <= conversation_.floor() && (!filler_.archived() || IsVisible(*spans_, seq))) {
        uint64_t to = std::min(conversation_.floor(), end);
        if (filler_.archived()) to = EndOfWanted(*spans_, acked_, seq, to);
        full = !filler_.AddRemoved(seq, &to);
        if (!full) seq = to + 1;
        continue;
      }
      const uint64_t visible = std::min(NextVisible(*spans_, seq), end + 1);
      if (visible > seq) {
        full = !filler_.AddHole(seq, visible - 1);
        if (!full) seq = visible;
        continue;
      }
      bool own = false;
      status = TakeRecord(seq, &full, [&](const LogRecord&) { own = true; });
      if (!status.ok() || full) break;
      uint64_t own_end = seq;
      if (own) status = conversation_.EndOfOwnRun(query_.user, query_.device, seq, end, &own_end);
      seq = own_end + 1;
    }
    if (!status.ok() || seq == settled_ + 1) return status;
    std::reverse(page_.items.begin() + static_cast<long>(first_item), page_.items.end());
    page_.covers.push_back({conversation_.conv(), conversation_.epoch(), settled_ + 1, seq - 1});
    page_.position = go_on_ ? *query_.go_on : Position{conversation_.conv(), conversation_.epoch(), 0};
    return status;
  }

  // Adds the record at `seq`, or calls `own` with it where it is the device's own. taken_: it was added.
  template <typename Own>
  Status TakeRecord(uint64_t seq, bool* full, Own own) {
    std::string storage;
    LogRecord record;
    bool found = false;
    taken_ = false;
    Status status = conversation_.ReadLog(seq, &storage, &record, &found);
    if (!status.ok()) return status;
    if (!found) {
      return Status::Error(Code::kStoreCorrupt, conversation_.conv() + ": a hole at seq " + std::to_string(seq));
    }
    if (record.from == query_.user && record.device == query_.device) {
      own(record);
      return status;
    }
    taken_ = filler_.AddMessage(seq, record);
    *full = !taken_;
    return status;
  }

  // The highest seq ≤ `seq` that is not acked; 0: none.
  uint64_t PreviousUnacked(uint64_t seq) const {
    for (const AckedRanges::Range& range : *acked_) {
      if (seq >= range.from && seq <= range.to) return range.from - 1;
    }
    return seq;
  }

  Status Finish() {
    page_.finished.emplace_back();
    return ViewOf(&conversation_, query_.user, query_.device, &page_.finished.back());
  }

  Conversation& conversation_;
  const PullQuery& query_;
  Page& page_;
  PageFiller filler_;
  const VisibleSpans* spans_ = nullptr;
  const AckedRanges* acked_ = nullptr;
  uint64_t settled_ = 0;
  uint64_t limit_ = 0;
  bool go_on_ = false;
  bool taken_ = false;
};

}  // namespace

bool GoOnIn(const Conversation& conversation, const PullQuery& query, uint64_t* seq) {
  if (!query.go_on || query.go_on->conv != conversation.conv()) return false;
  uint64_t keep = 0;
  if (!conversation.epochs().KeepOf(query.go_on->epoch, conversation.head(), &keep)) return false;
  // Newest first goes on below: what came in place of what was lost lies above.
  *seq = std::min(query.go_on->seq, query.newest_first ? keep + 1 : keep);
  return true;
}

Status FillNewest(Conversation* conversation, const PullQuery& query, bool always, PageBudget* budget, Page* page,
                  bool* complete) {
  return NewestPager(conversation, query, budget, page).Fill(always, complete);
}

}  // namespace everyonce
