#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/pager.h"
#include "log/read.h"

namespace everyonce {

// Why a hole is one.
inline constexpr char kNotVisible[] = "not_visible";
inline constexpr char kExpired[] = "expired";

// Of a stretch that is visible and not acked (null: whatever was acked), how far it goes from `seq`, up or down.
// REQUIRES: `seq` is both.
inline uint64_t EndOfWanted(const VisibleSpans& spans, const AckedRanges* acked, uint64_t seq, uint64_t limit) {
  for (const VisibleSpan& span : spans) {
    if (seq >= span.from && seq <= span.to) limit = std::min(limit, span.to);
  }
  if (acked == nullptr) return limit;
  for (const AckedRanges::Range& range : *acked) {
    if (range.from > seq) return std::min(limit, range.from - 1);
  }
  return limit;
}
inline uint64_t StartOfWanted(const VisibleSpans& spans, const AckedRanges* acked, uint64_t seq, uint64_t lowest) {
  for (const VisibleSpan& span : spans) {
    if (seq >= span.from && seq <= span.to) lowest = std::max(lowest, span.from);
  }
  if (acked == nullptr) return lowest;
  for (const AckedRanges::Range& range : *acked) {
    if (range.to < seq) lowest = std::max(lowest, range.to + 1);
  }
  return lowest;
}

// Puts items of one conversation into a page, as far as its budget goes.
class PageFiller {
 public:
  PageFiller(const Conversation& conversation, size_t archived_bytes, PageBudget* budget, std::vector<PageItem>* items)
      : conversation_(conversation), archived_bytes_(archived_bytes), budget_(*budget), items_(*items) {}

  // Holes of what was removed are to be filled in (PullQuery::archived_bytes).
  bool archived() const { return archived_bytes_ > 0; }

  // What the user may not see, or retention has removed. False: no room, nothing added.
  bool AddHole(uint64_t from, uint64_t to, const char* reason = kNotVisible) {
    if (!Take(PageBytes(conversation_.conv().size(), 0))) return false;
    PageItem item;
    item.hole = {.span = {conversation_.conv(), conversation_.epoch(), from, to}, .reason = reason};
    items_.push_back(std::move(item));
    return true;
  }

  // What retention has removed. With an archive as much of it as has room: lowers *to, or raises *from.
  bool AddRemoved(uint64_t from, uint64_t* to) {
    if (archived()) *to = std::min(*to, from + std::max(Room(), 1u) - 1);
    return AddRemovedAll(from, *to);
  }
  bool AddRemovedBelow(uint64_t* from, uint64_t to) {
    const uint64_t room = std::max(Room(), 1u);
    if (archived() && to - *from >= room) *from = to - room + 1;
    return AddRemovedAll(*from, to);
  }

  bool AddMessage(uint64_t seq, const LogRecord& record) {
    if (!Take(PageBytesOf(conversation_, record))) return false;
    items_.push_back({.message = MessageOf(conversation_, seq, record), .hole = {}});
    return true;
  }

 private:
  uint32_t Room() const { return budget_.Room(archived_bytes_ + conversation_.conv().size()); }
  bool AddRemovedAll(uint64_t from, uint64_t to) {
    if (!archived()) return AddHole(from, to, kExpired);
    const size_t bytes = archived_bytes_ + conversation_.conv().size();
    if (!budget_.Fits(bytes)) return false;
    // One is the hole's own.
    for (uint64_t seq = from; seq < to; ++seq) budget_.Take(bytes);
    return AddHole(from, to, kExpired);
  }
  bool Take(size_t bytes) {
    if (!budget_.Fits(bytes)) return false;
    budget_.Take(bytes);
    return true;
  }

  const Conversation& conversation_;
  size_t archived_bytes_;
  PageBudget& budget_;
  std::vector<PageItem>& items_;
};

}  // namespace everyonce
