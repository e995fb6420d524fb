#pragma once

#include <cstddef>
#include <cstdint>

namespace everyonce {

// The room of one page: items and bytes, and always at least one item, however large (semantics f-12). Pure.
class PageBudget {
 public:
  PageBudget(uint32_t items, size_t bytes) : items_left_(items == 0 ? 1 : items), bytes_left_(bytes) {}

  // Whether an item of `bytes` still goes in.
  bool Fits(size_t bytes) const { return items_left_ > 0 && (empty_ || bytes <= bytes_left_); }

  // REQUIRES: Fits(bytes).
  void Take(size_t bytes);

  // How many items of `bytes` each go in. At least one where the page is empty.
  uint32_t Room(size_t bytes) const {
    const uint64_t by_bytes = bytes_left_ / (bytes == 0 ? 1 : bytes);
    const uint32_t room = by_bytes < items_left_ ? static_cast<uint32_t>(by_bytes) : items_left_;
    return room == 0 && Fits(bytes) ? 1 : room;
  }

  bool full() const { return items_left_ == 0; }
  bool empty() const { return empty_; }

 private:
  uint32_t items_left_;
  size_t bytes_left_;
  bool empty_ = true;
};

// A bound on the frame bytes of one message in a page: its texts and the keys and numbers around them.
inline size_t PageBytes(size_t texts, size_t body) {
  constexpr size_t kKeysAndNumbers = 192;
  return kKeysAndNumbers + texts + body;
}

}  // namespace everyonce
