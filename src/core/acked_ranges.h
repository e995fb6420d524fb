#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"

namespace everyonce {

// Which seqs of one conversation a device has acked: closed ranges, sorted, disjoint and never touching (semantics
// f-1). One number could only describe a prefix, and newest-first paging produces what is none. At most kMaxAckedRanges
// ranges: an ack that would need more is refused, never forgotten in silence. What begins at 1 always fits, as one more
// where need be: otherwise a full set could never shrink from below. Value type; holds little more than 1 KiB.
class AckedRanges {
 public:
  struct Range {
    uint64_t from = 0;
    uint64_t to = 0;
    bool operator==(const Range&) const = default;
  };

  // Adds from..to, merging what overlaps or touches. False, and nothing changed, where the result would have more than
  // kMaxAckedRanges ranges (and from is not 1), or where from..to is no range of seqs (1 ≤ from ≤ to ≤ kMaxInteger).
  [[nodiscard]] bool Add(uint64_t from, uint64_t to);

  bool Contains(uint64_t seq) const;

  // The highest seq S with all of base+1..S acked; `base` itself where base+1 is not.
  uint64_t Prefix(uint64_t base = 0) const;

  // The lowest seq ≥ `seq` that is not acked. May be above head: the caller knows head.
  uint64_t NextUnacked(uint64_t seq) const;

  // Forgets what lies above `keep` (a new epoch cuts acks to what survived). Never raises the number of ranges.
  void CutAbove(uint64_t keep);

  // Ascending.
  std::vector<Range>::const_iterator begin() const { return ranges_.begin(); }
  std::vector<Range>::const_iterator end() const { return ranges_.end(); }
  size_t size() const { return ranges_.size(); }
  bool empty() const { return ranges_.empty(); }
  bool operator==(const AckedRanges&) const = default;

  // Appends the stored form: varint count, then for each range varint (distance from the end of the last) and varint
  // (length − 1). At most 1 + 65 × 16 bytes.
  void Encode(std::string* out) const;

  // Takes the stored form off the front of `in`. False where it is cut off, longer than allowed, written in another way
  // than Encode would, or no set of ranges; then `in` and `out` are as they were.
  [[nodiscard]] static bool Decode(std::string_view* in, AckedRanges* out);

 private:
  std::vector<Range> ranges_;
};

}  // namespace everyonce
