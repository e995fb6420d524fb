#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/pager.h"
#include "log/read.h"

namespace everyonce {

// Why a hole is one.
inline constexpr char kNotVisible[] = "not_visible";
inline constexpr char kExpired[] = "expired";

// Puts items of one conversation into a page, as far as its budget goes.
class PageFiller {
 public:
  PageFiller(const Conversation& conversation, PageBudget* budget, std::vector<PageItem>* items)
      : conversation_(conversation), budget_(*budget), items_(*items) {}

  // What the user may not see, or retention has removed. False: no room, nothing added.
  bool AddHole(uint64_t from, uint64_t to, const char* reason = kNotVisible) {
    if (!Take(PageBytes(conversation_.conv().size(), 0))) return false;
    PageItem item;
    item.hole = {.span = {conversation_.conv(), conversation_.epoch(), from, to}, .reason = reason};
    items_.push_back(std::move(item));
    return true;
  }

  bool AddMessage(uint64_t seq, const LogRecord& record) {
    if (!Take(PageBytesOf(conversation_, record))) return false;
    items_.push_back({.message = MessageOf(conversation_, seq, record), .hole = {}});
    return true;
  }

 private:
  bool Take(size_t bytes) {
    if (!budget_.Fits(bytes)) return false;
    budget_.Take(bytes);
    return true;
  }

  const Conversation& conversation_;
  PageBudget& budget_;
  std::vector<PageItem>& items_;
};

}  // namespace everyonce
