// Reading back: what a user may see, whatever was acked, from one end or the other. Each message is a look-up of its
// own, so a page costs the page.

#include <algorithm>
#include <utility>

#include "log/page_filler.h"
#include "log/read.h"

namespace everyonce {
namespace {

// What the application itself may see.
const VisibleSpans& EverySeq() {
  static const VisibleSpans every(1);
  return every;
}

class HistoryReader {
 public:
  HistoryReader(Conversation* conversation, const HistoryQuery& query, HistoryPage* page)
      : conversation_(*conversation),
        spans_(query.user.empty() ? EverySeq() : *conversation->SpansOf(query.user)),
        budget_(query.limit, query.max_bytes),
        page_(*page),
        filler_(*conversation, query.archived_bytes, &budget_, &page->items) {
    lowest_ = std::max<uint64_t>(query.after.value_or(0) + 1, NextVisible(spans_, 1));
    highest_ = conversation->VisibleHead(spans_);
    if (query.before) highest_ = *query.before == 0 ? 0 : std::min(highest_, *query.before - 1);
  }

  Status Upwards() {
    uint64_t seq = lowest_;
    while (seq <= highest_) {
      const uint64_t removed_to = std::min(conversation_.floor(), highest_);
      const uint64_t visible = NextVisible(spans_, seq);
      uint64_t next = seq + 1;
      bool added = false;
      Status status;
      if (seq <= removed_to && (visible == seq || !filler_.archived())) {
        uint64_t to = filler_.archived() ? EndOfWanted(spans_, nullptr, seq, removed_to) : removed_to;
        added = filler_.AddRemoved(seq, &to);
        next = to + 1;
      } else if (visible > seq) {
        added = filler_.AddHole(seq, std::min(visible - 1, highest_));
        next = visible;
      } else {
        status = AddMessage(seq, &added);
      }
      if (!status.ok()) return status;
      if (!added) break;
      seq = next;
    }
    page_.more = seq <= highest_;
    return Status::Ok();
  }

  Status Downwards() {
    uint64_t seq = highest_;
    while (seq >= lowest_ && seq > 0) {
      const uint64_t visible = PreviousVisible(spans_, seq);
      uint64_t next = seq - 1;
      bool added = false;
      Status status;
      const bool archived = filler_.archived();
      if (seq <= conversation_.floor() && (visible == seq || !archived)) {
        uint64_t from = archived ? StartOfWanted(spans_, nullptr, seq, lowest_) : lowest_;
        added = filler_.AddRemovedBelow(&from, seq);
        next = from - 1;
      } else if (visible < seq) {
        const uint64_t below = std::max(visible, archived ? lowest_ - 1 : conversation_.floor());
        added = filler_.AddHole(std::max(below, lowest_ - 1) + 1, seq);
        next = below;
      } else {
        status = AddMessage(seq, &added);
      }
      if (!status.ok()) return status;
      if (!added) break;
      seq = next;
    }
    page_.more = seq >= lowest_ && seq > 0;
    std::reverse(page_.items.begin(), page_.items.end());
    return Status::Ok();
  }

 private:
  Status AddMessage(uint64_t seq, bool* added) {
    std::string storage;
    LogRecord record;
    bool found = false;
    Status status = conversation_.ReadLog(seq, &storage, &record, &found);
    if (!status.ok()) return status;
    if (!found) {
      return Status::Error(Code::kStoreCorrupt, conversation_.conv() + ": a hole at seq " + std::to_string(seq));
    }
    *added = filler_.AddMessage(seq, record);
    return status;
  }

  Conversation& conversation_;
  const VisibleSpans& spans_;
  PageBudget budget_;
  HistoryPage& page_;
  PageFiller filler_;
  uint64_t lowest_ = 0;  // what is asked for
  uint64_t highest_ = 0;
};

}  // namespace

Status ReadHistory(LogContext* context, const HistoryQuery& query, HistoryPage* page) {
  Conversation* conversation = nullptr;
  Status status = query.user.empty() ? context->Find(query.conv, &conversation)
                                     : context->FindFor(query.user, query.conv, &conversation);
  if (!status.ok()) return status;
  if (conversation == nullptr) {
    return Status::Error(Code::kUnknownConv, "no such conversation, or you are not in it");
  }
  HistoryReader reader(conversation, query, page);
  return query.after ? reader.Upwards() : reader.Downwards();
}

}  // namespace everyonce
