#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/stream_reorder.h"

namespace everyonce {

// Where to show what arrives in any order: the articles' receiver rule, "newer than all: at the end; else behind the
// largest smaller one", with the case that the articles leave out, the one that is there already. Numbers need not be
// dense. Kept are ranges of numbers without a hole, 24 bytes each, in blocks, so that an insertion moves a hundred
// ranges at most.
class SeqIndex {
 public:
  enum class Verdict : uint8_t { kInserted, kKnown, kFull };

  // `max_ranges`: how many runs of numbers it may hold.
  explicit SeqIndex(size_t max_ranges) : max_ranges_(max_ranges) {}

  // Takes `seq` and says how many smaller ones were taken before: its place. kKnown: it is there, or in a hole. kFull:
  // there are max_ranges runs, and it would be another.
  Verdict Insert(uint64_t seq, uint64_t* index);

  // Nothing new will come in [from, to]: its runs become one. What is inserted there later is kKnown.
  void Close(uint64_t from, uint64_t to);

  // The lowest `most` gaps between what is known.
  std::vector<SeqRange> Gaps(size_t most) const;
  bool has_gap() const { return ranges_ > 1; }

  uint64_t size() const { return size_; }
  size_t ranges() const { return ranges_; }

 private:
  static constexpr size_t kMaxBlock = 128;
  static constexpr ptrdiff_t kNear = 16;  // ranges from the end that are looked at in turn

  struct Range {
    uint64_t from = 0;
    uint64_t to = 0;
    uint64_t count = 0;  // how many of them were inserted; the others are holes
  };
  struct Block {
    std::vector<Range> ranges;  // never empty
    uint64_t count = 0;
  };
  // The last range that begins at or below a number: `block` and `range` are indexes; none: range is -1 of block 0.
  struct Place {
    size_t block = 0;
    ptrdiff_t range = -1;
  };

  Place Find(uint64_t seq) const;
  uint64_t CountUpTo(const Place& place) const;
  Range* Next(const Place& place, Place* next);
  void Erase(const Place& place);
  void Add(const Place& behind, Range range);
  void Split(size_t block);

  size_t max_ranges_;
  std::vector<std::unique_ptr<Block>> blocks_;
  size_t ranges_ = 0;
  uint64_t size_ = 0;
};

}  // namespace everyonce
